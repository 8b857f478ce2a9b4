from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_mcp.index.database import Database, versions
from skillrouter_mcp.index.errors import DamagedDatabaseError, DatabaseError


def test_sqlite_comes_with_sqlite_vec() -> None:
    assert set(versions()) == {"sqlite", "sqlite-vec"}


def test_what_is_committed_is_there_for_another_connection(tmp_path: Path) -> None:
    writer = Database(tmp_path / "a.db", "write")
    writer.run("CREATE TABLE t (x)")
    with writer.transaction():
        writer.run_many("INSERT INTO t VALUES (?)", [(1,), (2,)])
    reader = Database(tmp_path / "a.db", "read")
    assert reader.rows("SELECT x FROM t ORDER BY x") == [(1,), (2,)]
    assert reader.value("SELECT max(x) FROM t") == 2
    assert reader.value("SELECT x FROM t WHERE x > 5") is None
    reader.close()
    writer.close()


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", "write")
    database.run("CREATE TABLE t (x)")

    def fail() -> None:
        with database.transaction():
            database.run("INSERT INTO t VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert database.rows("SELECT * FROM t") == []
    database.close()


def test_version_changes_with_every_commit_of_any_connection(tmp_path: Path) -> None:
    one, other = (Database(tmp_path / "a.db", "write") for _ in range(2))
    one.run("CREATE TABLE t (x)")
    before = one.version()
    assert one.version() == before
    one.run("INSERT INTO t VALUES (1)")
    by_itself = one.version()
    assert by_itself != before
    other.run("INSERT INTO t VALUES (2)")
    assert one.version() != by_itself
    one.close()
    other.close()


def test_what_is_read_together_is_of_one_moment(tmp_path: Path) -> None:
    reader, writer = (Database(tmp_path / "a.db", "write") for _ in range(2))
    writer.run("PRAGMA journal_mode = wal")
    writer.run("CREATE TABLE t (x)")
    with reader.reading():
        before = reader.rows("SELECT x FROM t")
        writer.run("INSERT INTO t VALUES (1)")
        assert reader.rows("SELECT x FROM t") == before == []
    assert reader.rows("SELECT x FROM t") == [(1,)]
    reader.close()
    writer.close()


def test_error_amid_a_reading_ends_it(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", "write")
    with pytest.raises(DatabaseError, match="no such table"), database.reading():
        database.rows("SELECT * FROM t")
    with database.reading():
        assert database.value("SELECT 1") == 1
    database.close()


def test_database_whose_file_was_replaced_or_closed_is_detached(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    database = Database(path, "write")
    database.run("CREATE TABLE t (x)")
    assert not database.detached()
    path.rename(tmp_path / "b.db")
    assert database.detached()
    path.touch()
    assert database.detached()
    (tmp_path / "b.db").replace(path)
    assert not database.detached()
    database.close()
    assert database.detached()


def test_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(DamagedDatabaseError, match=r"a\.db is damaged"):
        Database(path, "write")


def test_place_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="nowhere"):
        Database(tmp_path / "nowhere" / "a.db", "write")


def test_reader_may_not_write(tmp_path: Path) -> None:
    Database(tmp_path / "a.db", "write").close()
    reader = Database(tmp_path / "a.db", "read")
    with pytest.raises(DatabaseError, match="may not be written"):
        reader.run("CREATE TABLE t (x)")
    reader.close()
