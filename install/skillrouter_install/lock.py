"""One change at a time: two that run at once would each undo what the other has on record."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from skillrouter_install.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE_NAME = "clients.lock"
_PATIENCE_SECONDS = 10.0


@contextmanager
def locked(state: Path, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Keeps out other processes that install, uninstall or adopt with the same state folder.

    What a process has locked is free again when it ends, however it ends.

    Args:
        patience: for so many seconds another process is waited for.

    Raises:
        InstallError: another process is at it, or the folder cannot be written.
    """
    lock = FileLock(state / _FILE_NAME)
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience)
    except Timeout:
        raise InstallError(
            "another skillrouter-mcp is installing, uninstalling or adopting at this moment "
            f"(it holds {lock.lock_file}); nothing was changed: run this again when it has ended"
        ) from None
    except OSError as error:
        raise InstallError(f"{lock.lock_file} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
