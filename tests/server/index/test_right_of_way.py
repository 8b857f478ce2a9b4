from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from queue import Empty, Queue

import pytest

from skillrouter_mcp.index import right_of_way
from skillrouter_mcp.index.right_of_way import RightOfWay

SOON, PATIENCE = 20.0, 3600.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(right_of_way, "_PATIENCE", PATIENCE)


@pytest.fixture
def way() -> RightOfWay:
    return RightOfWay()


@pytest.fixture
def request_(way: RightOfWay) -> Iterator[ExitStack]:
    """A request that is being answered until this is closed."""
    with ExitStack() as stack:
        stack.enter_context(way)
        yield stack


def _gone(way: RightOfWay) -> threading.Event:
    """Is set once somebody who has begun to give way goes on."""
    begun, gone = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        way.give_way()
        gone.set()

    threading.Thread(target=wait, daemon=True).start()
    assert begun.wait(SOON)
    return gone


@pytest.mark.usefixtures("patient")
def test_without_requests_nobody_waits(way: RightOfWay) -> None:
    with way:
        pass
    assert _gone(way).wait(SOON)


@pytest.mark.usefixtures("patient")
def test_who_gives_way_waits_for_every_request(way: RightOfWay, request_: ExitStack) -> None:
    with way:
        gone = _gone(way)
        assert not gone.wait(0.05)
    assert not gone.wait(0.05)
    request_.close()
    assert gone.wait(SOON)


@pytest.mark.usefixtures("patient")
def test_after_a_request_one_goes_on_and_the_next_when_that_one_is_done(
    way: RightOfWay, request_: ExitStack
) -> None:
    waiting, gone = Queue[bool](), Queue[bool]()

    class Told(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.put(True)  # and no request ends before it does wait, as that takes the lock
            return super().wait(timeout)

    def wait() -> None:
        way.give_way()
        gone.put(True)

    way._change = Told()
    for _ in range(2):
        threading.Thread(target=wait, daemon=True).start()
        assert waiting.get(timeout=SOON)
    request_.close()
    assert gone.get(timeout=SOON)
    with pytest.raises(Empty):
        gone.get(timeout=0.1)
    way.give_way()
    assert gone.get(timeout=SOON)


@pytest.mark.usefixtures("request_")
def test_beside_a_request_without_end_it_goes_on_after_a_while(way: RightOfWay) -> None:
    began = time.monotonic()
    way.give_way()
    assert time.monotonic() - began < SOON
