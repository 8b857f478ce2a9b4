"""One router after another: the one that answers, and the one of a profile that is to follow it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TypeVar

from skillrouter_gguf import ModelError
from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.index.account import Account
from skillrouter_mcp.index.attendance import Roots
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.store import Location
from skillrouter_mcp.index.synchroniser import Changes
from skillrouter_mcp.routing.answer import Answer
from skillrouter_mcp.routing.models import digests_of, encoder_of, model_store
from skillrouter_mcp.routing.router import IndexProgress, Router
from skillrouter_mcp.settings import Settings, SettingsError

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_LOOK_SECONDS = 0.5  # between two looks whether the follower is ready


def predecessor(router: Router, settings: Settings) -> Settings | None:
    """Settings of the profile whose vectors are more complete than those of `router`, if there is
    one: the profile that was in use before, for as long as the router's skills are embedded.

    Args:
        settings: those of the router.
    """
    least = router.library.pending()
    found = None
    for profile in model_store(settings).catalogue.profiles if least else ():
        other = settings.model_copy(update={"profile": profile})
        try:
            pending = router.library.pending(Fingerprint.of(encoder_of(other)))
        except (SettingsError, ModelError):
            continue  # not on this machine
        if pending < least:
            least, found = pending, other
    return found


def open_best(settings: Settings) -> Router:
    """A router for a single request: of the profile that was in use before, for as long as that
    one's vectors are more complete. Raises as `Router.open` does."""
    router = Router.open(settings, keep=False)
    earlier = _opened_predecessor(router, settings, keep=False)
    if earlier is None:
        return router
    router.close()
    return earlier


def _opened_predecessor(router: Router, settings: Settings, *, keep: bool) -> Router | None:
    """The router of the predecessor, its encoder loaded; None if there is none, or it can't be."""
    opened = None
    try:
        earlier = predecessor(router, settings)
        if earlier is None:
            return None
        opened = Router.open(earlier, keep=keep, beside=router)
        opened.encoder()
    except (SkillRouterError, ModelError) as error:
        _LOG.warning("the profile before %s cannot answer: %s", settings.profile, error)
        if opened is not None:
            opened.close()
        return None
    return opened


class ClosedError(SkillRouterError):
    """It was closed, and answers no more."""


class Succession:
    """Answers as a `Router` does, and goes over to another profile without a pause.

    While the skills are embedded for a profile, the one before it answers from its vectors; safe
    to use from any thread.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            SettingsError: a setting cannot be used.
            ModelError: a model of the profile is not there.
            DatabaseError: the index cannot be opened.
        """
        self._change = threading.Condition()
        self._answering: Counter[Router] = Counter()
        self._closing = False
        self._complaint = ""
        self._follower: Router | None = None
        self._using = threading.Lock()
        self._router = Router.open(settings)
        earlier = _opened_predecessor(self._router, settings, keep=True)
        if earlier is not None:
            follower, self._router = self._router, earlier
            self._follow(follower)

    def use(self, profile: str) -> str:
        """Goes over to a profile as soon as all skills are embedded for it.

        Returns: what happens now, as a sentence.

        Raises:
            SettingsError: there is no such profile.
            ModelError: a model of the profile is not there.
            DatabaseError: the index cannot be opened.
        """
        with self._using:
            with self._change:
                follower, current = self._follower, self._router
            wanted = current.settings.model_copy(update={"profile": profile})
            if _has(current, wanted):
                if follower is not None:
                    self._drop(follower)
                return f"Profile {profile} answers."
            if follower is None or not _has(follower, wanted):
                router = Router.open(wanted, beside=current)
                if follower is not None:
                    self._drop(follower)
                self._follow(router)
            as_it_was = " as it was" if profile == current.profile else ""
            return (
                f"The skills are being embedded for profile {profile}; until all are, profile "
                f"{current.profile} answers{as_it_was}."
            )

    def _follow(self, follower: Router) -> None:
        with self._change:
            self._follower = follower
            self._complaint = ""
        _in_background(lambda: self._see_to(follower))

    def _see_to(self, follower: Router) -> None:
        """Waits until the follower has vectors for all skills and its models are loaded."""
        try:
            follower.prepare()
            while not follower.is_in_step():
                with self._change:  # of which each answer tells, too
                    if self._change.wait_for(lambda: self._is_past(follower), _LOOK_SECONDS):
                        return
        except (SkillRouterError, ModelError) as error:
            _LOG.error("profile %s cannot be used: %s", follower.profile, error)
            self._drop(follower, f"profile {follower.profile} cannot be used: {error}")
            return
        with self._change:
            if self._is_past(follower):
                return
            before, self._router, self._follower = self._router, follower, None
        _LOG.info("profile %s answers, instead of %s", follower.profile, before.profile)
        self._close(before)

    def _is_past(self, follower: Router) -> bool:
        return self._follower is not follower or self._closing

    def _drop(self, follower: Router, complaint: str = "") -> None:
        with self._change:
            if self._follower is not follower:
                return
            self._follower = None
            self._complaint = complaint
            self._change.notify_all()
        _in_background(lambda: self._close(follower))  # which ends after the batch at hand

    def _close(self, router: Router) -> None:
        """Closes a router that gets no more requests, once those it has are answered."""
        with self._change:
            self._change.wait_for(lambda: not self._answering[router] or self._closing)
            del self._answering[router]
        router.close()

    @contextmanager
    def _current(self) -> Iterator[Router]:
        with self._change:
            if self._closing:
                raise ClosedError("the router has been closed")
            router = self._router
            self._answering[router] += 1
        try:
            yield router
        finally:
            with self._change:
                self._answering[router] -= 1
                self._change.notify_all()

    def _ask(self, ask: Callable[[Router], _T]) -> _T:
        with self._current() as router:
            return ask(router)

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        """As `Router.find`."""
        return self._ask(lambda router: router.find(query, limit, roots))

    def rank(self, query: str, limit: int, roots: Roots | None = None) -> Answer:
        """As `Router.rank`."""
        return self._ask(lambda router: router.rank(query, limit, roots))

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        """As `Router.skills_after`."""
        return self._ask(lambda router: router.skills_after(path, count, roots))

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        """As `Router.skill_at`."""
        return self._ask(lambda router: router.skill_at(place, name, roots))

    def bring_in_step(
        self,
        progress: IndexProgress | None = None,
        *,
        rebuild: bool = False,
        patience: float | None = None,
        roots: Roots | None = None,
    ) -> Changes | None:
        """As `Router.bring_in_step`; without a limit to the patience for the profile that is to
        follow, too."""
        changes = self._ask(
            lambda router: router.bring_in_step(
                progress, rebuild=rebuild, patience=patience, roots=roots
            )
        )
        with self._change:
            follower = self._follower
        if follower is not None and patience is None:
            try:
                follower.bring_in_step(progress, roots=roots)
            except SkillRouterError:
                with self._change:
                    if self._follower is follower:
                        raise
        return changes

    def account(self, roots: Roots | None = None) -> Account:
        """As `Router.account`."""
        return self._ask(lambda router: router.account(roots))

    def attend(self, roots: Roots) -> None:
        """As `Router.attend`."""
        self._ask(lambda router: router.attend(roots))

    def leave(self, roots: Roots) -> None:
        """As `Router.leave`."""
        self._ask(lambda router: router.leave(roots))

    def prepare(self) -> None:
        """As `Router.prepare`."""
        self._ask(lambda router: router.prepare())

    def status(self) -> dict[str, str]:
        """As `Router.status`, with the profile that answers, how far the one is that is to follow,
        and why one that was to follow does not; empty where there is none."""
        with self._change:
            follower, complaint, profile = self._follower, self._complaint, self._router.profile
        coming = ""
        if follower is not None:
            with suppress(SkillRouterError):  # it may be closed just now
                left = follower.library.pending()
                coming = f"profile {follower.profile} answers once {left} more skills are embedded"
                if trouble := follower.status()["complaint"]:
                    coming += f" ({trouble})"
        status = self._ask(lambda router: router.status())
        return status | {"profile": profile, "refused": complaint, "follower": coming}

    def close(self) -> None:
        """Closes all routers; requests that are being answered may fail."""
        with self._change:
            self._closing = True
            follower, self._follower = self._follower, None
            self._change.notify_all()
        if follower is not None:
            follower.close()
        self._router.close()

    def __enter__(self) -> Succession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _in_background(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="succession", daemon=True).start()


def _has(router: Router, settings: Settings) -> bool:
    """Whether a router has the profile and the models that these settings mean by now."""
    return router.profile == settings.profile and router.digests == digests_of(settings)
