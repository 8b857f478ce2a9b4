"""Keeps a library in step with its folders from a thread of its own, beside the requests."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from skillrouter_mcp.index.allowance import Allowance
from skillrouter_mcp.index.attendance import Roots
from skillrouter_mcp.index.encoding import DocumentEncoder
from skillrouter_mcp.index.errors import NotKeptError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.synchroniser import Changes, Progress
from skillrouter_mcp.skills.watching import Watch

_LOG = logging.getLogger(__name__)
RESCAN_SECONDS = 2.0
"""Between two looks at the folders, where no watch tells of changes."""

WATCHED_RESCAN_SECONDS = 30.0
"""Between two looks at the folders while a watch tells of changes."""

_REFRESH_SECONDS = 0.5  # between two looks at what another process has committed
_SETTLE_SECONDS = 0.1  # for changes that come together
_RESCAN_SHARE = 0.05  # of the time may go into looks at the folders
_WATCHED_SHARE = 0.005  # the same while a watch tells of changes and there are none
_HINTED_SHARE = 0.5  # the same, of processor time, while changes are told of
_HINTED_SECONDS = 3.0  # of looks may come without a rest between them
_IN_VAIN = 5  # times as much counts a look that finds nothing, though a change was told of
_REFRESH_SHARE = 0.1  # of the time may go into rereading the index while skills are embedded
_RETRY_SECONDS = 10.0
_TURN_SECONDS = 0.1  # in which another process may take its turn at writing
_TELL_SECONDS = 0.1  # between two reports to whoever waits for the index to be in step


class _Order:
    """A look at the folders that somebody waits for."""

    def __init__(self, *, rebuild: bool, reading: Progress | None) -> None:
        self.rebuild = rebuild
        self.reading = reading
        self.changes: Changes | None = None
        self.failure = ""
        self.done = False


class Keeper:
    """Scans, embeds what is new, and looks again when something has changed, until stopped.

    A watch gives the hint; looking every now and then finds what it missed. Where another process
    is at it already, it only takes over what that one commits.
    """

    def __init__(
        self,
        library: Library,
        encoder: Callable[[], DocumentEncoder],
        give_way: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            encoder: gives the encoder, and blocks while its model loads; asked for only once
                there is something to embed.
            give_way: called every few hundred folders of a look that nobody waits for, before each
                document that is embedded is cut into passages, and before the index is read again.
        """
        self._library = library
        self._encoder = encoder
        self._give_way = give_way
        self._stopping = threading.Event()
        self._news = threading.Condition()
        self._scanned: frozenset[Path] | None = None  # the roots that were
        self._orders: list[_Order] = []
        self._complaint = ""
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._hinted = False  # whether the next look is one at a change that was told of
        self._looks = Allowance(_HINTED_SHARE, _HINTED_SECONDS, time.monotonic())
        self._watch = Watch(self._wake.set)
        self._unwatched = ""
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def complaint(self) -> str:
        """What keeps the index from being kept in step, empty if nothing does."""
        return self._complaint

    @property
    def unwatched(self) -> str:
        """Why changes are found by looking alone, empty if all folders are watched."""
        return self._unwatched

    def look(self) -> None:
        """Has the folders looked at now, as when a root was added."""
        self._hurry.set()
        self._wake.set()

    def wait_for_scan(self, timeout: float, roots: Roots | None = None) -> bool:
        """Whether the folders have been looked through, by this process or by another whose skills
        can be found; waits up to `timeout` seconds for it, or until something is in its way."""
        wanted = {root.path for root in (self._library.roots if roots is None else roots)}
        with self._news:
            self._news.wait_for(
                lambda: self._knows(wanted) or self._complaint or self._stopping.is_set(), timeout
            )
            return self._knows(wanted)

    def _knows(self, wanted: set[Path]) -> bool:
        return self._scanned is not None and wanted <= self._scanned

    def bring_in_step(
        self,
        reading: Progress | None,
        embedding: Progress | None,
        *,
        rebuild: bool = False,
        patience: float | None = None,
        roots: Roots | None = None,
    ) -> Changes | None:
        """Has the folders looked through anew, and waits until all of their skills are embedded.

        Args:
            patience: seconds after which embedding may be left unfinished, None for no limit.

        Returns: what was found, None where another process is at it.

        Raises:
            NotKeptError: the index cannot be brought in step; says why.
        """
        order = _Order(rebuild=rebuild, reading=reading)
        began = time.monotonic()
        with self._news:
            self._orders.append(order)
            self._complaint = ""  # of a look before this one
            self.look()
            while not (order.done or self._stopping.is_set()):
                self._news.wait(_TELL_SECONDS)
        if order.failure:
            raise NotKeptError(order.failure)
        total = 0
        while not (self._complaint or self._stopping.is_set()):
            pending = self._library.view(roots).pending
            total = max(total, pending)
            if embedding is not None and total:
                embedding(total - pending, total)
            if not pending or (patience is not None and time.monotonic() - began > patience):
                return order.changes
            self._stopping.wait(_TELL_SECONDS)
        raise NotKeptError(
            f"the index is not being kept in step: {self._complaint or 'the server is closing'}"
        )

    def stop(self) -> None:
        """Ends after the batch at hand, which stays committed."""
        self._stopping.set()
        self.look()
        with self._news:
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._hinted = self._wake.is_set()
            self._wake.clear()
            self._hurry.clear()
            if self._stopping.is_set():
                break
            with self._news:
                orders, self._orders = self._orders, []
            try:
                pause = self._turn(orders)
                self._tell(self._scanned, "")
                self._rest(pause)
            except Exception as error:  # whatever it is, the next look may go well
                self._mend()
                complaint = str(error) or type(error).__name__
                if complaint != self._complaint:
                    _LOG.error("the index is not being kept in step: %s", complaint)
                self._tell(self._scanned, complaint)
                self._give_up(orders, f"the index is not being kept in step: {complaint}")
                self._wake.wait(_RETRY_SECONDS)
        self._watch.close()

    def _rest(self, seconds: float) -> None:
        """Waits until something changes, and takes over what other processes commit meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._wake.wait(min(left, _REFRESH_SECONDS)):
                self._hurry.wait(max(_SETTLE_SECONDS, self._looks.wait(time.monotonic())))
                return
            self._take_over()

    def _tell(self, scanned: Iterable[Path] | None, complaint: str) -> None:
        with self._news:
            self._scanned = None if scanned is None else frozenset(scanned)
            self._complaint = complaint
            self._news.notify_all()

    def _mend(self) -> None:
        with suppress(Exception), self._library.writing() as mine:  # the next look tells again
            if mine and self._library.damage():
                self._library.start_over()

    def _turn(self, orders: list[_Order]) -> float:
        """Does what there is to do; seconds until the next look unless something changes."""
        with self._library.writing() as mine:
            if not mine:
                self._take_over()
                rebuilds = [order for order in orders if order.rebuild]
                self._give_up(rebuilds, "another process is writing the index: try again later")
                self._deliver(orders, None)
                return _REFRESH_SECONDS
            if any(order.rebuild for order in orders):
                self._library.forget()
            roots = self._library.attendance.roots()
            changes, cost = Changes(), 0.0
            if roots or orders:  # else nobody has come yet, or all have left
                changes, cost = self._look({root.path for root in roots}, orders)
            self._tell((root.path for root in roots), self._complaint)
            self._deliver(orders, changes)
            watched = self._follow([str(root.path) for root in roots], changes.linked)
            pause = self._pause(cost, watched=watched, changed=bool(changes))
            if self._library.pending():
                self._embed_for_a_while(_stint(pause, cost))
                if self._library.pending():
                    return _TURN_SECONDS
        return pause

    def _look(self, roots: set[Path], orders: list[_Order]) -> tuple[Changes, float]:
        """What a look through the folders finds, and the seconds that it takes.

        It gives way to requests until somebody waits for a look; that time is not counted.
        """
        awaited = bool(orders) or not self._knows(roots)
        given = 0.0

        def give_way() -> None:
            nonlocal given
            if not (awaited or self._hurry.is_set()):
                since = time.monotonic()
                self._give_way()
                given += time.monotonic() - since

        began, busy = time.monotonic(), time.thread_time()
        changes = self._library.scan(_told_to(orders), give_way)
        cost, busy = time.monotonic() - began - given, time.thread_time() - busy
        if self._hinted:
            self._looks.take(busy if changes else busy * _IN_VAIN, time.monotonic())
        return changes, cost

    def _pause(self, cost: float, *, watched: bool, changed: bool) -> float:
        """Seconds until the next look, after one that took `cost` seconds."""
        if watched and not self._watch.settled:
            return RESCAN_SECONDS
        if watched and not changed:
            return max(WATCHED_RESCAN_SECONDS, cost / _WATCHED_SHARE)
        return max(RESCAN_SECONDS, cost / _RESCAN_SHARE)

    def _deliver(self, orders: list[_Order], changes: Changes | None) -> None:
        with self._news:
            for order in orders:
                order.changes, order.done = changes, True
            self._news.notify_all()

    def _give_up(self, orders: list[_Order], reason: str) -> None:
        """Tells those who still wait for these that they have failed."""
        with self._news:
            for order in orders:
                if not order.done:
                    order.failure, order.done = reason, True
            self._news.notify_all()

    def _take_over(self) -> None:
        library = self._library
        before = self._roots_with_skills()
        self._give_way()
        library.refresh()
        after = self._roots_with_skills()
        if after or before:  # where all is gone, another process may be reading it anew
            self._tell(((self._scanned or frozenset()) - before) | after, self._complaint)

    def _roots_with_skills(self) -> frozenset[Path]:
        library = self._library
        return frozenset(
            root.path
            for roots in library.attendance.sets()
            if len(library.view(roots).visible)
            for root in roots
        )

    def _follow(self, roots: Sequence[str], linked: Sequence[str]) -> bool:
        """Whether all folders are watched."""
        unwatched = self._watch.follow(roots, linked)
        if unwatched and unwatched != self._unwatched:
            _LOG.warning("%s; changes are found by looking every few seconds", unwatched)
        self._unwatched = unwatched
        return not unwatched

    def _embed_for_a_while(self, seconds: float) -> None:
        """Embeds for so many seconds, or until something changes that may be looked at."""
        encoder = self._encoder()
        began = refreshed = time.monotonic()
        cost = 0.0
        for _ in self._library.embed(encoder, give_way=self._give_way):
            now = time.monotonic()
            if now - refreshed > cost / _REFRESH_SHARE:
                self._give_way()
                now = time.monotonic()
                self._library.refresh()
                refreshed = time.monotonic()
                cost = refreshed - now
            hinted = self._wake.is_set() and not self._looks.wait(now)
            if self._stopping.is_set() or hinted or now - began > seconds:
                break
        self._give_way()
        self._library.refresh()


def _stint(pause: float, cost: float) -> float:
    """Seconds of embedding between two looks, of which the last took `cost` seconds."""
    return min(pause, max(WATCHED_RESCAN_SECONDS, cost / _RESCAN_SHARE))


def _told_to(orders: Sequence[_Order]) -> Progress:
    def told(done: int, total: int) -> None:
        for order in orders:
            if order.reading is not None:
                order.reading(done, total)

    return told
