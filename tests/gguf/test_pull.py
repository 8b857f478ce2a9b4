from __future__ import annotations

import errno
import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from tests.gguf import tiny_models
from tests.gguf.pulling import ENCODER, Heard, not_ready, publish, pull, refused

from skillrouter_gguf import Encoder, ModelError, ModelStore, Reranker

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub


def test_a_file_is_fetched_checked_and_ready(hub: LocalHub, store: ModelStore) -> None:
    repo = publish(hub)
    heard = pull(store)
    model = store.ready("tiny")
    content = tiny_models.encoder()
    assert store.path(model).read_bytes() == content
    assert (model.size, model.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert model.revision == repo.commit
    assert heard.bytes[-1] == ("tiny.gguf", len(content), len(content))
    with Encoder.open(model, path=store.path(model), threads=1) as encoder:
        assert encoder.encode_queries(["merge"]).shape == (1, 64)


def test_nothing_but_the_file_and_its_pin_stays(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    pull(store)
    left = sorted(path.name for path in store.folder.rglob("*") if path.is_file())
    assert left == ["lock", "pins.json", store.path(store.ready("tiny")).name]


def test_what_a_killed_conversion_left_behind_is_cleared_away(
    hub: LocalHub, store: ModelStore
) -> None:
    publish(hub)
    store.folder.mkdir(parents=True)
    (store.folder / "other.partial").write_bytes(b"half")
    pull(store)
    assert not list(store.folder.glob("*.partial"))


def test_what_is_ready_is_not_fetched_again(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    pull(store)
    asked = len(hub.requests)
    pull(store)
    assert len(hub.requests) == asked


def test_the_embedded_model_needs_no_network(store: ModelStore) -> None:
    pull(store, "skillrouter-minilm-l6")
    assert not store.folder.exists()


def test_a_file_that_was_damaged_since_is_fetched_anew(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    pull(store)
    path = store.path(store.ready("tiny"))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    pull(store)
    assert path.read_bytes() == content


def test_what_was_pinned_is_fetched_again_though_the_repo_went_on(
    hub: LocalHub, store: ModelStore
) -> None:
    repo = publish(hub)
    pull(store)
    pinned = store.ready("tiny")
    store.path(pinned).unlink()
    assert "can't be found any more" in not_ready(store)
    old = repo.commit
    repo.change("README.md", b"news")
    assert "the commit that the catalogue asks for is not there" in refused(store)
    repo.commit = old
    pull(store)
    assert store.ready("tiny") == pinned


def test_the_newest_is_fetched_when_asked_for(hub: LocalHub, store: ModelStore) -> None:
    repo = publish(hub)
    pull(store)
    before = store.path(store.ready("tiny"))
    repo.change("README.md", b"news")
    pull(store, newest=True)
    assert store.ready("tiny").revision == repo.commit
    assert store.path(store.ready("tiny")) == before
    assert hub.sent() == len(tiny_models.encoder())  # the file itself is the same
    repo.change("tiny.gguf", tiny_models.encoder() + b"\0")
    pull(store, newest=True)
    assert store.path(store.ready("tiny")).read_bytes() == tiny_models.encoder() + b"\0"
    assert not before.exists()


def test_a_file_that_was_kept_but_not_pinned_yet_when_killed(
    hub: LocalHub, store: ModelStore
) -> None:
    publish(hub)
    pull(store)
    (store.folder / "pins.json").unlink()
    pull(store)
    assert hub.sent() == len(tiny_models.encoder())


@pytest.mark.parametrize("known", [True, False])
def test_another_file_than_the_catalogue_means(hub: LocalHub, tmp_path: Path, known: bool) -> None:
    publish(hub)
    content = tiny_models.encoder()
    digest = hashlib.sha256(content).hexdigest() if known else "ab" * 32
    store = tiny_models.store(tmp_path, tiny={**ENCODER, "file": "tiny.gguf", "sha256": digest})
    if known:
        pull(store)
        pin = store.pin("tiny")
        assert pin is not None
        assert pin.known_before
    else:
        said = refused(store)
        assert f"expected {digest}" in said
        assert hub.sent() == 0


def test_a_folder_that_can_not_be_written(tmp_path: Path, hub: LocalHub) -> None:
    publish(hub)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").write_bytes(b"in the way")
    store = tiny_models.store(tmp_path / "home", tiny=ENCODER)
    with pytest.raises(ModelError, match="models: can't be"):
        pull(store)


def test_trouble_with_a_file_names_it_and_says_what_it_was(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)

    def unreadable(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("skillrouter_gguf.pull.sha256_of", unreadable)
    part = store.folder / "parts" / f"{hashlib.sha256(tiny_models.encoder()).hexdigest()}.part"
    assert refused(store) == f"{part}: can't be read or written (Permission denied)."


def test_safetensors_are_converted(hub: LocalHub, tmp_path: Path) -> None:
    repo = publish(hub, tiny_models.checkpoint())
    store = tiny_models.store(tmp_path, tiny={**ENCODER, "convert": "Q8_0"})
    heard = pull(store)
    model = store.ready("tiny")
    assert model.revision == repo.commit
    assert "tiny: converting to Q8_0" in heard.said
    assert store.path(model).stat().st_size < len(tiny_models.encoder()) / 2
    with Encoder.open(model, path=store.path(model), threads=1) as encoder:
        assert encoder.encode_documents(["merge"]).shape == (1, 64)
    left = sorted(path.name for path in store.folder.rglob("*") if path.is_file())
    assert left == ["lock", "pins.json", store.path(model).name]


def test_weights_in_several_parts_give_the_same_model(hub: LocalHub, tmp_path: Path) -> None:
    publish(hub, tiny_models.checkpoint())
    hub.add("tiny/sharded", tiny_models.sharded())
    entry = {**ENCODER, "convert": "F16"}
    store = tiny_models.store(tmp_path, tiny=entry, parts={**entry, "repo": "tiny/sharded"})
    pull(store)
    pull(store, "parts")
    vectors = []
    for model in map(store.ready, ("tiny", "parts")):
        with Encoder.open(model, path=store.path(model), threads=1) as encoder:
            vectors.append(encoder.encode_queries(["merge the file"]))
    assert (vectors[0] == vectors[1]).all()


def test_a_download_to_be_converted_is_resumed_too(hub: LocalHub, tmp_path: Path) -> None:
    files = tiny_models.checkpoint()
    publish(hub, files)
    store = tiny_models.store(tmp_path, tiny={**ENCODER, "convert": "Q8_0"})
    hub.faults.cuts = [100_000, *[0] * 20]
    refused(store)
    hub.faults.cuts = []
    pull(store)
    assert hub.sent() == len(files["model.safetensors"])


def test_a_reranker_is_converted_with_its_own_instruction(hub: LocalHub, tmp_path: Path) -> None:
    hub.add("tiny/judge", tiny_models.judge())
    entry = tiny_models.judge_entry("tiny/judge")
    store = tiny_models.store(tmp_path, judge=entry)
    pull(store, "judge")
    model = store.ready("judge")
    with Reranker.open(model, path=store.path(model), threads=1) as reranker:
        assert reranker.score("merge", ["page", "chart"]).shape == (2,)
    assert entry["template"].encode() in store.path(model).read_bytes()


def test_weights_of_a_kind_that_can_not_be_converted(hub: LocalHub, tmp_path: Path) -> None:
    files = {**tiny_models.checkpoint(), "config.json": b'{"model_type": "mamba"}'}
    publish(hub, files)
    store = tiny_models.store(tmp_path, tiny={**ENCODER, "convert": "Q8_0"})
    assert "'mamba' can't be converted" in refused(store)
    assert not list(store.folder.glob("*.gguf*"))


def test_an_encoder_that_makes_nonsense_is_not_used(hub: LocalHub, tmp_path: Path) -> None:
    publish(hub, {"tiny.gguf": tiny_models.nonsense()})
    entry = {**tiny_models.NONSENSE, "repo": "tiny/encoder"}
    said = refused(tiny_models.store(tmp_path, tiny=entry))
    assert "finds an unrelated sentence nearer" in said
    assert "The model tiny is not used." in said


def test_a_reranker_that_judges_the_wrong_way_is_not_used(hub: LocalHub, tmp_path: Path) -> None:
    hub.add("tiny/judge", tiny_models.judge(sane=False))
    entry = tiny_models.judge_entry("tiny/judge")
    said = refused(tiny_models.store(tmp_path, judge=entry), "judge")
    assert "scores an unrelated sentence higher" in said


def test_a_file_that_its_entry_does_not_describe_is_not_fetched_again_once_it_does(
    hub: LocalHub, tmp_path: Path
) -> None:
    publish(hub)
    said = refused(tiny_models.store(tmp_path, tiny={**ENCODER, "dimensions": 32}))
    assert "has 64 dimensions" in said
    pull(tiny_models.store(tmp_path, tiny=ENCODER))
    assert hub.sent() == len(tiny_models.encoder())


@pytest.mark.parametrize("fault", ["gone", "damaged", "cut", "no model"])
def test_what_was_ready_stays_ready(hub: LocalHub, tmp_path: Path, fault: str) -> None:
    repo = publish(hub)
    store = tiny_models.store(tmp_path, tiny=ENCODER)
    pull(store)
    before = store.ready("tiny")
    content = tiny_models.encoder()
    repo.change("tiny.gguf", b"GGUF" + bytes(99) if fault == "no model" else content + b"\0")
    if fault == "gone":
        hub.repos.clear()
    hub.faults.damage = (lambda body: body[::-1]) if fault == "damaged" else bytes
    hub.faults.cuts = [0] * 20 if fault == "cut" else []
    with pytest.raises(ModelError):
        pull(store, newest=True)
    assert store.ready("tiny") == before
    with Encoder.open(before, path=store.path(before), threads=1) as encoder:
        assert encoder.encode_queries(["merge"]).shape == (1, 64)


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(tiny_models.encoder())
    store = tiny_models.store(tmp_path, own={**tiny_models.ENCODER, "path": str(own)})
    assert "Run `skillrouter-mcp models pull own`" in not_ready(store, "own")
    pull(store, "own")
    assert store.path(store.ready("own")) == own
    own.write_bytes(tiny_models.encoder() + b"\0")
    assert "no longer the file that was checked as the model own" in not_ready(store, "own")
    pull(store, "own")
    assert store.ready("own").size == len(tiny_models.encoder()) + 1


@pytest.mark.parametrize("other", ["file", "repo"])
def test_a_file_of_the_users_own_among_the_models_stays_when_another_takes_its_place(
    hub: LocalHub, tmp_path: Path, other: str
) -> None:
    publish(hub)
    own, second = tmp_path / "models" / "own.gguf", tmp_path / "second.gguf"
    own.parent.mkdir()
    for path in (own, second):
        path.write_bytes(tiny_models.encoder())
    pull(tiny_models.store(tmp_path, tiny={**tiny_models.ENCODER, "path": str(own)}))
    entry = ENCODER if other == "repo" else {**tiny_models.ENCODER, "path": str(second)}
    store = tiny_models.store(tmp_path, tiny=entry)
    pull(store)
    assert store.path(store.ready("tiny")) != own
    assert own.read_bytes() == tiny_models.encoder()


@pytest.mark.parametrize("spelling", ["models", "models/../models", "link"])
def test_a_file_that_another_entry_was_pulled_with_stays(
    hub: LocalHub, store: ModelStore, spelling: str
) -> None:
    repo = publish(hub)
    pull(store)
    fetched = store.path(store.ready("tiny"))
    home = store.folder.parent
    (home / "link").symlink_to(store.folder, target_is_directory=True)
    own = {**tiny_models.ENCODER, "path": str(home / spelling / fetched.name)}
    both = tiny_models.store(home, tiny=ENCODER, own=own)
    pull(both, "own")
    repo.change("tiny.gguf", tiny_models.encoder() + b"\0")
    pull(both, newest=True)
    assert both.path(both.ready("tiny")) != fetched
    assert fetched.read_bytes() == tiny_models.encoder()


def test_a_fetched_file_stays_when_its_own_entry_becomes_the_path_to_it(
    hub: LocalHub, store: ModelStore
) -> None:
    publish(hub)
    pull(store)
    fetched = store.path(store.ready("tiny"))
    path = fetched.parent / ".." / "models" / fetched.name
    own = tiny_models.store(store.folder.parent, tiny={**tiny_models.ENCODER, "path": str(path)})
    pull(own)
    assert own.path(own.ready("tiny")).read_bytes() == tiny_models.encoder()


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "is not there"), (b"text", "not a GGUF file"), (b"GGUF", "llama.cpp")],
)
def test_a_file_of_the_users_own_that_is_no_model(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    own = tmp_path / "own.gguf"
    if content is not None:
        own.write_bytes(content)
    store = tiny_models.store(tmp_path, own={**tiny_models.ENCODER, "path": str(own)})
    told = refused(store, "own")
    assert str(own) in told
    assert said in told
    assert own.exists() == (content is not None)


def test_pulls_at_the_same_time_take_turns(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    store.folder.mkdir(parents=True)
    heard = Heard()
    from skillrouter_gguf.pull import pull as pull_model

    other = FileLock(store.folder / "lock")
    with other:
        thread = threading.Thread(target=pull_model, args=(store, "tiny", heard))
        thread.start()
        while not heard.said:
            assert thread.is_alive()
        assert heard.said == ["another pull is under way; waiting for its end"]
        assert not hub.requests
    thread.join()
    assert store.ready("tiny")
