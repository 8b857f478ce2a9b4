"""What tests of fetching models share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.gguf import tiny_models

from skillrouter_gguf import ModelError, ModelFileError, ModelStore

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub, Repo

ENCODER = {**tiny_models.ENCODER, "repo": "tiny/encoder"}


class Heard:
    """Keeps what a pull tells."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.bytes: list[tuple[str, int, int]] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def fetching(self, name: str, done: int, total: int) -> None:
        self.bytes.append((name, done, total))


def publish(hub: LocalHub, files: dict[str, bytes] | None = None) -> Repo:
    """The repo of `ENCODER`, by default with its GGUF file alone."""
    return hub.add("tiny/encoder", files or {"tiny.gguf": tiny_models.encoder()})


def pull(store: ModelStore, name: str = "tiny", **options: Any) -> Heard:
    """Pull a model; gives what was told meanwhile."""
    from skillrouter_gguf.pull import pull as pull_model

    heard = Heard()
    pull_model(store, name, heard, **options)
    return heard


def refused(store: ModelStore, name: str = "tiny") -> str:
    """Why a model can't be pulled, and is not ready then."""
    with pytest.raises(ModelError) as caught:
        pull(store, name)
    not_ready(store, name)
    return str(caught.value)


def not_ready(store: ModelStore, name: str = "tiny") -> str:
    """Why a model is not ready."""
    with pytest.raises(ModelFileError) as caught:
        store.ready(name)
    return str(caught.value)
