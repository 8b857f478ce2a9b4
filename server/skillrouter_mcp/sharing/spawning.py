"""Starting the owner of an index, apart from whoever starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from skillrouter_mcp.home import home_in_force
from skillrouter_mcp.sharing.channel import is_attended

COMMAND = (sys.executable, "-m", "skillrouter_mcp.sharing.owner")
LOG_FILE = "owner.log"
_LOCK_FILE = "spawn.lock"
_MOST_LOG_BYTES = 1_000_000
_AGAIN_SECONDS = 0.5  # after one was started that found another owner


def start_ahead() -> Spawner | None:
    """Starts the owner for which a server will ask once it has loaded what it needs itself.

    Returns: who has started it, or found that there is one; None where the home cannot be used, as
    whoever reads the settings will be told.
    """
    try:
        spawner = Spawner(home_in_force())
    except ValueError:
        return None
    with spawner, suppress(UnfitError, RuntimeError):  # there may be no room for a thread
        if not is_attended(spawner.home):
            spawner.see_to_it()
    return spawner


class UnfitError(Exception):
    """No owner can be started here; says why."""


class Spawner:
    """Within `with` it starts an owner, unless another process is already doing so."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._lock = FileLock(home / _LOCK_FILE)
        self._child: subprocess.Popen[bytes] | None = None
        self._spawned_at = 0.0

    def see_to_it(self) -> None:
        """To be called again and again until there is an owner.

        Raises:
            UnfitError: there can be none.
        """
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock.is_locked:
                self._lock.acquire(timeout=0)
        except Timeout:
            return
        except (OSError, NotImplementedError) as error:
            raise UnfitError(f"{self.home} cannot be written: {error}") from None
        if self._is_coming():
            return
        try:
            self._child = self._spawn()
        except OSError as error:
            raise UnfitError(f"{COMMAND[0]} cannot be started: {error}") from None
        self._spawned_at = time.monotonic()
        # So that it is gone once it has ended, whoever starts the next one.
        threading.Thread(target=self._child.wait, name="owner", daemon=True).start()

    def _is_coming(self) -> bool:
        """Whether one that was started may still become the owner."""
        if self._child is None:
            return False
        status = self._child.poll()
        if status is None:
            return True
        age = time.monotonic() - self._spawned_at
        if status > 0 and age < _AGAIN_SECONDS + 10:
            raise UnfitError(
                f"the process that would hold the models has ended with status {status} "
                f"(see {self.home / LOG_FILE})"
            )
        return status == 0 and age < _AGAIN_SECONDS

    def _spawn(self) -> subprocess.Popen[bytes]:
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            apart = {"creationflags": flags}
        with self._log() as log:
            return subprocess.Popen(
                (*COMMAND, str(self.home)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=os.environ | {"PYTHONSAFEPATH": "1"},
                **apart,
            )

    def _log(self) -> IO[bytes]:
        path = self.home / LOG_FILE
        with suppress(OSError):
            if path.stat().st_size > _MOST_LOG_BYTES:
                path.unlink()
        return path.open("ab")

    def __enter__(self) -> Spawner:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
