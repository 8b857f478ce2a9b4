"""The owner's router where it can be had, else one of this process's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from skillrouter_mcp.sharing.remote import AloneError, RemoteRouter

if TYPE_CHECKING:
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.index.store import Location
    from skillrouter_mcp.routing.answer import Answer
    from skillrouter_mcp.routing.router import Router
    from skillrouter_mcp.settings import Settings
    from skillrouter_mcp.sharing.finder import SkillFinder

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class SharedRouter:
    """Finds skills through the owner; goes on alone, for good, once that cannot be.

    Safe to use from any thread.
    """

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            DatabaseError: the index cannot be opened.
            SettingsError: a setting cannot be used.
        """
        self._settings = settings
        self._lock = threading.Lock()
        self._remote: RemoteRouter | None = None
        self._alone: Router | None = None
        self._closed = False
        try:
            self._remote = RemoteRouter(settings)
        except AloneError as error:
            self._go_alone(error)

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        return self._use(lambda finder: finder.find(query, limit, roots))

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        return self._use(lambda finder: finder.skills_after(path, count, roots))

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        return self._use(lambda finder: finder.skill_at(place, name, roots))

    def _use(self, ask: Callable[[SkillFinder], _T]) -> _T:
        if self._alone is None and self._remote is not None:
            try:
                return ask(self._remote)
            except AloneError as error:
                return ask(self._go_alone(error))
        return ask(self._go_alone(None))

    def _go_alone(self, reason: AloneError | None) -> Router:
        from skillrouter_mcp.routing.router import Router

        with self._lock:
            if self._closed:
                raise reason or AloneError("the router has been closed")
            if self._alone is None:
                _LOG.warning("%s; this server works alone, with models of its own", reason)
                self._alone = Router.open(self._settings)
                if self._remote is not None:
                    self._remote.close()  # it would see to it that there is an owner
            return self._alone

    def close(self) -> None:
        with self._lock:
            self._closed = True
        for router in (self._remote, self._alone):
            if router is not None:
                router.close()
