from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedDatabaseError, DatabaseError


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "a.db", "write")
    yield database
    database.close()


def test_empty_file_gets_tables_and_an_identity_that_stays(database: Database) -> None:
    schema.prepare(database)
    identity = schema.identity(database)
    schema.prepare(database)
    assert schema.identity(database) == identity
    assert database.rows("SELECT * FROM skill") == []


def test_two_files_have_different_identities(database: Database, tmp_path: Path) -> None:
    schema.prepare(database)
    other = Database(tmp_path / "b.db", "write")
    schema.prepare(other)
    assert schema.identity(other) != schema.identity(database)
    other.close()


def test_database_of_another_program_is_refused(database: Database) -> None:
    database.run("CREATE TABLE bookmarks (url)")
    with pytest.raises(DamagedDatabaseError, match="another program"):
        schema.prepare(database)
    assert database.rows("SELECT name FROM sqlite_master") == [("bookmarks",)]


def test_database_of_a_newer_version_is_refused(database: Database) -> None:
    schema.prepare(database)
    database.run("PRAGMA user_version = 999")
    with pytest.raises(DatabaseError, match=r"newer .* SKILLROUTER_HOME") as caught:
        schema.prepare(database)
    assert not isinstance(caught.value, DamagedDatabaseError)
