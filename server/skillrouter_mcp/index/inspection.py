"""Looking at an index without opening it for use, which would mend what is wrong with it."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Literal

from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedDatabaseError
from skillrouter_mcp.index.library import DATABASE_FILE

State = Literal["missing", "empty", "whole"]

_SHELVES = ("documents", "sections")
_MAGIC = 1337  # how Tantivy ends a file: {"crc": CRC-32 of the rest, …}, its length, this number


def inspect(home: Path) -> State:
    """Whether the database of a home is there and whole; writes nothing.

    Raises:
        DamagedDatabaseError: it is damaged, or belongs to another program or a newer version.
        DatabaseError: it cannot be read; says why.
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
        for file in _damaged_files(folder / shelf)
    ]


def _damaged_files(shelf: Path) -> list[Path]:
    try:
        meta = json.loads((shelf / "meta.json").read_bytes())
        listed = json.loads((shelf / ".managed.json").read_bytes())
        segments = tuple(segment["segment_id"].replace("-", "") for segment in meta["segments"])
        files = [shelf / name for name in listed if name.startswith(segments)]
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return [shelf / "meta.json"]
    return sorted(file for file in files if not _is_whole(file))


def _is_whole(file: Path) -> bool:
    try:
        data = file.read_bytes()
        length, magic = struct.unpack("<II", data[-8:])
        footer = json.loads(data[-8 - length : -8])
        return bool(magic == _MAGIC and footer["crc"] == zlib.crc32(data[: -8 - length]))
    except (FileNotFoundError, struct.error, ValueError, TypeError, KeyError):
        return False
