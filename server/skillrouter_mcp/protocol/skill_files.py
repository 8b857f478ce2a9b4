"""The files of a skill's folder, and nothing else: no link out, no pipe, nothing endless.

A skill may have been packed by a stranger, and may change while it is read. So what was checked is
what is read: folders and files are opened one by one from the skill's own folder down, none of
them through a link.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from skillrouter_mcp.skills import printable

MAX_FILES = 512
"""Files that a skill may have, `SKILL.md` included; the limit that hosts must support."""

MAX_BYTES = 16 * 1024 * 1024
"""Bytes that a skill's files may have together; the limit that hosts must support."""

_LEFT_OUT = frozenset({".git", "node_modules", "__pycache__"})
_MAX_ENTRIES = 10_000  # of folders, before a skill counts as too large
_READ_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_IS_A_LINK = (errno.ELOOP, errno.EMLINK)  # BSD says the latter

Parts = tuple[str, ...]


class NotServedError(Exception):
    """A file that is not served; the text, safe to print, says why."""


class TooLargeError(NotServedError):
    """A skill over one of the limits."""


def read_file(folder: str, parts: Sequence[str]) -> bytes:
    """The bytes of a file of a skill, at most `MAX_BYTES`.

    Args:
        folder: the skill's folder.
        parts: names from that folder down to the file.

    Raises:
        NotServedError: there is no such file, or it is none to be served.
        OSError: it can't be read.
    """
    shown = printable("/".join(parts), 200)
    base = os.path.realpath(folder)
    try:
        with os.fdopen(_open(base, _without_link(base, parts)), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotServedError(f"{shown} is no regular file")
            data = file.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else None
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise NotServedError(f"the skill has no file {shown}") from None
    except OSError as error:
        if error.errno in _IS_A_LINK:
            raise NotServedError(f"{shown} is a link, or lies behind one") from None
        raise
    except ValueError:  # a name that no file can have
        raise NotServedError(f"the skill has no file {shown}") from None
    if data is None or len(data) > MAX_BYTES:
        raise TooLargeError(f"{shown} has more than {MAX_BYTES:,} bytes")
    return data


def list_folder(folder: str, parts: Sequence[str] = ()) -> Iterator[tuple[str, bool]]:
    """Name of each file and folder in one folder of a skill, and whether it is a folder.

    What `read_file` would not serve is left out.

    Raises:
        NotServedError: there is no such folder in the skill.
        OSError: it can't be read.
    """
    base = os.path.realpath(folder)
    shown = printable("/".join(parts), 200)
    if _LEFT_OUT.intersection(parts):
        raise NotServedError(f"the skill has no folder {shown}")
    try:
        with _open_folder(base, parts) as here, os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _LEFT_OUT:
                        yield entry.name, True
                elif _is_served(base, (*parts, entry.name)):
                    yield entry.name, False
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotServedError(f"the skill has no folder {shown}") from None
    except OSError as error:
        if error.errno in _IS_A_LINK:
            raise NotServedError(f"{shown} is a link, or lies behind one") from None
        raise


def list_files(folder: str) -> list[Parts]:
    """Every file of a skill, sorted.

    Raises:
        TooLargeError: there are more than a skill may have.
        OSError: a folder can't be read.
    """
    files: list[Parts] = []
    folders: list[Parts] = [()]
    seen = 0
    while folders:
        parts = folders.pop()
        for name, is_folder in list_folder(folder, parts):
            seen += 1
            (folders if is_folder else files).append((*parts, name))
            if len(files) > MAX_FILES or seen > _MAX_ENTRIES:
                raise TooLargeError(f"the skill's folder holds more than {MAX_FILES} files")
    return sorted(files)


def _is_served(base: str, parts: Parts) -> bool:
    try:
        status = os.lstat(os.path.join(base, *_without_link(base, parts)))  # noqa: PTH118
    except (NotServedError, FileNotFoundError):
        return False
    return stat.S_ISREG(status.st_mode)


def _without_link(base: str, parts: Sequence[str]) -> Sequence[str]:
    """The way to a file, past the link that it may be; the folders on it must be none."""
    path = os.path.join(base, *parts)  # noqa: PTH118
    shown = printable("/".join(parts), 200)
    if os.path.islink(path):  # noqa: PTH114
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(base):
            raise NotServedError(f"{shown} is a link that leads out of the skill's folder")
        parts = Path(target).relative_to(base).parts
    if not parts or _LEFT_OUT.intersection(parts):
        raise NotServedError(f"the skill has no file {shown}")
    return parts


if sys.platform == "win32":

    @contextmanager
    def _open_folder(base: str, parts: Sequence[str]) -> Iterator[str]:
        path = os.path.join(base, *parts)  # noqa: PTH118
        if os.path.realpath(path) != path:
            raise NotADirectoryError(path)
        yield path

    def _open(base: str, parts: Sequence[str]) -> int:
        path = os.path.join(base, *parts)  # noqa: PTH118
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise NotServedError(f"{printable('/'.join(parts), 200)} is no regular file")
        opened = os.open(path, os.O_RDONLY | _BINARY)
        if os.path.realpath(path) != path or not os.path.samestat(os.fstat(opened), os.lstat(path)):
            os.close(opened)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return opened
else:

    @contextmanager
    def _open_folder(base: str, parts: Sequence[str]) -> Iterator[int]:
        here = os.open(base, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)
        try:
            for part in parts:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK, dir_fd=here)
                os.close(here)
                here = inner
            yield here
        finally:
            os.close(here)

    def _open(base: str, parts: Sequence[str]) -> int:
        *folders, name = parts
        with _open_folder(base, folders) as here:
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                raise NotServedError(f"{printable('/'.join(parts), 200)} is no regular file")
            return os.open(name, os.O_RDONLY | _NO_LINK | _READ_AT_ONCE, dir_fd=here)
