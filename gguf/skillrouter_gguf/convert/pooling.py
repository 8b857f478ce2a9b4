"""What a checkpoint is made for: sentence-transformers' modules and their settings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

import gguf
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from skillrouter_gguf.convert.checkpoint import Checkpoint

_FILE = "modules.json"
_MODES = {
    "mean": gguf.PoolingType.MEAN,
    "cls": gguf.PoolingType.CLS,
    "lasttoken": gguf.PoolingType.LAST,
}
# The same in older settings, where each is a switch.
_SWITCHES = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}
# What llama.cpp, or the reader of its vectors, does too. Anything else would change the vector.
_MODULES = ("Transformer", "Pooling", "Normalize")
_SCORE = "LogitScore"


class _Module(BaseModel):
    type: str
    path: Annotated[str, Field(pattern=r"^(\w[\w.-]*)?$")]

    @property
    def kind(self) -> str:
        return self.type.rpartition(".")[2]


class LogitScore(BaseModel):
    """Of which two tokens' logits a reranker's score is the difference."""

    true_token_id: int
    false_token_id: int


def read_pooling(checkpoint: Checkpoint) -> gguf.PoolingType:
    """The pooling that the checkpoint's `modules.json` asks for.

    Raises:
        ConversionError: if it names none, or one that is neither mean nor CLS nor last-token
            alone, or a module that would change the pooled vector.
    """
    path = checkpoint.folder / _FILE
    modules = checkpoint.read(_FILE, list[_Module])
    if unknown := sorted({module.kind for module in modules} - {*_MODULES}):
        raise ConversionError(f"{path}: modules that GGUF has no place for: {', '.join(unknown)}.")
    folders = [module.path for module in modules if module.kind == "Pooling"]
    if len(folders) != 1:
        raise ConversionError(f"{path}: expected one pooling module, found {len(folders)}.")
    name = str(PurePosixPath(folders[0], "config.json"))
    settings = checkpoint.read(name, dict[str, Any])
    modes = [_SWITCHES.get(key, key) for key, value in settings.items() if _is_on(key, value)]
    if "pooling_mode" in settings:
        modes = [settings["pooling_mode"]]
    if len(modes) != 1 or modes[0] not in list(_MODES):
        raise ConversionError(
            f"{checkpoint.folder / name}: pooling must be mean, CLS or last token, "
            f"found {modes or 'none'}."
        )
    return _MODES[modes[0]]


def read_logit_score(checkpoint: Checkpoint) -> LogitScore | None:
    """The two tokens that a causal reranker's modules name, if they name any.

    Raises:
        ConversionError: if the files are malformed.
    """
    if not checkpoint.has(_FILE):
        return None
    for module in checkpoint.read(_FILE, list[_Module]):
        if module.kind == _SCORE:
            name = str(PurePosixPath(module.path, "config.json"))
            return checkpoint.read(name, LogitScore)
    return None


def _is_on(key: str, value: object) -> bool:
    return key.startswith("pooling_mode_") and bool(value)
