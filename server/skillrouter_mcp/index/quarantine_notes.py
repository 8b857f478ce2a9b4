"""What the engines of this process are at, and what those of a process that crashed were at.

A process may have several engines at once, and leaves one file behind where it crashes. So all
write their notes into the same, for as long as any of them is at work.
"""

from __future__ import annotations

import faulthandler
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_FILE = "engine-{}.crash"
_CRASHED = ("Fatal Python error", "Windows fatal exception")  # as faulthandler writes it


class Notes:
    """What is at hand, by the key of the model and engine; safe to use from several threads.

    There is one of them in a process, as there is one `faulthandler`.
    """

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._at_hand: list[tuple[str, frozenset[str]]] = []
        self._alone = False
        self._armed: list[Path] = []
        self._file: IO[bytes] | None = None
        self._path = Path()

    def arm(self, home: Path) -> None:
        """From now on a crash of this process leaves behind what was at hand, until `disarm` was
        called as often. Without effect where something else already looks after crashes, or
        nothing can be written.

        Args:
            home: where it is left; where there are several, in the one that came first.
        """
        with self._turn:
            self._armed.append(home)
            self._settle()

    def disarm(self, home: Path) -> None:
        """Ends what one `arm` began."""
        with self._turn:
            self._armed.remove(home)
            self._settle()

    @contextmanager
    def noting(self, key: str, digests: frozenset[str], *, alone: bool) -> Iterator[None]:
        """An engine is at the texts with these digests.

        Args:
            alone: no engine of this process may have anything else at hand meanwhile.
        """
        mine = key, digests
        with self._turn:
            self._turn.wait_for(lambda: not self._alone and not (alone and self._at_hand))
            self._alone = alone
            self._at_hand.append(mine)
            self._write()
        try:
            yield
        finally:
            with self._turn:
                self._at_hand.remove(mine)
                self._alone = False
                self._write()
                self._turn.notify_all()

    def _settle(self) -> None:
        """Has the file lie in a home of those that are armed, and none if there are none."""
        if self._file is not None and self._path.parent not in self._armed:
            faulthandler.disable()
            self._file.close()
            self._file = None
            with suppress(OSError):
                self._path.unlink()
        for home in self._armed:
            if self._file is not None or faulthandler.is_enabled():
                return
            with suppress(OSError):
                self._begin(home / _FILE.format(os.getpid()))

    def _begin(self, path: Path) -> None:
        handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_RDWR, 0o600)
        self._path, self._file = path, os.fdopen(handle, "ab", buffering=0)
        faulthandler.enable(self._file, all_threads=False)
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), 0)
            if self._at_hand:
                notes: dict[str, set[str]] = {}
                for key, digests in self._at_hand:
                    notes.setdefault(key, set()).update(digests)
                line = json.dumps({key: sorted(digests) for key, digests in notes.items()})
                self._file.write(line.encode() + b"\n")


NOTES = Notes()


def take_left(home: Path) -> Iterator[dict[str, set[str]]]:
    """What processes that have crashed had at hand: digests of texts, by the key of the model and
    engine. Each is given once; what processes that were killed had at hand is thrown away."""
    for path in home.glob(_FILE.format("*")):
        try:
            noted, _, rest = path.read_text("utf-8", "replace").partition("\n")
            crashed = any(word in noted + rest for word in _CRASHED)
            if not crashed and _runs(path):
                continue
            path.unlink()
        except OSError:
            continue
        if crashed and (notes := _read(noted)):
            yield notes


def _read(noted: str) -> dict[str, set[str]]:
    """Nothing where it is damaged."""
    try:
        return {
            key: {bytes.fromhex(digest).hex() for digest in digests}
            for key, digests in json.loads(noted).items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _runs(path: Path) -> bool:
    """Whether the process whose file this is may still be there."""
    if os.name == "nt":
        return time.time() - path.stat().st_mtime < 24 * 3600
    try:
        os.kill(int(path.stem.rpartition("-")[2]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True
