"""Config files read and written whole: links followed, modes kept, nothing half written."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skillrouter_install.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable

BACKUP_SUFFIX = ".skillrouter-backup"
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config file as it is now.

    `path` is its name, `target` the file that the name leads to through links, `content` all of
    its text, None where the file does not exist.
    """

    path: Path
    target: Path
    content: str | None

    @property
    def bom(self) -> str:
        """The byte order mark that it begins with, or nothing."""
        return _BOM if (self.content or "").startswith(_BOM) else ""

    @property
    def text(self) -> str:
        """What a parser should see."""
        return (self.content or "").removeprefix(_BOM)


def read_config(path: Path) -> ConfigFile:
    """Read a config file.

    Raises:
        InstallError: it is no plain file, may not be read, or is not UTF-8.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.is_symlink():
            raise InstallError(f"{path} is a link that leads round in a circle")
        content = target.read_bytes().decode("utf-8") if target.exists() else None
    except UnicodeDecodeError as error:
        raise InstallError(f"{path} is not UTF-8 text (byte {error.start}); convert it") from None
    except OSError as error:
        raise InstallError(f"{path} cannot be read: {error.strerror}") from None
    return ConfigFile(path, target, content)


def write_config(target: Path, content: str, *, private: bool) -> None:
    """Replace a file's content at once, or leave it as it was: written beside it and renamed.

    An existing file keeps its mode and owner, a new one is the user's alone where `private`;
    missing folders are made.

    Raises:
        InstallError: the file or its folder may not be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        previous = target.stat() if target.exists() else None
        if previous is not None and not os.access(target, os.W_OK):
            raise PermissionError(13, "it is read-only")
        _replace(target, content.encode("utf-8"), previous, private=private)
    except OSError as error:
        raise InstallError(f"{target} cannot be written: {error.strerror}") from None


def missing_folders(target: Path) -> list[Path]:
    """The folders above a file that are not there yet, outermost first."""
    return [folder for folder in reversed(target.parents) if not folder.exists()]


def _replace(target: Path, data: bytes, previous: os.stat_result | None, *, private: bool) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None:
            temporary.chmod(stat.S_IMODE(previous.st_mode))
            _keep_owner(temporary, previous)
        elif not private:
            temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _keep_owner(path: Path, previous: os.stat_result) -> None:
    now = path.stat()
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (previous.st_uid, previous.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(path, previous.st_uid, previous.st_gid)


def sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where a folder can be opened for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def back_up(file: ConfigFile) -> Path:
    """Keep a copy of the file beside its name, in place of the copy before it."""
    assert file.content is not None
    backup = file.path.with_name(file.path.name + BACKUP_SUFFIX)
    try:
        if backup.is_symlink():
            raise FileExistsError(17, "a link of that name is in the way")
        _replace(backup, file.content.encode("utf-8"), file.target.stat(), private=True)
    except OSError as error:
        raise InstallError(f"no backup can be made at {backup}: {error.strerror}") from None
    return backup


def remove_created(target: Path, made_folders: Iterable[Path]) -> None:
    """Delete a file that an install created, and the folders it made where nothing else is in."""
    try:
        target.unlink()
    except OSError as error:
        raise InstallError(f"{target} cannot be deleted: {error.strerror}") from None
    for folder in reversed(list(made_folders)):
        try:
            folder.rmdir()
        except OSError:
            break
