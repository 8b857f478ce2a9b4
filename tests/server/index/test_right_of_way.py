from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from skillrouter_mcp.index import right_of_way
from skillrouter_mcp.index.right_of_way import RightOfWay

PATIENCE = 60.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(right_of_way, "_PATIENCE", PATIENCE)


@pytest.fixture
def way() -> RightOfWay:
    return RightOfWay()


@pytest.fixture
def gone(way: RightOfWay) -> Iterator[threading.Event]:
    """Is set once who has given way goes on."""
    event = threading.Event()

    def wait() -> None:
        way.give_way()
        event.set()

    thread = threading.Thread(target=wait)
    with way:
        thread.start()
        yield event
    thread.join()


@pytest.mark.usefixtures("patient")
def test_without_requests_nobody_waits(way: RightOfWay) -> None:
    with way:
        pass
    way.give_way()


@pytest.mark.usefixtures("patient")
def test_who_gives_way_waits_for_every_request(way: RightOfWay, gone: threading.Event) -> None:
    with way:
        assert not gone.wait(0.05)
    assert not gone.wait(0.05)


def test_beside_a_request_without_end_it_goes_on_after_a_while(gone: threading.Event) -> None:
    assert gone.wait(PATIENCE)
