"""Opening the router in the background, once the client has what it waits for first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar


class _Closes(Protocol):
    def close(self) -> None: ...


_R = TypeVar("_R", bound=_Closes)


class WarmUp(Generic[_R]):
    """Opens a router in a thread of its own, at most once, and hands it to whoever waits."""

    def __init__(self, open_router: Callable[[], _R]) -> None:
        self._open_router = open_router
        self._lock = threading.Lock()
        self._opening: Future[_R] | None = None

    def start(self) -> Future[_R]:
        """Begins to open the router, or is told of the one being opened."""
        with self._lock:
            if self._opening is None:
                self._opening = Future()
                threading.Thread(
                    target=self._run, args=(self._opening,), name="warm-up", daemon=True
                ).start()
            return self._opening

    def _run(self, opening: Future[_R]) -> None:
        try:
            opening.set_result(self._open_router())
        except BaseException as error:
            opening.set_exception(error)

    def router(self) -> _R:
        """The router, waiting for it if need be.

        Raises whatever opening it raised; the next call tries again.
        """
        opening = self.start()
        try:
            return opening.result()
        except BaseException:
            with self._lock:
                if self._opening is opening:
                    self._opening = None
            raise

    def close(self) -> None:
        """Closes the router if it was opened."""
        with self._lock:
            opening, self._opening = self._opening, None
        if opening is not None and opening.exception() is None:
            opening.result().close()
