"""Looking at an index without opening it for use, which would mend what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedDatabaseError
from skillrouter_mcp.index.library import DATABASE_FILE
from skillrouter_mcp.index.segments import damaged_files

State = Literal["missing", "empty", "whole"]

_SHELVES = ("documents", "sections")


def inspect(home: Path) -> State:
    """Whether the database of a home is there and whole; writes nothing.

    Raises:
        DamagedDatabaseError: it is damaged, or belongs to another program.
        DatabaseError: it cannot be read, or belongs to a newer version; says why.
    """
    path = home / DATABASE_FILE
    if not path.exists():
        return "missing"
    database = Database(path, "read")
    try:
        if not schema.version_of(database):
            return "empty"
        found = database.value("PRAGMA quick_check(1)")
        if found != "ok":
            raise DamagedDatabaseError(f"{path} is damaged: {str(found).strip()}")
    finally:
        database.close()
    return "whole"


def damaged_words(home: Path) -> list[Path]:
    """Files of the word index that are missing or not as they were written; none without one.

    Tantivy checks little of what it reads, and may end a search in a panic over what is damaged.

    Raises:
        OSError: a file cannot be read.
    """
    return [
        file
        for folder in home.glob("words-*")
        for shelf in _SHELVES
        for file in damaged_files(folder / shelf)
    ]
