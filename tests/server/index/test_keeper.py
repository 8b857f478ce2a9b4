from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import Model, ModelError
from skillrouter_mcp.index import keeper
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.keeper import Keeper
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root
from skillrouter_mcp.skills.watching import Watch

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "RESCAN_SECONDS", 0.02)
    monkeypatch.setattr(keeper, "_RETRY_SECONDS", 0.02)


@pytest.fixture
def library(tmp_path: Path, root: Path, model: Model) -> Iterator[Library]:
    library = Library(tmp_path / "home", [Root(root, "user")], Fingerprint.of(model))
    yield library
    library.close()


@pytest.fixture
def keep() -> Iterator[Callable[..., Keeper]]:
    """Starts keepers and stops them in the end."""
    keepers: list[Keeper] = []

    def start(library: Library, encoder: Callable[[], Any]) -> Keeper:
        keepers.append(Keeper(library, encoder))
        keepers[-1].start()
        return keepers[-1]

    yield start
    for started in keepers:
        started.stop()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _state(library: Library) -> tuple[int, int]:
    snapshot = library.snapshot
    return len(snapshot.visible), snapshot.pending


def _tries_again(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> None:
    """The first scans end like this, all others go well."""
    left = list(outcomes)
    scan = Library.scan

    def outcome(library: Library, *progress: Any) -> Any:
        if left and (error := left.pop(0)) is not None:
            raise error
        return scan(library, *progress)

    monkeypatch.setattr(Library, "scan", outcome)


def _nothing_to_embed() -> Any:
    raise AssertionError("the model was asked for")


def test_folders_are_followed(
    library: Library, keep: Callable[..., Keeper], write_skill: Any, counting: Any
) -> None:
    path = write_skill("one")
    keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))
    write_skill("two", body="other")
    _until(lambda: _state(library) == (2, 0))
    shutil.rmtree(path.parent)
    _until(lambda: _state(library) == (1, 0))


def test_a_change_is_found_long_before_the_next_look_is_due(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RESCAN_SECONDS", "WATCHED_RESCAN_SECONDS"):
        monkeypatch.setattr(keeper, name, 10 * PATIENCE)
    write_skill("one")
    keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))
    time.sleep(0.3)  # until it waits
    write_skill("two", body="other")
    _until(lambda: _state(library) == (2, 0))


def test_what_changes_without_end_is_not_looked_at_without_end(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RESCAN_SECONDS", "WATCHED_RESCAN_SECONDS"):
        monkeypatch.setattr(keeper, name, 10 * PATIENCE)
    monkeypatch.setattr(keeper, "_HINTED_SHARE", 1e-9)
    monkeypatch.setattr(keeper, "_HINTED_SECONDS", 1e-6)
    looks: list[int] = []
    scan = Library.scan

    def counted(library: Library, *progress: Any) -> Any:
        looks.append(1)
        return scan(library, *progress)

    monkeypatch.setattr(Library, "scan", counted)
    path = write_skill("one")
    keeping = keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))
    time.sleep(0.3)  # until it waits
    before = len(looks)
    path.with_name("build").mkdir()  # once at least, whatever the first looks took
    _until(lambda: len(looks) > before)
    before = len(looks)
    for n in range(10):
        path.with_name(f"build-{n}").mkdir()
        time.sleep(0.05)
    assert len(looks) == before
    keeping.look()
    _until(lambda: len(looks) > before)


def test_what_changes_before_the_watch_begins_is_found(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "RESCAN_SECONDS", 0.1)
    monkeypatch.setattr(keeper, "WATCHED_RESCAN_SECONDS", 10 * PATIENCE)
    follow = Watch.follow

    def late(self: Watch, *given: Any) -> str:
        write_skill("one")
        return follow(self, *given)

    monkeypatch.setattr(Watch, "follow", late)
    keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))


def test_what_another_process_commits_is_seen_long_before_the_next_look(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    root: Path,
    model: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RESCAN_SECONDS", "WATCHED_RESCAN_SECONDS"):
        monkeypatch.setattr(keeper, name, 10 * PATIENCE)
    write_skill("one")
    keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))
    time.sleep(0.3)  # until it waits
    other = Library(library.home, [Root(root, "user")], Fingerprint.of(model))
    try:
        _until(lambda: _forgot(other))
        _until(lambda: _state(library) == (0, 0))
    finally:
        other.close()


def _forgot(library: Library) -> bool:
    with library.writing() as mine:
        if mine:
            library.forget()
        return mine


def test_where_watching_is_refused_looking_finds_changes(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(keeper, "WATCHED_RESCAN_SECONDS", 10 * PATIENCE)
    monkeypatch.setattr(Watch, "follow", lambda *_: "no watches are left")
    keep(library, lambda: counting)
    for number in (1, 2):
        write_skill(f"skill-{number}", body=f"number {number}")
        _until(lambda number=number: _state(library) == (number, 0))  # type: ignore[misc]
    (record,) = caplog.records
    assert record.getMessage().startswith("no watches are left; changes are found by looking")


def test_the_model_is_not_asked_for_while_there_is_nothing_to_embed(
    library: Library, keep: Callable[..., Keeper]
) -> None:
    keeping = keep(library, _nothing_to_embed)
    assert keeping.wait_for_scan(PATIENCE)
    keeping.stop()
    assert _state(library) == (0, 0)


def test_skills_are_visible_by_their_words_while_the_model_loads(
    library: Library, keep: Callable[..., Keeper], write_skill: Any, counting: Any
) -> None:
    write_skill("one")
    loaded = threading.Event()

    def encoder() -> Any:
        assert loaded.wait(PATIENCE)
        return counting

    keeping = keep(library, encoder)
    assert keeping.wait_for_scan(PATIENCE)
    assert _state(library) == (1, 1)
    loaded.set()
    _until(lambda: _state(library) == (1, 0))


def test_waiting_for_the_scan_ends_in_time(library: Library, keep: Callable[..., Keeper]) -> None:
    assert not Keeper(library, _nothing_to_embed).wait_for_scan(0)


def test_stopping_ends_the_thread_after_the_batch_at_hand(
    library: Library, keep: Callable[..., Keeper], write_skill: Any, counting: Any
) -> None:
    for n in range(40):
        write_skill(f"skill-{n}", body=f"number {n}")
    embedding = threading.Event()

    class Slow:
        def encode_documents(self, texts: list[str]) -> Any:
            embedding.set()
            return counting.encode_documents(texts)

    keeping = keep(library, Slow)
    assert embedding.wait(PATIENCE)
    keeping.stop()
    done = 40 - library.pending()
    assert 0 < done <= 40
    assert _state(library) == (40, 40 - done)
    keeping.stop()


def test_requests_go_before_each_document_that_is_embedded(
    library: Library, write_skill: Any, counting: Any
) -> None:
    for n in range(3):
        write_skill(f"skill-{n}", body=f"number {n}")
    before_any: list[bool] = []
    keeping = Keeper(library, lambda: counting, lambda: before_any.append(not counting.texts))
    keeping.start()
    _until(lambda: _state(library) == (3, 0))
    keeping.stop()
    assert sum(before_any) >= 3


@pytest.mark.parametrize(
    ("pause", "cost", "seconds"), [(2.0, 0.1, 2.0), (100.0, 0.5, 30.0), (4000.0, 20.0, 400.0)]
)
def test_looks_take_little_of_the_time_while_skills_are_embedded(
    monkeypatch: pytest.MonkeyPatch, pause: float, cost: float, seconds: float
) -> None:
    monkeypatch.setattr(keeper, "WATCHED_RESCAN_SECONDS", 30.0)
    assert keeper._stint(pause, cost) == seconds


def test_one_that_was_never_started_can_be_stopped(library: Library) -> None:
    Keeper(library, _nothing_to_embed).stop()


def test_beside_another_process_it_takes_over_what_that_commits(
    library: Library,
    keep: Callable[..., Keeper],
    tmp_path: Path,
    root: Path,
    model: Model,
    write_skill: Any,
    counting: Any,
) -> None:
    other = Library(tmp_path / "home", [Root(root, "user")], Fingerprint.of(model))
    try:
        with other.writing() as mine:
            assert mine
            keeping = keep(library, _nothing_to_embed)
            assert not keeping.wait_for_scan(0.1)
            write_skill("one")
            other.scan()
            assert keeping.wait_for_scan(PATIENCE)
            assert _state(library) == (1, 1)
            for _ in other.embed(counting):
                pass
            _until(lambda: _state(library) == (1, 0))
            keeping.stop()
    finally:
        other.close()


def test_home_that_is_deleted_is_made_again(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "WATCHED_RESCAN_SECONDS", 0.02)
    write_skill("one")
    keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))
    library.home.rename(library.home.with_name("gone"))
    _until((library.home / "index.db").exists)
    _until(lambda: _state(library) == (1, 0))


def test_index_mended_by_another_process_is_not_set_aside(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    open_library: Callable[..., Library],
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "WATCHED_RESCAN_SECONDS", 0.02)
    write_skill("one")
    keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0))
    other = open_library()
    with other.writing(timeout=PATIENCE):
        path = library.home / "index.db"
        damage(path)
        broken = path.stat().st_ino
        other.start_over()
        mended = path.stat().st_ino
        assert mended != broken
    write_skill("two", body="other")
    _until(lambda: _state(library) == (2, 0))
    assert path.stat().st_ino == mended


@pytest.mark.parametrize(
    "error", [ModelError("the file is cut short"), DatabaseError("locked"), OSError("disk gone")]
)
def test_trouble_is_told_once_and_tried_again(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    write_skill("one")
    attempts: list[int] = []

    def encoder() -> Any:
        attempts.append(1)
        if len(attempts) < 4:
            raise error
        return counting

    with caplog.at_level(logging.ERROR):
        keeping = keep(library, encoder)
        assert keeping.wait_for_scan(PATIENCE)
        _until(lambda: _state(library) == (1, 0))
    (record,) = caplog.records
    assert str(error) in record.getMessage()
    assert record.exc_info is None


def test_an_empty_library_is_known_to_be_empty_only_after_a_look_of_its_own(
    library: Library, keep: Callable[..., Keeper], tmp_path: Path, root: Path, model: Model
) -> None:
    other = Library(tmp_path / "home", [Root(root, "user")], Fingerprint.of(model))
    try:
        with other.writing() as mine:
            assert mine
            keeping = keep(library, _nothing_to_embed)
            assert not keeping.wait_for_scan(0.1)
        assert keeping.wait_for_scan(PATIENCE)
    finally:
        other.close()


def test_what_another_process_forgot_it_may_be_reading_anew(
    library: Library,
    keep: Callable[..., Keeper],
    tmp_path: Path,
    root: Path,
    model: Model,
    write_skill: Any,
    counting: Any,
) -> None:
    write_skill("one")
    other = Library(tmp_path / "home", [Root(root, "user")], Fingerprint.of(model))
    try:
        with other.writing() as mine:
            assert mine
            other.scan()
            keeping = keep(library, lambda: counting)
            assert keeping.wait_for_scan(PATIENCE)
            other.forget()
            _until(lambda: not keeping.wait_for_scan(0))
            assert _state(library) == (0, 0)
        assert keeping.wait_for_scan(PATIENCE)
        assert _state(library)[0] == 1
    finally:
        other.close()


def test_a_first_look_that_fails_is_told_without_waiting(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "_RETRY_SECONDS", 10 * PATIENCE)
    _tries_again(monkeypatch, OSError("no space left"))
    keeping = keep(library, lambda: counting)
    assert not keeping.wait_for_scan(PATIENCE)
    assert keeping.complaint == "no space left"


def test_a_complaint_ends_with_its_cause(
    library: Library,
    keep: Callable[..., Keeper],
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_skill("one")
    _tries_again(monkeypatch, OSError("no space left"), AssertionError())
    keeping = keep(library, lambda: counting)
    _until(lambda: _state(library) == (1, 0) and not keeping.complaint)
    assert keeping.wait_for_scan(0)


def test_stopping_ends_the_wait_for_a_scan(
    library: Library, keep: Callable[..., Keeper], tmp_path: Path, root: Path, model: Model
) -> None:
    other = Library(tmp_path / "home", [Root(root, "user")], Fingerprint.of(model))
    try:
        with other.writing() as mine:
            assert mine
            keeping = keep(library, _nothing_to_embed)
            threading.Timer(0.05, keeping.stop).start()
            assert not keeping.wait_for_scan(10 * PATIENCE)
    finally:
        other.close()
