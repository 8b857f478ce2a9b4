"""Files fetched from the hub: taken up where they were left, and checked whole."""

from __future__ import annotations

import errno
import hashlib
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from skillrouter_gguf import hub
from skillrouter_gguf.errors import ConnectionLostError, DownloadError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skillrouter_gguf.hub import Listing, RemoteFile

# Seconds to wait after a connection that brought nothing; then it is given up.
_WAITS = (1.0, 2.0, 4.0, 8.0)
_CHUNK = 1 << 20
_SHA256_LENGTH = 64
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class Progress(Protocol):
    """Hears how far a download is."""

    def say(self, sentence: str) -> None:
        """Something that takes a while begins, or did not go as planned."""

    def fetching(self, name: str, done: int, total: int) -> None:
        """So many bytes of the file `name` are here."""


class Download:
    """The files of one commit, kept in `folder` under names made of their digests.

    What a run that was cut off or killed has written is taken up by the next one.
    """

    def __init__(self, listing: Listing, folder: Path, progress: Progress) -> None:
        self._listing = listing
        self._folder = folder
        self._progress = progress

    def missing_bytes(self, files: Sequence[RemoteFile]) -> int:
        """How much of `files` is still to come."""
        return sum(
            max(0, file.size - _size(self._part(file)))
            for file in files
            if hub.cached_file(self._listing, file) is None
        )

    def fetch(self, file: RemoteFile) -> Path:
        """The file, whole and checked: in the hub's own cache if it is there, else downloaded.

        Raises:
            ConnectionLostError: if the connection fails and several more tries bring nothing.
            DownloadError: if the file can't be had, is not what the hub says it is, or the disk
                is full.
        """
        cached = hub.cached_file(self._listing, file)
        if cached is not None and digest_of(cached, file.digest) == file.digest:
            return cached
        part = self._part(file)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._complete(part, file)
            if (found := digest_of(part, file.digest)) != file.digest:
                part.unlink()
                raise DownloadError(
                    f"{hub.page(self._listing.repo)}: {file.name} arrived damaged; its digest is "
                    f"{found}, expected {file.digest}. It was deleted; run this again. If that "
                    "does not help, a proxy or mirror on the way changes it."
                )
        except OSError as error:
            raise DownloadError(disk_trouble(self._folder, error)) from error
        return part

    def forget(self, files: Sequence[RemoteFile]) -> None:
        """Delete what was kept of `files`."""
        for file in files:
            self._part(file).unlink(missing_ok=True)

    def _part(self, file: RemoteFile) -> Path:
        return self._folder / f"{file.digest}.part"

    def _complete(self, part: Path, file: RemoteFile) -> None:
        """Fetch what `part` lacks."""
        waits = list(_WAITS)
        most = _size(part)
        while _size(part) < file.size:
            try:
                self._append(part, file)
            except hub.BeyondEndError:
                part.unlink()
                raise
            except ConnectionLostError:
                if (have := _size(part)) > most:
                    most = have
                    waits = list(_WAITS)
                    continue
                if not waits:
                    raise
                self._progress.say(f"{file.name}: the connection was lost; trying again")
                time.sleep(waits.pop(0))
        if not file.size:
            part.touch()

    def _append(self, part: Path, file: RemoteFile) -> None:
        """Write what one connection brings."""
        with hub.stream(self._listing, file, _size(part)) as (start, pieces):
            with part.open("ab", buffering=0) as out:
                out.truncate(start)
                done = start
                for piece in pieces:
                    out.write(piece)
                    done += len(piece)
                    self._progress.fetching(file.name, min(done, file.size), file.size)
                    if done > file.size:
                        return
            if done < file.size:
                raise ConnectionLostError(
                    f"{hub.page(self._listing.repo)}: the connection ended after {done:,} of "
                    f"{file.size:,} bytes of {file.name}. Run this again; what was fetched is kept."
                )


def digest_of(path: Path, like: str) -> str:
    """The SHA-256 or the git blob id of a file, whichever `like` is. Raises OSError."""
    if len(like) == _SHA256_LENGTH:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def require_room(folder: Path, needed: int) -> None:
    """Raise DownloadError if the disk of `folder`, which may not be there yet, has less left."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise DownloadError(
            f"{folder}: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free on "
            "this disk. Make room, or set SKILLROUTER_HOME to a folder on another disk."
        )


def disk_trouble(folder: Path, error: OSError) -> str:
    """What to say of an error while working in `folder`."""
    if error.errno in _FULL:
        return (
            f"{folder}: the disk is full. Make room and run this again; what was fetched is kept."
        )
    reason = error.strerror or error
    return f"{error.filename or folder}: can't be read or written ({reason})."


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
