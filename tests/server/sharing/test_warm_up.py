from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from skillrouter_mcp.sharing.warm_up import WarmUp


class _Router:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_router_is_opened_once_however_many_wait() -> None:
    opened: list[_Router] = []

    def open_router() -> Any:
        opened.append(_Router())
        return opened[-1]

    warm_up = WarmUp(open_router)
    warm_up.start()
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(warm_up.router())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1
    assert got == opened * 8


def test_error_reaches_who_asks_and_the_next_call_tries_again() -> None:
    attempts: list[int] = []

    def open_router() -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError("disk on fire")
        return _Router()

    warm_up = WarmUp(open_router)
    with pytest.raises(OSError, match="disk on fire"):
        warm_up.router()
    assert isinstance(warm_up.router(), _Router)


def test_close_closes_what_was_opened() -> None:
    warm_up = WarmUp(lambda: cast("Any", _Router()))
    router = cast("_Router", warm_up.router())
    warm_up.close()
    assert router.closed


def test_close_without_start_opens_nothing() -> None:
    opened: list[int] = []
    WarmUp(lambda: cast("Any", opened.append(1))).close()
    assert not opened
