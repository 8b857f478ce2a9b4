"""Whether the files of a Tantivy index are as they were written, by the checksums within them."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

_MAGIC = 1337  # how a file ends: {"crc": CRC-32 of the rest, …}, its length, this number


def damaged_files(shelf: Path) -> list[Path]:
    """The files in this folder that are missing or not as they were written.

    Raises:
        OSError: a file cannot be read.
    """
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
