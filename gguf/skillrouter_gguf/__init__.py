"""Models: which there are, and how to get, check, run and make them.

Importing this package is cheap; numpy and llama.cpp come with the first name that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from skillrouter_gguf.catalogue import Catalogue, Model, Profile, load_catalogue, read_catalogue
from skillrouter_gguf.errors import (
    CatalogueError,
    ConversionError,
    EngineError,
    ModelError,
    ModelFileError,
    SelfCheckError,
)
from skillrouter_gguf.own_file import describe_file
from skillrouter_gguf.store import ModelStore

if TYPE_CHECKING:
    from skillrouter_gguf.encoder import Encoder
    from skillrouter_gguf.llama import system_info
    from skillrouter_gguf.reranker import Reranker
    from skillrouter_gguf.self_check import check_encoder, check_reranker

__all__ = [
    "Catalogue",
    "CatalogueError",
    "ConversionError",
    "Encoder",
    "EngineError",
    "Model",
    "ModelError",
    "ModelFileError",
    "ModelStore",
    "Profile",
    "Reranker",
    "SelfCheckError",
    "check_encoder",
    "check_reranker",
    "describe_file",
    "load_catalogue",
    "read_catalogue",
    "system_info",
]

_LATE = {
    "Encoder": "encoder",
    "Reranker": "reranker",
    "check_encoder": "self_check",
    "check_reranker": "self_check",
    "system_info": "llama",
}


def __getattr__(name: str) -> object:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
