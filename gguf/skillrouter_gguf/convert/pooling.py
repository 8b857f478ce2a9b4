"""How a checkpoint's token vectors become one: sentence-transformers' pooling settings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

import gguf
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from skillrouter_gguf.convert.checkpoint import Checkpoint

_MODES = {
    "pooling_mode_mean_tokens": gguf.PoolingType.MEAN,
    "pooling_mode_cls_token": gguf.PoolingType.CLS,
}
# What llama.cpp, or the reader of its vectors, does too. Anything else would change the vector.
_MODULES = ("Transformer", "Pooling", "Normalize")


class _Module(BaseModel):
    type: str
    path: Annotated[str, Field(pattern=r"^(\w[\w.-]*)?$")]


def read_pooling(checkpoint: Checkpoint) -> gguf.PoolingType:
    """The pooling that the checkpoint's `modules.json` asks for.

    Raises:
        ConversionError: if it names none, or one that is neither mean nor CLS alone, or a module
            that would change the pooled vector.
    """
    path = checkpoint.folder / "modules.json"
    modules = [
        (module.type.rpartition(".")[2], module.path)
        for module in checkpoint.read("modules.json", list[_Module])
    ]
    if unknown := sorted({kind for kind, _ in modules} - {*_MODULES}):
        raise ConversionError(f"{path}: modules that GGUF has no place for: {', '.join(unknown)}.")
    folders = [folder for kind, folder in modules if kind == "Pooling"]
    if len(folders) != 1:
        raise ConversionError(f"{path}: expected one pooling module, found {len(folders)}.")
    name = str(PurePosixPath(folders[0], "config.json"))
    settings = checkpoint.read(name, dict[str, Any])
    modes = [key for key, value in settings.items() if key.startswith("pooling_mode") and value]
    if len(modes) != 1 or modes[0] not in _MODES:
        raise ConversionError(
            f"{checkpoint.folder / name}: pooling must be mean or CLS, found {modes or 'none'}."
        )
    return _MODES[modes[0]]
