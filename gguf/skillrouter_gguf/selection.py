"""Which files of a repo a model is made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from skillrouter_gguf.errors import DownloadError

if TYPE_CHECKING:
    from skillrouter_gguf.catalogue import Model
    from skillrouter_gguf.hub import Listing, RemoteFile

_GGUF = re.compile(r"\.gguf$", re.IGNORECASE)
_PREFERRED = re.compile(r"[-._]q8_0\.gguf$", re.IGNORECASE)
# Parts of a file that was split, and what belongs to models that see.
_NO_MODEL = re.compile(r"-\d{5}-of-\d{5}\.gguf$|(^|/)mmproj", re.IGNORECASE)
_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_NEEDED = ("config.json", "tokenizer.json")
# The settings of sentence-transformers' modules stand in a folder each.
_SETTINGS = re.compile(r"modules\.json|\w[\w.-]*/config\.json")
_SHOWN = 20


def choose_gguf(model: Model, listing: Listing) -> RemoteFile:
    """The GGUF file of `model`: the one it names, else the only one, else the only Q8_0.

    Raises:
        DownloadError: if it is not there, or several could be meant; names those there are.
    """
    names = sorted(name for name in listing.by_name if _GGUF.search(name))
    fitting = [name for name in names if not _NO_MODEL.search(name)]
    if model.file:
        chosen = [name for name in names if name == model.file]
        problem = f"has no file {model.file}"
    else:
        chosen = fitting if len(fitting) == 1 else [n for n in fitting if _PREFERRED.search(n)]
        problem = "has several GGUF files, and it is not known which to take"
    if len(chosen) == 1:
        return listing.by_name[chosen[0]]
    if not fitting:
        hint = (
            ' It has safetensors: an entry with convert = "Q8_0" makes a file of them.'
            if _checkpoint(listing)
            else ""
        )
        raise DownloadError(f"{listing.repo} has no GGUF file.{hint}")
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise DownloadError(
        f"{listing.repo} {problem}. There are: {', '.join(names[:_SHOWN])}{more}. Name one as "
        f"`file` of an entry [models.{model.name}] in models.toml."
    )


def choose_checkpoint(listing: Listing) -> tuple[list[RemoteFile], list[RemoteFile]]:
    """What is converted: small files that describe the model, and its weights.

    Raises:
        DownloadError: if the repo holds no safetensors weights or no tokenizer to convert.
    """
    weights = _checkpoint(listing)
    missing = [name for name in _NEEDED if name not in listing.by_name]
    if not weights:
        missing.append(_WHOLE)
    if missing:
        raise DownloadError(
            f"{listing.repo} can't be converted: it lacks {', '.join(missing)}. Only models "
            "published as safetensors, with a fast tokenizer, can."
        )
    described = [
        file for file in listing.files if file.name in _NEEDED or _SETTINGS.fullmatch(file.name)
    ]
    return described, weights


def _checkpoint(listing: Listing) -> list[RemoteFile]:
    """The weights: one file, or an index and its parts."""
    if _WHOLE in listing.by_name:
        return [listing.by_name[_WHOLE]]
    parts = [file for file in listing.files if _SHARD.fullmatch(file.name)]
    return [listing.by_name[_INDEX], *parts] if _INDEX in listing.by_name and parts else []
