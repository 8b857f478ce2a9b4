"""What a GGUF file says of itself before its weights: metadata, and which tensors it holds.

Follows the format's specification, versions 2 and 3. Lists are not read: vocabularies are long.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from skillrouter_gguf.errors import ModelFileError

if TYPE_CHECKING:
    from pathlib import Path

    Value = str | int | float | bool

# From which token on a cross-encoder's tokens are those of the second segment.
SECOND_SEGMENT = "skillrouter.second_segment"

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_NUMBERS |= {12: "d"}
_STRING, _ARRAY = 8, 9
_LONGEST = 1 << 26  # bytes of a string; a chat template has some thousands
_DIMENSIONS = 8


@dataclass(frozen=True)
class Header:
    """Metadata by key, without lists, and the names of all tensors."""

    metadata: dict[str, Value]
    tensors: frozenset[str]

    @property
    def architecture(self) -> str:
        """The name of the model's kind, such as `bert` or `qwen3`."""
        return str(self.metadata.get("general.architecture", ""))

    def of_model(self, key: str) -> Value | None:
        """The value of `key` among those of the architecture."""
        return self.metadata.get(f"{self.architecture}.{key}")


def read_header(path: Path) -> Header:
    """The header of the GGUF file at `path`.

    Raises:
        ModelFileError: if the file can't be read or is no whole GGUF file.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file).header()
    except OSError as error:
        raise ModelFileError(f"{path}: can't be read ({error.strerror}).") from error
    except (struct.error, ValueError) as error:
        raise ModelFileError(f"{path}: not a whole GGUF file ({error}).") from error


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def header(self) -> Header:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as one")
        if (version := self._number("I")) not in _VERSIONS:
            raise ValueError(f"version {version} is not known")
        tensors, entries = self._number("Q"), self._number("Q")
        metadata: dict[str, Value] = {}
        for _ in range(entries):
            key, value = self._string(), self._value(self._number("I"))
            if value is not None:
                metadata[key] = value
        return Header(metadata, frozenset(self._tensor() for _ in range(tensors)))

    def _tensor(self) -> str:
        name = self._string()
        if (dimensions := self._number("I")) > _DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        self._skip(8 * dimensions + 4 + 8)
        return name

    def _value(self, kind: int) -> Value | None:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_list(self._number("I"), self._number("Q"))
            return None
        if kind not in _NUMBERS:
            raise ValueError(f"values of kind {kind} are not known")
        (value,) = self._unpack(_NUMBERS[kind])
        number: Value = value
        return number

    def _skip_list(self, kind: int, count: int) -> None:
        if kind == _STRING:
            for _ in range(count):
                self._skip(self._number("Q"))
        elif kind in _NUMBERS:
            self._skip(count * struct.calcsize(_NUMBERS[kind]))
        else:
            raise ValueError(f"lists of kind {kind} are not known")

    def _skip(self, count: int) -> None:
        if count > _LONGEST:
            raise ValueError(f"a value of {count} bytes")
        if len(self._file.read(count)) < count:
            raise ValueError("it ends too early")

    def _string(self) -> str:
        length = self._number("Q")
        if length > _LONGEST:
            raise ValueError(f"a text of {length} bytes")
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("it ends too early")
        return data.decode("utf-8", "replace")

    def _number(self, kind: str) -> int:
        (number,) = self._unpack(kind)
        value: int = number
        return value

    def _unpack(self, kind: str) -> tuple[int]:
        size = struct.calcsize(f"<{kind}")
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("it ends too early")
        unpacked: tuple[int] = struct.unpack(f"<{kind}", data)
        return unpacked
