"""Opening the database of a home: to write it, to read it as it is; setting a damaged one aside."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DatabaseError, UnwritableDatabaseError

_LOG = logging.getLogger(__name__)
_ASIDE = ".damaged-"


def open_to_write(path: Path) -> Database:
    """The database, made where there is none, with the tables of this version.

    Raises:
        DamagedDatabaseError: the file belongs to another program, or is damaged.
        UnwritableDatabaseError: it cannot be written.
        DatabaseError: it cannot be opened, or belongs to a newer version.
    """
    database = Database(path, "write")
    try:
        schema.prepare(database)
    except DatabaseError:
        database.close()
        raise
    return database


def open_as_it_is(path: Path, error: UnwritableDatabaseError) -> Database:
    """The database to be read, raising the error where that is of no use."""
    if not path.exists():
        raise error
    database = Database(path, "read")
    try:
        if not schema.is_current(database):
            raise error
    except DatabaseError:
        database.close()
        raise
    return database


def set_aside(path: Path, reason: str) -> None:
    """Gives a damaged database another name.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}{_ASIDE}{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(aside.with_name(aside.name + suffix))
    _LOG.warning("%s: %s; set aside as %s and made anew", path, reason, aside.name)


def set_asides(path: Path) -> list[Path]:
    """The files that `set_aside` has given other names, by name."""
    return sorted(path.parent.glob(f"{path.name}{_ASIDE}*"))
