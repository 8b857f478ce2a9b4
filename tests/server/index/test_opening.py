from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedDatabaseError, UnwritableDatabaseError
from skillrouter_mcp.index.opening import open_as_it_is, open_to_write, set_aside

REASON = UnwritableDatabaseError("the disk is full")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of ours, with a row in its log and not yet in the file."""
    return tmp_path / "index.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Database]:
    database = open_to_write(path)
    database.run("INSERT INTO library VALUES ('colour', 'blue')")
    yield database
    database.close()


def _colour(database: Database) -> object:
    try:
        return database.value("SELECT value FROM library WHERE key = 'colour'")
    finally:
        database.close()


def test_it_is_read_while_another_writes(path: Path, writer: Database) -> None:
    assert _colour(open_to_write(path)) == "blue"
    assert _colour(open_as_it_is(path, REASON)) == "blue"


def test_a_locked_one_can_be_opened(path: Path, writer: Database) -> None:
    with writer.transaction():
        assert _colour(open_to_write(path)) == "blue"


def test_where_it_cannot_be_read_the_first_error_counts(path: Path) -> None:
    with pytest.raises(UnwritableDatabaseError, match="the disk is full"):
        open_as_it_is(path, REASON)
    assert not path.exists()
    Database(path, "write").close()
    with pytest.raises(UnwritableDatabaseError, match="the disk is full"):
        open_as_it_is(path, REASON)  # it has no tables
    path.write_bytes(b"garbage " * 1_000)
    with pytest.raises(DamagedDatabaseError):
        open_as_it_is(path, REASON)


def test_what_belongs_to_another_program_is_left_as_it_is(path: Path) -> None:
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(DamagedDatabaseError, match="belongs to another program"):
        open_to_write(path)
    assert path.read_bytes() == content


def test_what_is_set_aside_keeps_its_log(
    path: Path, writer: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{path}.copy{suffix}")
    set_aside(path.with_name(f"{path.name}.copy"), "is damaged")
    assert "is damaged; set aside as index.db.copy.damaged-" in caplog.text
    (aside,) = (found for found in path.parent.glob("*.damaged-*") if found.name[-4:] != "-wal")
    assert _colour(Database(aside, "read")) == "blue"
