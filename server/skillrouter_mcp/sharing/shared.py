"""The owner's router where it can be had, else one of this process's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.sharing.remote import AloneError, RemoteRouter

if TYPE_CHECKING:
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.index.store import Location
    from skillrouter_mcp.routing.answer import Answer
    from skillrouter_mcp.routing.succession import Succession
    from skillrouter_mcp.settings import Settings
    from skillrouter_mcp.sharing.finder import SkillFinder
    from skillrouter_mcp.sharing.spawning import Spawner

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 600.0  # seconds alone between two looks for an owner


class SharedRouter:
    """Finds skills through the owner; alone for as long as that cannot be.

    Safe to use from any thread.
    """

    def __init__(self, settings: Settings, spawner: Spawner | None = None) -> None:
        """
        Args:
            spawner: who has started an owner ahead.

        Raises:
            DatabaseError: the index cannot be opened.
            ModelError: a model of the profile is not there.
            SettingsError: a setting cannot be used.
        """
        self._settings = settings
        self._lock = threading.Lock()
        self._remote: RemoteRouter | None = None
        self._alone: Succession | None = None
        self._closed = threading.Event()
        try:
            self._remote = RemoteRouter(settings, spawner)
        except AloneError as error:
            self._go_alone(error)

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        return self._use(lambda finder: finder.find(query, limit, roots))

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        return self._use(lambda finder: finder.skills_after(path, count, roots))

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        return self._use(lambda finder: finder.skill_at(place, name, roots))

    def _use(self, ask: Callable[[SkillFinder], _T]) -> _T:
        while True:
            with self._lock:
                remote, alone = self._remote, self._alone
            try:
                return ask(remote or alone or self._go_alone(None))
            except AloneError as error:
                if remote is None:
                    raise
                self._go_alone(error)
            except SkillRouterError:
                with self._lock:
                    if self._closed.is_set() or alone is None or alone is self._alone:
                        raise
                # It was closed over the request, since there is an owner again.

    def _go_alone(self, reason: AloneError | None) -> Succession:
        from skillrouter_mcp.routing.succession import Succession

        with self._lock:
            if self._closed.is_set():
                raise reason or AloneError("the router has been closed")
            if self._alone is None:
                _LOG.warning("%s; this server works alone, with models of its own", reason)
                self._alone = Succession(self._settings)
                remote, self._remote = self._remote, None
                if remote is not None:
                    remote.close()  # it would see to it that there is an owner
                threading.Thread(target=self._return, name="return", daemon=True).start()
            return self._alone

    def _return(self) -> None:
        """Goes back to the owner once there can be one."""
        pause = _FIRST_PAUSE
        while not self._closed.wait(pause):
            try:
                remote = RemoteRouter(self._settings)
            except AloneError:
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            with self._lock:
                alone, self._alone = self._alone, None
                if not self._closed.is_set():
                    self._remote = remote
            if self._remote is not remote:
                remote.close()
            if alone is not None:
                alone.close()
            _LOG.warning("this server shares its models with others again")
            return

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            routers = self._remote, self._alone
        for router in routers:
            if router is not None:
                router.close()
