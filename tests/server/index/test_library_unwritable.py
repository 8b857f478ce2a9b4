"""A home in which nothing can be written: what it holds is found all the same."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from filelock import FileLock

from skillrouter_mcp.index.clauses import Clause
from skillrouter_mcp.index.errors import DatabaseError, UnwritableDatabaseError
from skillrouter_mcp.index.library import Library

Opener = Callable[..., Library]


def _step(library: Library, encoder: Any) -> None:
    with library.writing() as mine:
        assert mine
        library.scan()
        for _ in library.embed(encoder):
            pass
        library.refresh()


def _paths(library: Library) -> list[str]:
    places = library.locate(library.snapshot.visible.tolist())
    return sorted(place.path for place in places.values())


@pytest.fixture
def take_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Takes away the permission to write in any home."""
    connection = apsw.Connection

    def opened(path: str, flags: int | None = None) -> Any:
        if flags is None:
            raise apsw.CantOpenError("unable to open database file")
        return connection(path, flags=flags)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    def take() -> None:
        monkeypatch.setattr(apsw, "Connection", opened)
        monkeypatch.setattr(FileLock, "acquire", refused)
        monkeypatch.setattr(os, "access", lambda *_: False)

    return take


def test_an_index_that_cannot_be_written_is_used_as_it_is(
    open_library: Opener,
    write_skill: Any,
    counting: Any,
    take_away: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write_skill("a", body="one of a kind")
    _step(open_library(), counting)
    before = {file: file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file()}
    write_skill("b", body="another")
    take_away()
    library = open_library()
    assert "unable to open database file" in library.unwritable
    assert "until then skills are found as they were last read" in caplog.text
    assert _paths(library) == [str(path)]
    assert library.snapshot.pending == 0
    assert list(library.words.search("text", [Clause(("kind",))], 5)) == [1]
    for _ in range(2):
        with pytest.raises(UnwritableDatabaseError, match="Permission denied; make it"):
            _step(library, counting)
    assert len(caplog.records) == 1
    assert before == {
        file: file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file()
    }
    monkeypatch.undo()
    _step(library, counting)
    assert not library.unwritable
    assert len(_paths(library)) == 2
    assert library.words.folder.is_relative_to(tmp_path / "home")


def test_words_that_are_missing_beside_an_unwritable_index_are_made_elsewhere(
    open_library: Opener,
    write_skill: Any,
    counting: Any,
    take_away: Callable[[], None],
    tmp_path: Path,
) -> None:
    write_skill("a", body="one of a kind")
    _step(open_library(), counting)
    (folder,) = (tmp_path / "home").glob("words-*")
    shutil.rmtree(folder)
    take_away()
    library = open_library()
    assert list(library.words.search("text", [Clause(("kind",))], 5)) == [1]
    place = library.words.folder
    assert place.exists()
    library.close()
    assert not place.exists()
    assert not folder.exists()


def test_without_an_index_that_could_be_read_an_unwritable_home_is_told(
    open_library: Opener, take_away: Callable[[], None], tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    take_away()
    with pytest.raises(DatabaseError, match=r"index\.db cannot be used"):
        open_library()
    assert list((tmp_path / "home").iterdir()) == []
