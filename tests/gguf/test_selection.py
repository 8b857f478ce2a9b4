from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.gguf import tiny_models
from tests.gguf.pulling import ENCODER, publish, pull, refused

from skillrouter_gguf import ModelStore
from skillrouter_gguf.pins import read_pins

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub


def test_the_q8_0_file_of_several_is_taken(hub: LocalHub, store: ModelStore) -> None:
    publish(
        hub,
        {"a-F16.gguf": b"GGUF", "a-Q8_0.gguf": tiny_models.encoder(), "a-Q4_K_M.gguf": b"GGUF"},
    )
    pull(store)
    assert read_pins(store.folder)["tiny"].file == "a-Q8_0.gguf"


def test_a_repo_of_several_files_that_could_be_meant(hub: LocalHub, store: ModelStore) -> None:
    publish(hub, {"a-F16.gguf": b"GGUF", "a-Q4_K_M.gguf": b"GGUF"})
    said = refused(store)
    assert "There are: a-F16.gguf, a-Q4_K_M.gguf." in said
    assert "[models.tiny] in models.toml" in said


def test_a_file_that_has_gone(hub: LocalHub, tmp_path: Path) -> None:
    publish(hub)
    said = refused(tiny_models.store(tmp_path, tiny={**ENCODER, "file": "old.gguf"}))
    assert "has no file old.gguf. There are: tiny.gguf." in said


def test_a_repo_without_gguf_files(hub: LocalHub, store: ModelStore) -> None:
    publish(hub, {"README.md": b"hello"})
    assert "tiny/encoder has no GGUF file." in refused(store)
    publish(hub, tiny_models.checkpoint())
    assert 'an entry with convert = "Q8_0" makes a file of them' in refused(store)


@pytest.mark.parametrize("lacking", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_repo_that_can_not_be_converted(hub: LocalHub, tmp_path: Path, lacking: str) -> None:
    files = {name: body for name, body in tiny_models.checkpoint().items() if name != lacking}
    publish(hub, files)
    store = tiny_models.store(tmp_path, tiny={**ENCODER, "convert": "Q8_0"})
    assert f"can't be converted: it lacks {lacking}" in refused(store)
    assert hub.sent() == 0
