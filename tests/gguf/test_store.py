from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.gguf import tiny_models

from skillrouter_gguf import CatalogueError, ModelFileError, ModelStore, load_catalogue
from skillrouter_gguf.model_file import EMBEDDED
from skillrouter_gguf.pins import Pin, write_pin

ENTRY = {**tiny_models.ENCODER, "repo": "tiny/encoder"}
COMMIT = "c0ffee" + "0" * 34
HASH = "ab" * 32


def _store(folder: Path, **changes: Any) -> ModelStore:
    return tiny_models.store(folder, tiny={**ENTRY, **changes})


def _pinned(folder: Path, **changes: Any) -> Pin:
    models = folder / "models"
    models.mkdir(exist_ok=True)
    path = models / "tiny.gguf"
    path.write_bytes(b"GGUF")
    about = {"repo": "tiny/encoder", "revision": COMMIT, "file": "a.gguf", "size": 4}
    pin = Pin.model_validate({"path": path, "sha256": HASH, **about, **changes})
    write_pin(models, "tiny", pin)
    return pin


def _refused(store: ModelStore, name: str = "tiny") -> str:
    with pytest.raises(ModelFileError) as caught:
        store.ready(name)
    return str(caught.value)


def test_the_embedded_model_is_ready_without_a_folder(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    model = store.ready("skillrouter-minilm-l6")
    assert model == load_catalogue().model("skillrouter-minilm-l6")
    assert store.path(model) == EMBEDDED / model.file


def test_a_model_is_ready_as_it_was_pinned(tmp_path: Path) -> None:
    pin = _pinned(tmp_path)
    store = _store(tmp_path)
    model = store.ready("tiny")
    assert (model.size, model.sha256, model.revision) == (4, HASH, COMMIT)
    assert store.path(model) == pin.path
    assert store.pin("tiny") == pin


def test_a_model_that_is_not_here(tmp_path: Path) -> None:
    store = _store(tmp_path)
    said = "the model tiny is not here yet. Run `skillrouter-mcp models pull tiny`."
    assert _refused(store) == said
    with pytest.raises(ModelFileError, match="is not here yet"):
        store.path(store.catalogue.model("tiny"))
    with pytest.raises(CatalogueError, match="there is no model 'zz'"):
        store.ready("zz")


def test_a_file_that_went_or_changed_its_size(tmp_path: Path) -> None:
    pin = _pinned(tmp_path)
    store = _store(tmp_path)
    pin.path.write_bytes(b"GGUF and more")
    assert "no longer the file that was checked as the model tiny; it has 13" in _refused(store)
    pin.path.unlink()
    said = _refused(store)
    assert said.startswith(f"{pin.path}: the file of the model tiny can't be found any more")
    assert said.endswith("Run `skillrouter-mcp models pull tiny`.")


@pytest.mark.parametrize(
    "changes",
    [
        {"repo": "tiny/other"},
        {"revision": "d" * 40},
        {"file": "b.gguf"},
        {"sha256": "cd" * 32},
        {"convert": "Q8_0"},
    ],
)
def test_an_entry_that_asks_for_something_else_now(tmp_path: Path, changes: dict[str, str]) -> None:
    _pinned(tmp_path)
    said = "the entry of the model tiny has changed since it was fetched. Run `skillrouter-mcp"
    assert _refused(_store(tmp_path, **changes)).startswith(said)


@pytest.mark.parametrize(
    "changes",
    [{"revision": COMMIT, "file": "a.gguf", "sha256": HASH}, {"context": 16}, {"title": "Tiny"}],
)
def test_an_entry_that_says_more_of_the_same_file(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    _pinned(tmp_path)
    assert _store(tmp_path, **changes).ready("tiny").sha256 == HASH


def test_pins_that_can_not_be_read(tmp_path: Path) -> None:
    pins = tmp_path / "models" / "pins.json"
    pins.parent.mkdir()
    pins.write_text('{"tiny": {"path": 3}}')
    store = _store(tmp_path)
    said = _refused(store)
    assert said.startswith(f"{pins}: damaged")
    assert "Delete it and run `skillrouter-mcp models pull` again" in said
    pins.unlink()
    pins.mkdir()
    assert "can't be read" in _refused(store)
    assert store.ready("skillrouter-minilm-l6")


def test_a_pin_that_can_not_be_written_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = _pinned(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_pin(tmp_path / "models", "other", pin)
    assert _store(tmp_path).ready("tiny").sha256 == HASH
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "pins.json",
        "tiny.gguf",
    ]


def test_own_entries_that_can_not_be_read_leave_the_embedded_model(tmp_path: Path) -> None:
    own = tmp_path / "models.toml"
    own.write_text("[models.x]\nkind = 'poem'")
    store = ModelStore(tmp_path / "models", own)
    assert store.ready("skillrouter-minilm-l6")
    assert f"{own}: models.x.kind: " in store.catalogue.problems[0]
