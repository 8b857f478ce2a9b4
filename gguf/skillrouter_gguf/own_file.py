"""A GGUF file of the user's own, as far as it describes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrouter_gguf.catalogue import Model
from skillrouter_gguf.errors import ModelFileError
from skillrouter_gguf.header import read_header
from skillrouter_gguf.model_file import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_gguf.header import Header, Value

HEAD = "cls.output.weight"
# By the numbers of llama.cpp's `enum llama_pooling_type`.
_POOLINGS = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
# More is rarely in a skill, and takes minutes to read on a processor.
_MOST_TOKENS = 4096
_SIZES = ("embedding_length", "context_length")
_UNKNOWN = "unknown"


def describe_file(path: Path) -> Model:
    """An entry for the GGUF file at `path`, to open an `Encoder` or a `Reranker` with.

    Reads the file whole, so that vectors made with it can be told from those of another file.
    Prefixes and languages are not in such files: `model_copy` adds what the user knows of them.

    Raises:
        ModelFileError: if it is no GGUF file, or no model that pools its tokens, or if a catalogue
            can't name it.
    """
    for written in (path, path.resolve()):
        _require_text(written)
    header = read_header(path)
    pooling = _POOLINGS.get(_whole(header.of_model("pooling_type")))
    if HEAD in header.tensors:
        pooling = "rank"
    width, context = (_whole(header.of_model(key)) for key in _SIZES)
    if pooling is None or width < 1 or context < 1:
        raise ModelFileError(
            f"{path}: neither an encoder nor a reranker: a {header.architecture or 'model'} that "
            "does not say how it makes one vector of a text."
        )
    if pooling == "rank" and HEAD not in header.tensors:
        raise ModelFileError(
            f"{path}: a reranker without {HEAD}, whose every score would be noise. Take another "
            "file of this model, or convert it from its safetensors."
        )
    return Model.model_validate(
        {
            "name": path.stem,
            "kind": "reranker" if pooling == "rank" else "encoder",
            "title": _text(header, "general.name", path.stem),
            "file": path.name,
            "size": path.stat().st_size,
            "sha256": sha256_of(path),
            "dimensions": 0 if pooling == "rank" else width,
            "context": min(context, _MOST_TOKENS),
            "pooling": pooling,
            "languages": [_UNKNOWN],
            "licence": _text(header, "general.license", _UNKNOWN),
            "source": _text(header, "general.source.url", _UNKNOWN),
        }
    )


def _whole(value: Value | None) -> int:
    return value if isinstance(value, int) else 0


def _text(header: Header, key: str, default: str) -> str:
    value = header.metadata.get(key)
    return value if isinstance(value, str) else default


def _require_text(path: Path) -> None:
    """Raise ModelFileError if `path` can't stand in a catalogue."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise ModelFileError(
            f"{shown}: the name is not UTF-8, so that no catalogue can hold it. Rename it."
        ) from None
