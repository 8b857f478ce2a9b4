"""The one door to SQLite: apsw, which brings its own SQLite, with sqlite-vec loaded into it."""

from __future__ import annotations

import ctypes
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import apsw
import sqlite_vec

from skillrouter_mcp.index.errors import (
    DamagedDatabaseError,
    DatabaseError,
    UnwritableDatabaseError,
)

Row = tuple[Any, ...]

_BUSY_TIMEOUT_MS = 10_000
_LEAST_SPACE = 65_536  # bytes


class Database:
    """One connection, to be used by one thread at a time (a lock sees to it).

    Raises:
        DamagedDatabaseError: the file is not a database, or is damaged.
        UnwritableDatabaseError: it cannot be written.
        DatabaseError: it cannot be opened, read or written.
    """

    def __init__(self, path: Path, mode: Literal["read", "write"]) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._errors():
            self._connection = _opened(path, mode)
            try:
                self._prepare(mode)
            except BaseException:
                self._connection.close(True)
                raise

    def _prepare(self, mode: str) -> None:
        connection = self._connection
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        connection.enable_load_extension(False)
        if mode == "write":
            connection.pragma("synchronous", "normal")
            connection.pragma("foreign_keys", True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise DamagedDatabaseError(f"{self.path} is damaged: {error}") from error
        except apsw.FullError as error:
            raise UnwritableDatabaseError(_full(self.path)) from error
        except (apsw.ReadOnlyError, apsw.PermissionsError, apsw.AuthError) as error:
            raise UnwritableDatabaseError(f"{self.path} may not be written: {error}") from error
        except (apsw.CantOpenError, apsw.IOError) as error:
            raise UnwritableDatabaseError(
                _full(self.path)
                if _is_full(self.path.parent)
                else f"{self.path} cannot be used: {error}; see whether it and its folder can be "
                "written"
            ) from error
        except (apsw.BusyError, apsw.LockedError) as error:
            raise DatabaseError(f"{self.path} is locked by another program: {error}") from error
        except apsw.Error as error:
            raise DatabaseError(f"{self.path}: {error}") from error

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[Row]:
        """All rows of one statement."""
        with self._lock, self._errors():
            return self._connection.execute(sql, bindings).fetchall()

    def each(self, sql: str, bindings: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of one statement one by one, for those that should not all be held at once."""
        with self._lock, self._errors():
            yield from self._connection.execute(sql, bindings)

    def value(self, sql: str, bindings: Sequence[Any] = ()) -> Any:
        """The first column of the first row, None without one."""
        with self._lock, self._errors():
            row = self._connection.execute(sql, bindings).fetchone()
            return None if row is None else row[0]

    def run(self, sql: str, bindings: Sequence[Any] = ()) -> int:
        """Runs one statement; the rowid that it inserted last."""
        with self._lock, self._errors():
            self._connection.execute(sql, bindings)
            return self._connection.last_insert_rowid()

    def run_many(self, sql: str, bindings: Sequence[Sequence[Any]]) -> None:
        """Runs one statement for each of the bindings."""
        with self._lock, self._errors():
            self._connection.executemany(sql, bindings)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; takes SQLite's write lock at once."""
        with self._lock:
            with self._errors():
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                with self._errors():
                    self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All that is read within is of one moment, whatever other connections commit."""
        with self._lock:
            with self._errors():
                self._connection.execute("BEGIN")
            try:
                yield
            finally:
                with self._errors():
                    if self._connection.in_transaction:
                        self._connection.execute("COMMIT")

    def detached(self) -> bool:
        """Whether this is closed, or its file is no longer the one at the path (as SQLite's
        SQLITE_FCNTL_HAS_MOVED tells)."""
        moved = ctypes.c_int(0)
        with self._lock, self._errors():
            try:
                self._connection.file_control(
                    "main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved)
                )
            except apsw.ConnectionClosedError:
                return True
        return bool(moved.value)

    def version(self) -> tuple[int, int]:
        """Differs from an earlier call's once this or any other connection has changed a row."""
        with self._lock:
            return int(self.value("PRAGMA data_version")), self._connection.total_changes()

    def close(self) -> None:
        with self._lock, self._errors():
            self._connection.close()


def _opened(path: Path, mode: str) -> apsw.Connection:
    if mode == "write":
        connection = apsw.Connection(str(path))
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        return connection
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    try:
        connection.pragma("user_version")
        return connection
    except BaseException as error:
        connection.close(True)
        log = path.with_name(f"{path.name}-wal")
        if not isinstance(error, (apsw.CantOpenError, apsw.IOError, apsw.ReadOnlyError)):
            raise
        if not path.is_file() or (log.exists() and log.stat().st_size):
            raise
    # Nothing can be written beside it, not even what readers tell each other of; without a log, all
    # is in the file, and nobody changes it.
    still = f"{path.absolute().as_uri()}?immutable=1"
    return apsw.Connection(still, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def _full(path: Path) -> str:
    return f"no space is left to write {path}: free some, and it goes on by itself"


def _is_full(folder: Path) -> bool:
    """Whether a disk cannot take what SQLite notes beside a database before it opens it."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_SPACE
    except OSError:
        return False


def versions() -> dict[str, str]:
    """SQLite's and sqlite-vec's versions, proven by loading them into an empty database.

    Raises:
        DatabaseError: the extension does not load.
    """
    database = Database(Path(":memory:"), "write")
    try:
        return {
            "sqlite": str(apsw.sqlite_lib_version()),
            "sqlite-vec": str(database.value("SELECT vec_version()")),
        }
    finally:
        database.close()
