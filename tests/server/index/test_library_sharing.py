"""One home, several processes: each is a `Library` of its own here, as locks and files see it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.index import synchroniser
from skillrouter_mcp.index.clauses import Clause
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import Encoding
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.words import SECTION, WordIndex

Opener = Callable[..., Library]
_SIDES = ("-wal", "-shm")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _step(library: Library, encoder: Any) -> None:
    with library.writing() as mine:
        assert mine
        library.scan()
        for _ in library.embed(encoder):
            pass
        library.refresh()


def _state(library: Library) -> tuple[int, int]:
    snapshot = library.refresh()
    return len(snapshot.visible), snapshot.pending


def _set_aside(home: Path) -> list[Path]:
    return [path for path in home.glob("index.db.damaged-*") if path.suffix[-4:] not in _SIDES]


@pytest.fixture
def amid_a_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Has something happen before and after the vectors are read for the next snapshot."""

    def arrange(event: Callable[[], None]) -> None:
        vectors = Encoding.vectors
        left = [event, event]
        happening = False

        def happen() -> None:
            nonlocal happening
            if left and not happening:
                happening = True
                left.pop()()
                happening = False

        def interrupted(encoding: Encoding, *passages: Any) -> Any:
            happen()
            found = vectors(encoding, *passages)
            happen()
            return found

        monkeypatch.setattr(Encoding, "vectors", interrupted)

    return arrange


def test_snapshot_holds_nothing_of_what_is_committed_while_it_is_read(
    open_library: Opener, write_skill: Any, counting: Any, amid_a_read: Any
) -> None:
    reader, writer = open_library(), open_library()
    write_skill("skill-0")
    _step(writer, counting)

    def commit() -> None:
        number = len(counting.texts)
        write_skill(f"skill-{number}", body=f"number {number}")
        with writer.writing():
            writer.scan()
            list(writer.embed(counting))

    amid_a_read(commit)
    assert _state(reader) == (1, 0)
    assert _state(reader) == (3, 0)


def test_snapshot_is_read_to_its_end_while_another_process_forgets_everything(
    open_library: Opener, write_skill: Any, counting: Any, amid_a_read: Any
) -> None:
    reader, writer = open_library(), open_library()
    write_skill("one")
    _step(writer, counting)

    def forget() -> None:
        with writer.writing():
            writer.forget()

    amid_a_read(forget)
    assert _state(reader) == (1, 0)
    assert _state(reader) == (0, 0)


def test_index_that_another_process_made_anew_is_taken_over(
    open_library: Opener, write_skill: Any, counting: Any, home: Path, damage: Any
) -> None:
    write_skill("one")
    library = open_library()
    _step(library, counting)
    damage(home / "index.db")
    other = open_library()
    with other.writing():
        other.forget()
    _step(other, counting)
    made = len(_set_aside(home))

    with library.writing() as mine:
        assert mine
        assert not library.damage()
    assert _state(library) == (1, 0)
    assert len(_set_aside(home)) == made == 1


def test_index_made_anew_is_followed_while_the_other_process_writes_it(
    open_library: Opener, write_skill: Any, counting: Any, home: Path
) -> None:
    write_skill("one")
    library = open_library()
    _step(library, counting)
    shutil.rmtree(home)
    other = open_library()
    with other.writing():
        other.scan()
        with library.writing() as mine:
            assert not mine
        assert _state(library) == (1, 1)


def test_starting_over_spares_a_database_that_is_whole(
    open_library: Opener, write_skill: Any, counting: Any, home: Path
) -> None:
    write_skill("one")
    library = open_library()
    _step(library, counting)
    with library.writing():
        library.start_over()
    assert _state(library) == (1, 0)
    assert _set_aside(home) == []


def test_home_that_was_deleted_is_made_again(
    open_library: Opener, write_skill: Any, counting: Any, home: Path
) -> None:
    write_skill("one")
    library = open_library()
    _step(library, counting)
    shutil.rmtree(home)
    _step(library, counting)
    assert _state(library) == (1, 0)
    assert (home / "index.db").exists()
    assert library.words.ids() == set(library.snapshot.visible.tolist())


def test_library_that_could_not_be_reopened_is_when_it_can_be(
    open_library: Opener, write_skill: Any, counting: Any, home: Path
) -> None:
    write_skill("one")
    library = open_library()
    _step(library, counting)
    shutil.rmtree(home)
    open_library().close()
    newer = Database(home / "index.db", "write")
    newer.run("PRAGMA user_version = 999")
    newer.close()
    for _ in range(2):
        with pytest.raises(DatabaseError, match="newer"), library.writing():
            pass
    shutil.rmtree(home)
    _step(library, counting)
    assert _state(library) == (1, 0)


def test_words_that_another_process_has_completed_are_seen(
    open_library: Opener, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("one", body="compress the logs")
    mine, other = open_library(), open_library()
    seen: list[frozenset[int]] = []
    update = WordIndex.update

    def update_later(self: WordIndex, *given: Any) -> None:
        other.refresh()
        seen.append(other.words.without_sections)
        update(self, *given)

    monkeypatch.setattr(WordIndex, "update", update_later)
    monkeypatch.setattr(synchroniser, "_READ_BATCH", 1)
    with mine.writing():
        mine.scan()
    assert len(seen[-1]) == 1
    other.refresh()
    assert other.words.without_sections == frozenset()
    assert len(other.words.search(SECTION, [Clause(("compress",))], 5)) == 1
