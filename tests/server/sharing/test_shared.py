from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.index.store import Location
from skillrouter_mcp.routing import succession
from skillrouter_mcp.routing.answer import Answer
from skillrouter_mcp.routing.succession import ClosedError
from skillrouter_mcp.settings import Settings, load_settings
from skillrouter_mcp.sharing import shared
from skillrouter_mcp.sharing.remote import AloneError
from skillrouter_mcp.sharing.shared import SharedRouter


class _Finder:
    """A router of which it is known what it was asked."""

    def __init__(self, skills: int) -> None:
        self.answer = Answer((), "none", skills, 0)
        self.fails = False
        self.closed = False

    def find(self, *_: object) -> Answer:
        if self.fails:
            raise AloneError("the owner is of another version")
        return self.answer

    def skills_after(self, *_: object) -> list[Location]:
        return [Location(self.answer.skills, "name", "path")]

    def skill_at(self, *_: object) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> _Finder:
    remote = _Finder(1)
    monkeypatch.setattr(shared, "RemoteRouter", lambda *_: remote)
    return remote


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> _Finder:
    own = _Finder(2)
    monkeypatch.setattr(succession, "Succession", lambda _: own)
    return own


def test_the_owner_is_asked_as_long_as_there_is_one(
    settings: Settings, remote: _Finder, own: _Finder
) -> None:
    router = SharedRouter(settings)
    assert router.find("x").skills == 1
    assert router.skills_after("", 1) == [Location(1, "name", "path")]
    assert router.skill_at("", "") is None
    router.close()
    assert remote.closed
    assert not own.closed


def test_where_there_can_be_no_owner_it_works_alone_and_says_so(
    settings: Settings, own: _Finder, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def refuse(*_: object) -> None:
        raise AloneError("nothing can be written")

    monkeypatch.setattr(shared, "RemoteRouter", refuse)
    router = SharedRouter(settings)
    assert router.find("x").skills == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("nothing can be written; this server works alone")
    router.close()
    assert own.closed


def test_a_request_that_no_owner_can_answer_is_answered_alone(
    settings: Settings, remote: _Finder, own: _Finder
) -> None:
    router = SharedRouter(settings)
    remote.fails = True
    assert router.find("x").skills == 2
    assert remote.closed
    remote.fails = False
    assert router.find("x").skills == 2
    assert router.skills_after("", 1) == [Location(2, "name", "path")]
    router.close()


def test_it_goes_back_to_the_owner_once_there_can_be_one(
    settings: Settings, own: _Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = threading.Event()
    remote = _Finder(1)

    def connect(*_: object) -> _Finder:
        if not again.is_set():
            raise AloneError("it does not answer")
        return remote

    monkeypatch.setattr(shared, "RemoteRouter", connect)
    monkeypatch.setattr(shared, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(shared, "_LONGEST_PAUSE", 0.01)
    router = SharedRouter(settings)
    assert router.find("x").skills == 2
    again.set()
    deadline = time.monotonic() + 60
    while not own.closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert router.find("x").skills == 1
    router.close()
    assert remote.closed


def test_a_request_over_which_its_own_router_was_closed_goes_to_the_owner(
    settings: Settings, own: _Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = _Finder(1)
    back = threading.Event()

    def connect(*_: object) -> _Finder:
        if not back.is_set():
            raise AloneError("it does not answer")
        return remote

    def find_late(*_: object) -> Answer:
        back.set()
        deadline = time.monotonic() + 60
        while not own.closed:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise ClosedError("the router has been closed")

    monkeypatch.setattr(shared, "RemoteRouter", connect)
    monkeypatch.setattr(shared, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(shared, "_LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(own, "find", find_late)
    router = SharedRouter(settings)
    assert router.find("x").skills == 1
    router.close()
