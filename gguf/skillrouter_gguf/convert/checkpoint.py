"""A model as it is published: a folder with `config.json`, safetensors weights and a tokenizer."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

_WEIGHTS = "model.safetensors"
_SHARDS = "model.safetensors.index.json"
_Content = TypeVar("_Content")


class Tensor(NamedTuple):
    """A tensor of the GGUF to be; `read` gives its values, float32 of `shape`."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]


class _Shards(BaseModel):
    weight_map: dict[str, Annotated[str, Field(pattern=r"^\w[\w.-]*\.safetensors$")]]


class _Header(BaseModel):
    data_offsets: tuple[int, int]


class Checkpoint:
    """Reads one folder: its JSON files, and its tensors one at a time.

    Raises:
        ConversionError: from any method, for a file or a tensor that is missing or malformed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, tuple[Path, Any]] = {}  # by tensor: the file, and its open reader
        self._closing = ExitStack()

    def __enter__(self) -> Checkpoint:
        try:
            self._open()
        except BaseException:
            self._closing.close()
            raise
        return self

    def _open(self) -> None:
        whole = self.folder / _WEIGHTS
        if whole.is_file() or not (self.folder / _SHARDS).is_file():
            self._open_file(whole)
            return
        shards = self.read(_SHARDS, _Shards).weight_map
        for name in sorted(set(shards.values())):
            self._open_file(self.folder / name)
        if missing := sorted(shards.keys() - self._files.keys()):
            raise ConversionError(
                f"{self.folder / _SHARDS}: names tensors that its files don't hold: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}."
            )

    def _open_file(self, path: Path) -> None:
        if not path.is_file():
            raise ConversionError(
                f"{path}: there is no such file. Give a folder that holds {_WEIGHTS}, or "
                f"{_SHARDS} and its files; weights in PyTorch's own format are not read."
            )
        try:
            reader = self._closing.enter_context(safe_open(path, framework="numpy"))
        except (SafetensorError, OSError) as error:
            raise ConversionError(
                f"{path}: not a whole safetensors file ({error}). Download it again."
            ) from error
        self._files |= dict.fromkeys(reader.keys(), (path, reader))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def has(self, name: str) -> bool:
        """Whether the folder holds the file `name`."""
        return (self.folder / name).is_file()

    def read(self, name: str, content: type[_Content]) -> _Content:
        """The JSON file `name`, a path relative to the folder, checked to be a `content`."""
        path = self.folder / name
        try:
            return TypeAdapter(content).validate_json(path.read_bytes())
        except OSError as error:
            raise ConversionError(f"{path}: can't be read ({error.strerror}).") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ConversionError(
                f"{path}: {place + ': ' if place else ''}{first['msg']}."
            ) from error

    def tensor_names(self) -> frozenset[str]:
        """The names of all tensors."""
        return frozenset(self._files)

    def planned(self, target: str, source: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor `source`, which must have `shape`, to be read later as `target`."""
        self._check(source, shape)
        return Tensor(target, shape, partial(self.tensor, source, shape))

    def tensor(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The tensor `name`, which must have `shape`."""
        path, reader, kind = self._check(name, shape)
        values: NDArray[np.float32]
        if kind == "BF16":
            values = _read_bf16(path, name, shape)
        else:
            values = reader.get_tensor(name).astype(np.float32)
        if not np.isfinite(values).all():
            raise ConversionError(f"{path}: tensor {name!r} has values that are not finite.")
        return values

    def _check(self, name: str, shape: tuple[int, ...]) -> tuple[Path, Any, str]:
        """The file with the tensor `name`, its reader, and the format of the numbers."""
        if name not in self._files:
            raise ConversionError(f"{self.folder / _WEIGHTS}: there is no tensor {name!r}.")
        path, reader = self._files[name]
        piece = reader.get_slice(name)
        if (found := tuple(piece.get_shape())) != shape:
            raise ConversionError(
                f"{path}: tensor {name!r} has shape {found}, config.json asks for {shape}."
            )
        if (kind := piece.get_dtype()) not in {"F32", "F16", "BF16"}:
            raise ConversionError(f"{path}: tensor {name!r} is {kind}; F32, F16 and BF16 are read.")
        return path, reader, kind


def _read_bf16(path: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A bfloat16 tensor, which numpy has no type for: the upper halves of float32 numbers."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        headers = TypeAdapter(dict[str, Any]).validate_json(file.read(length))
    begin, _ = _Header.model_validate(headers[name]).data_offsets
    halves = np.memmap(path, "<u2", "r", offset=8 + length + begin, shape=shape)
    return (halves.astype(np.uint32) << 16).view(np.float32)
