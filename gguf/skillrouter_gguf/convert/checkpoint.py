"""A model as it is published: a folder with `config.json`, safetensors weights and a tokenizer."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

_WEIGHTS = "model.safetensors"
_Content = TypeVar("_Content")


class Checkpoint:
    """Reads one folder: its JSON files, and its tensors one at a time.

    Raises:
        ConversionError: from any method, for a file or a tensor that is missing or malformed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / _WEIGHTS
        self._weights: Any = None
        self._names: frozenset[str] = frozenset()
        self._closing = ExitStack()

    def __enter__(self) -> Checkpoint:
        if not self._path.is_file():
            raise ConversionError(
                f"{self._path}: there is no such file. Give a folder that holds {_WEIGHTS}; "
                "weights in several files or in PyTorch's own format are not read."
            )
        try:
            self._weights = self._closing.enter_context(safe_open(self._path, framework="numpy"))
        except (SafetensorError, OSError) as error:
            raise ConversionError(
                f"{self._path}: not a whole safetensors file ({error}). Download it again."
            ) from error
        self._names = frozenset(self._weights.keys())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

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
        return self._names

    def tensor(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The tensor `name`, which must have `shape`."""
        if name not in self._names:
            raise ConversionError(f"{self._path}: there is no tensor {name!r}.")
        piece = self._weights.get_slice(name)
        if (found := tuple(piece.get_shape())) != shape:
            raise ConversionError(
                f"{self._path}: tensor {name!r} has shape {found}, config.json asks for {shape}."
            )
        if (kind := piece.get_dtype()) not in {"F32", "F16"}:
            raise ConversionError(f"{self._path}: tensor {name!r} is {kind}; F32 and F16 are read.")
        values: NDArray[np.float32] = self._weights.get_tensor(name).astype(np.float32)
        if not np.isfinite(values).all():
            raise ConversionError(f"{self._path}: tensor {name!r} has values that are not finite.")
        return values
