"""What the file system says, in words for people. Each completes "<path> …"."""

from __future__ import annotations

import errno
import os
import stat

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link, and was a file before,",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def irregular(mode: int) -> str:
    """Why a file of this `st_mode`, which is not that of a regular file, was left alone."""
    kind = _KINDS.get(stat.S_IFMT(mode), "of a kind that holds no text")
    return f"is {kind} and was not opened: put a regular file in its place"


def why(error: OSError | ValueError) -> str:
    """Why something can't be read, and what to do."""
    if not isinstance(error, OSError):
        return "has a path that the system can't take: rename it"
    if isinstance(error, FileNotFoundError):
        return "is gone, or is a link that leads nowhere: put it back or remove the link"
    if isinstance(error, PermissionError):
        return "can't be read (permission denied): grant yourself the right to read it"
    if error.errno == errno.ELOOP:
        return "is a link that leads back to itself: remove it"
    said = os.strerror(error.errno).lower() if error.errno else "unknown error"
    return f"can't be read ({said}): check the disk or network drive that it lies on"
