"""A model's file: where it is, and whether it is the one that the catalogue describes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from skillrouter_gguf.errors import ModelFileError

if TYPE_CHECKING:
    from skillrouter_gguf.catalogue import Model

EMBEDDED = Path(__file__).parent / "embedded"

_MAGIC = b"GGUF"
_CHUNK = 1 << 20


def verified_path(model: Model, path: Path | None = None) -> Path:
    """The file of `model`, after reading it whole.

    Args:
        path: where it is, if not in the folder of the embedded models.

    Raises:
        ModelFileError: if it is missing, unreadable, no GGUF file, or of another size or SHA-256
            than the catalogue says.
    """
    path = path or EMBEDDED / model.file
    remedy = _remedy(model)
    try:
        if not path.is_file():
            raise ModelFileError(
                f"{path}: the file of the model {model.name} is not there. {remedy}"
            )
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
        if model.size is not None and size < model.size:
            raise ModelFileError(f"{path}: cut short at {size:,} of {model.size:,} bytes. {remedy}")
        if magic != _MAGIC:
            raise ModelFileError(f"{path}: not a GGUF file. {remedy}")
        if model.size is not None and size > model.size:
            raise ModelFileError(
                f"{path}: not the file that {model.name} stands for; it has {size:,} bytes, "
                f"expected {model.size:,}. {remedy}"
            )
        if model.sha256 is not None and (found := sha256_of(path)) != model.sha256:
            raise ModelFileError(
                f"{path}: not the file that {model.name} stands for; its SHA-256 is {found}, "
                f"expected {model.sha256}. {remedy}"
            )
    except OSError as error:
        raise ModelFileError(f"{path}: can't be read ({error.strerror}). {remedy}") from error
    return path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, read in pieces. Raises OSError."""
    digest = hashlib.sha256()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def _remedy(model: Model) -> str:
    if model.embedded:
        return "Reinstall skillrouter-mcp: the file is part of it."
    if model.repo or model.path:
        return f"Run `skillrouter-mcp models pull {model.name}`."
    return f"Get it again from {model.source or 'where it came from'}."
