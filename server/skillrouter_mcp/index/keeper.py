"""Keeps a library in step with its folders from a thread of its own, beside the requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from skillrouter_mcp.index.encoding import DocumentEncoder
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills.watching import Watch

_LOG = logging.getLogger(__name__)
RESCAN_SECONDS = 2.0
"""Between two looks at the folders, where no watch tells of changes."""

WATCHED_RESCAN_SECONDS = 30.0
"""Between two looks at the folders while a watch tells of changes."""

_REFRESH_SECONDS = 0.5  # between two looks at what another process has committed
_SETTLE_SECONDS = 0.1  # for changes that come together
_RESCAN_SHARE = 0.05  # of the time may go into looks at the folders
_REFRESH_SHARE = 0.1  # of the time may go into rereading the index while skills are embedded
_RETRY_SECONDS = 10.0


class Keeper:
    """Scans, embeds what is new, and looks again when something has changed, until stopped.

    A watch gives the hint; looking every now and then finds what it missed. Where another process
    is at it already, it only takes over what that one commits.
    """

    def __init__(self, library: Library, encoder: Callable[[], DocumentEncoder]) -> None:
        """
        Args:
            encoder: gives the encoder, and blocks while its model loads; asked for only once
                there is something to embed.
        """
        self._library = library
        self._encoder = encoder
        self._stopping = threading.Event()
        self._news = threading.Condition()
        self._scanned = False
        self._complaint = ""
        self._wake = threading.Event()
        self._watch = Watch(self._wake.set)
        self._unwatched = ""
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def complaint(self) -> str:
        """What keeps the index from being kept in step, empty if nothing does."""
        return self._complaint

    def wait_for_scan(self, timeout: float) -> bool:
        """Whether the folders have been looked through, by this process or by another whose skills
        can be found; waits up to `timeout` seconds for it, or until something is in its way."""
        with self._news:
            self._news.wait_for(
                lambda: self._scanned or self._complaint or self._stopping.is_set(), timeout
            )
            return self._scanned

    def stop(self) -> None:
        """Ends after the batch at hand, which stays committed."""
        self._stopping.set()
        self._wake.set()
        with self._news:
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                pause = self._turn()
                self._tell(self._scanned, "")
                self._rest(pause)
            except Exception as error:  # whatever it is, the next look may go well
                self._mend()
                complaint = str(error) or type(error).__name__
                if complaint != self._complaint:
                    _LOG.error("the index is not being kept in step: %s", complaint)
                self._tell(self._scanned, complaint)
                self._wake.wait(_RETRY_SECONDS)
        self._watch.close()

    def _rest(self, seconds: float) -> None:
        """Waits until something changes, and takes over what other processes commit meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._wake.wait(min(left, _REFRESH_SECONDS)):
                self._stopping.wait(_SETTLE_SECONDS)
                return
            self._take_over()

    def _tell(self, scanned: bool, complaint: str) -> None:
        with self._news:
            self._scanned, self._complaint = scanned, complaint
            self._news.notify_all()

    def _mend(self) -> None:
        with suppress(DatabaseError, OSError), self._library.writing() as mine:
            if mine and self._library.damage():
                self._library.start_over()

    def _turn(self) -> float:
        """Does what there is to do; seconds until the next look unless something changes."""
        with self._library.writing() as mine:
            if not mine:
                self._take_over()
                return _REFRESH_SECONDS
            began = time.monotonic()
            changes = self._library.scan()
            cost = time.monotonic() - began
            self._tell(True, self._complaint)
            watched = self._follow(changes.linked)
            if self._library.pending():
                self._embed_for_a_while()
                return 0.0
        if watched and not changes:
            return WATCHED_RESCAN_SECONDS
        return max(RESCAN_SECONDS, cost / _RESCAN_SHARE)

    def _take_over(self) -> None:
        known = len(self._library.snapshot.visible)
        visible = len(self._library.refresh().visible)
        if visible or known:  # where all is gone, another process may be reading it anew
            self._tell(bool(visible), self._complaint)

    def _follow(self, linked: Sequence[str]) -> bool:
        """Whether all folders are watched."""
        unwatched = self._watch.follow([str(root.path) for root in self._library.roots], linked)
        if unwatched and unwatched != self._unwatched:
            _LOG.warning("%s; changes are found by looking every few seconds", unwatched)
        self._unwatched = unwatched
        return not unwatched

    def _embed_for_a_while(self) -> None:
        encoder = self._encoder()
        began = refreshed = time.monotonic()
        cost = 0.0
        for _ in self._library.embed(encoder):
            now = time.monotonic()
            if now - refreshed > cost / _REFRESH_SHARE:
                self._library.refresh()
                refreshed = time.monotonic()
                cost = refreshed - now
            if self._stopping.is_set() or now - began > RESCAN_SECONDS:
                break
        self._library.refresh()
