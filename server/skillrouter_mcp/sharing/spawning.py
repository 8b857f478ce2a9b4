"""Starting the owner of an index, apart from whoever starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

COMMAND = (sys.executable, "-m", "skillrouter_mcp.sharing.owner")
LOG_FILE = "owner.log"
_LOCK_FILE = "spawn.lock"
_MOST_LOG_BYTES = 1_000_000
_AGAIN_SECONDS = 0.5  # after one was started that found another owner


class UnfitError(Exception):
    """No owner can be started here; says why."""


class Spawner:
    """Within `with` it starts an owner, unless another process is already doing so."""

    def __init__(self, home: Path, profile: Callable[[], str]) -> None:
        """
        Args:
            profile: gives the one that an owner is to be started with.
        """
        self._home = home
        self._profile = profile
        self._lock = FileLock(home / _LOCK_FILE)
        self._child: subprocess.Popen[bytes] | None = None
        self._spawned_at = 0.0

    def see_to_it(self) -> None:
        """To be called again and again until there is an owner.

        Raises:
            UnfitError: there can be none.
        """
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock.is_locked:
                self._lock.acquire(timeout=0)
        except Timeout:
            return
        except (OSError, NotImplementedError) as error:
            raise UnfitError(f"{self._home} cannot be written: {error}") from None
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
                f"(see {self._home / LOG_FILE})"
            )
        return status == 0 and age < _AGAIN_SECONDS

    def _spawn(self) -> subprocess.Popen[bytes]:
        apart: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            apart = {"creationflags": flags}
        with self._log() as log:
            return subprocess.Popen(
                (*COMMAND, str(self._home), self._profile()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                env=os.environ | {"PYTHONSAFEPATH": "1"},
                **apart,
            )

    def _log(self) -> IO[bytes]:
        path = self._home / LOG_FILE
        with suppress(OSError):
            if path.stat().st_size > _MOST_LOG_BYTES:
                path.unlink()
        return path.open("ab")

    def __enter__(self) -> Spawner:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
