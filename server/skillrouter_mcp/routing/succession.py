"""One router after another: the one that answers, and the one of a profile that is to follow it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from skillrouter_mcp.routing.models import encoder_of, model_store
from skillrouter_mcp.routing.router import IndexProgress, Router
from skillrouter_mcp.settings import Settings, SettingsError

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
_LOOK_SECONDS = 0.5  # between two looks whether the follower is ready
_END_SECONDS = 15.0  # for the requests of a router to be answered before it is closed


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
    earlier = predecessor(router, settings)
    if earlier is None:
        return router
    router.close()
    return Router.open(earlier, keep=False)


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
        self._follower: tuple[Settings, Router] | None = None
        self._settings, self._router = settings, Router.open(settings)
        earlier = predecessor(self._router, settings)
        if earlier is not None:
            try:
                self._router, follower = self._open(earlier), self._router
            except (SkillRouterError, ModelError) as error:
                _LOG.warning("profile %s cannot answer meanwhile: %s", earlier.profile, error)
                return
            self._settings = earlier
            self._follow(settings, follower)

    def _open(self, settings: Settings) -> Router:
        return Router.open(settings, attendance=self._router.library.attendance)

    def use(self, profile: str) -> str:
        """Goes over to a profile as soon as all skills are embedded for it.

        Returns: what happens now, as a sentence.

        Raises:
            SettingsError: there is no such profile.
            ModelError: a model of the profile is not there.
            DatabaseError: the index cannot be opened.
        """
        with self._change:
            follower = self._follower
            current = self._settings
        if profile == current.profile:
            if follower is not None:
                self._drop(follower, "")
            return f"profile {profile} answers."
        if follower is None or follower[0].profile != profile:
            wanted = current.model_copy(update={"profile": profile})
            router = self._open(wanted)
            if follower is not None:
                self._drop(follower, "")
            self._follow(wanted, router)
        return (
            f"the skills are being embedded for profile {profile}; until all are, profile "
            f"{current.profile} answers."
        )

    def _follow(self, settings: Settings, router: Router) -> None:
        follower = settings, router
        with self._change:
            self._follower = follower
            self._complaint = ""
        threading.Thread(
            target=self._see_to, args=(follower,), name="succession", daemon=True
        ).start()

    def _see_to(self, follower: tuple[Settings, Router]) -> None:
        """Waits until the follower has vectors for all skills and its models are loaded."""
        settings, router = follower
        try:
            router.prepare()
            while True:
                with self._change:
                    if self._follower is not follower or self._closing:
                        return
                    before = self._settings.profile
                if router.is_in_step():
                    break
                with self._change:
                    self._change.wait(_LOOK_SECONDS)
        except (SkillRouterError, ModelError) as error:
            _LOG.error("profile %s cannot be used: %s", settings.profile, error)
            self._drop(follower, f"profile {settings.profile} cannot be used: {error}")
            return
        with self._change:
            if self._follower is not follower or self._closing:
                return
            old, self._settings, self._router = self._router, settings, router
            self._follower = None
        _LOG.info("profile %s answers from now on, instead of %s", settings.profile, before)
        self._close(old)

    def _drop(self, follower: tuple[Settings, Router], complaint: str) -> None:
        with self._change:
            if self._follower is not follower:
                return
            self._follower = None
            self._complaint = complaint
            self._change.notify_all()
        self._close(follower[1])

    def _close(self, router: Router) -> None:
        """Closes a router that gets no more requests, once those it has are answered."""
        with self._change:
            self._change.wait_for(lambda: not self._answering[router], _END_SECONDS)
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
            # It may take its turn meanwhile; its vectors are what is waited for.
            follower[1].bring_in_step(progress, roots=roots)
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
            follower = self._follower
            status = {"profile": self._settings.profile, "refused": self._complaint}
        coming = ""
        if follower is not None:
            left = follower[1].library.pending()
            coming = f"profile {follower[0].profile} answers once {left} more skills are embedded"
            if trouble := follower[1].status()["complaint"]:
                coming += f" ({trouble})"
        return self._ask(lambda router: router.status()) | status | {"follower": coming}

    def close(self) -> None:
        """Closes all routers; requests that are being answered may fail."""
        with self._change:
            self._closing = True
            follower, self._follower = self._follower, None
            self._change.notify_all()
        if follower is not None:
            follower[1].close()
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
