from __future__ import annotations

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
from filelock import FileLock

from skillrouter_gguf import ModelError
from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.index.account import Account, Remark
from skillrouter_mcp.index.store import Location
from skillrouter_mcp.index.synchroniser import Changes
from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.sharing import owner as module
from skillrouter_mcp.sharing.channel import Channel, ChannelClosedError, Doorway, connect
from skillrouter_mcp.sharing.messages import (
    pack_answer,
    pack_roots,
    unpack_account,
    unpack_roots,
)
from skillrouter_mcp.sharing.owner import UNFIT, Owner, main
from skillrouter_mcp.skills import Root

PATIENCE = 60.0
ANSWER = Answer((Match("tune-piano", "/skills/tune-piano/SKILL.md", 0.9, {}),), "match", 1, 0)
ACCOUNT = Account(3, 1, (Remark("/skills/x", "is a pipe"),), ())
REPLY = json.loads(json.dumps({"answer": pack_answer(ANSWER)}))
ABOUT = {"version": version("skillrouter-mcp"), "profile": "embedded", "pid": os.getpid()}
MINE = pack_roots((Root(Path("/mine"), "user"),))
OTHERS = pack_roots((Root(Path("/project/.skills"), "project"), Root(Path("/mine"), "user")))


class _Router:
    """Answers with what it was given, and knows which roots are looked after."""

    def __init__(self) -> None:
        self.attended: list[Any] = []
        self.error: Exception | None = None
        self.closed = False
        self.go_on = threading.Event()
        self.go_on.set()

    def find(self, query: str, limit: int, roots: Any) -> Answer:
        self.go_on.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return ANSWER

    def rank(self, query: str, limit: int, roots: Any) -> Answer:
        return ANSWER

    def skills_after(self, path: str, count: int, roots: Any) -> list[Location]:
        return [Location(3, "tune-piano", f"{path}/{count}")]

    def skill_at(self, place: str, name: str, roots: Any) -> Location | None:
        return Location(3, name, place) if place else None

    def bring_in_step(self, progress: Any, **more: Any) -> Changes:
        progress.reading(1, 2)
        self.go_on.wait(PATIENCE)
        progress.embedding(2, 2)
        return Changes(read=2)

    def account(self, roots: Any) -> Account:
        return ACCOUNT

    def use(self, profile: str) -> str:
        return f"{profile} is next"

    def status(self) -> dict[str, str]:
        return {"complaint": "no space left"}

    def attend(self, roots: Any) -> None:
        self.attended.append(pack_roots(roots))

    def leave(self, roots: Any) -> None:
        self.attended.remove(pack_roots(roots))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def router() -> _Router:
    return _Router()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(module, "_FIRST_SESSION_SECONDS", PATIENCE)
    return tmp_path


@pytest.fixture
def serving(home: Path, router: _Router) -> Iterator[threading.Thread]:
    """An owner in this process, which ends once the last one has left."""
    owner = Owner(Doorway(home), lambda: cast("Any", router), "embedded", linger=0)
    thread = threading.Thread(target=owner.serve)
    thread.start()
    yield thread
    with suppress(ChannelClosedError):  # it has ended
        connect(home).close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert router.closed


@pytest.fixture
def channel(home: Path, serving: threading.Thread) -> Iterator[Channel]:
    with closing(connect(home)) as channel:
        assert channel.receive(PATIENCE) == ABOUT
        yield channel


def _ask(channel: Channel, what: str, roots: Any = MINE, **more: Any) -> dict[str, Any]:
    channel.send({"ask": what, "roots": roots, **more})
    return channel.receive(PATIENCE)


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_request_gets_what_the_router_says(channel: Channel) -> None:
    for what in ("find", "rank"):
        assert _ask(channel, what, query="x", limit=1) == REPLY
    skills = _ask(channel, "skills after", path="/a", count=2)["skills"]
    assert skills == [[3, "tune-piano", "/a/2"]]
    assert _ask(channel, "skill at", place="", name="x") == {"skill": None}
    assert _ask(channel, "skill at", place="p", name="x") == {"skill": [3, "x", "p"]}


def test_it_says_what_stands_in_the_index_and_how_it_is(channel: Channel) -> None:
    assert unpack_account(_ask(channel, "account")["account"]) == ACCOUNT
    status = {"complaint": "no space left", "pid": os.getpid(), "sessions": 1}
    assert _ask(channel, "status")["status"] == status


def test_once_told_to_use_a_profile_it_says_that_it_has_that(home: Path, channel: Channel) -> None:
    with closing(connect(home)) as other:
        assert other.receive(PATIENCE) == ABOUT
        assert _ask(channel, "use", profile="r3") == {"use": "r3 is next"}
        with pytest.raises(ChannelClosedError):  # it may be set to the one before
            other.receive(PATIENCE)
    with closing(connect(home)) as other:
        assert other.receive(PATIENCE) == ABOUT | {"profile": "r3"}
    assert _ask(channel, "use", profile="r3") == {"use": "r3 is next"}


def test_who_has_the_index_brought_in_step_is_told_how_far_it_is(channel: Channel) -> None:
    assert _ask(channel, "bring in step", rebuild=False, patience=None) == {"reading": [1, 2]}
    assert channel.receive(PATIENCE) == {"embedding": [2, 2]}
    assert channel.receive(PATIENCE)["changes"]["read"] == 2


def test_who_leaves_before_the_index_is_in_step_stops_nothing(
    home: Path, channel: Channel, router: _Router
) -> None:
    router.go_on.clear()
    leaving = connect(home)
    leaving.receive(PATIENCE)
    assert _ask(leaving, "bring in step", rebuild=False, patience=None) == {"reading": [1, 2]}
    leaving.close()
    router.go_on.set()
    assert _ask(channel, "find", query="x", limit=1) == REPLY
    _until(lambda: router.attended == [MINE])


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (SkillRouterError("the index is damaged"), {"error": "the index is damaged"}),
        (ModelError("the model is cut short"), {"model_error": "the model is cut short"}),
        (KeyError("x"), {"error": "KeyError in the owner of the index: 'x'"}),
    ],
)
def test_what_goes_wrong_is_told_and_the_next_request_answered(
    channel: Channel, router: _Router, error: Exception, reply: Any, caplog: Any
) -> None:
    router.error = error
    assert _ask(channel, "find", query="x", limit=1) == reply
    assert len(caplog.records) == isinstance(error, KeyError)
    router.error = None
    assert _ask(channel, "find", query="x", limit=1) == REPLY


@pytest.mark.parametrize(
    "message",
    [{}, {"ask": "find"}, {"ask": "dance", "roots": []}, {"ask": "find", "roots": 7}, {"ask": []}],
)
def test_a_request_that_makes_no_sense_is_refused(
    channel: Channel, message: dict[str, Any], caplog: Any
) -> None:
    channel.send(message)
    assert "error" in channel.receive(PATIENCE)
    assert "answer" in _ask(channel, "find", query="x", limit=1)


def test_roots_are_looked_after_as_long_as_somebody_asks_for_them(
    home: Path, channel: Channel, router: _Router
) -> None:
    assert _ask(channel, "attend") == {}
    other = connect(home)
    other.receive(PATIENCE)
    _ask(other, "find", OTHERS, query="x", limit=1)
    _ask(other, "find", OTHERS, query="x", limit=1)
    assert router.attended == [MINE, OTHERS]
    _ask(other, "find", MINE, query="x", limit=1)
    assert router.attended == [MINE, MINE]
    _ask(other, "find", OTHERS, query="x", limit=1)
    other.close()
    _until(lambda: router.attended == [MINE])
    assert unpack_roots(MINE) == (Root(Path("/mine"), "user"),)


def test_a_request_that_takes_long_holds_up_no_other(
    home: Path, channel: Channel, router: _Router
) -> None:
    router.go_on.clear()
    channel.send({"ask": "find", "roots": MINE, "query": "x", "limit": 1})
    with closing(connect(home)) as other:
        other.receive(PATIENCE)
        assert _ask(other, "skill at", place="", name="x") == {"skill": None}
    router.go_on.set()
    assert "answer" in channel.receive(PATIENCE)


def test_it_ends_after_the_last_one_has_left(
    home: Path, channel: Channel, serving: threading.Thread
) -> None:
    with closing(connect(home)) as other:
        other.receive(PATIENCE)
    serving.join(0.2)
    assert serving.is_alive()
    channel.close()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    with pytest.raises(ChannelClosedError):
        connect(home)


def test_nobody_having_come_it_ends_after_a_while(
    home: Path, router: _Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_SESSION_SECONDS", 0.2)
    began = time.monotonic()
    Owner(Doorway(home), lambda: cast("Any", router), "embedded", linger=0).serve()
    assert time.monotonic() - began >= 0.2
    assert router.closed


def test_who_comes_while_it_ends_is_not_let_in(home: Path, router: _Router) -> None:
    opening = threading.Event()

    def open_router() -> Any:
        opening.wait(PATIENCE)
        return router

    owner = Owner(Doorway(home), open_router, "embedded", linger=0)
    thread = threading.Thread(target=owner.serve)
    thread.start()
    with closing(connect(home)) as first:
        first.receive(PATIENCE)
    _until(lambda: not _is_let_in(home))
    assert thread.is_alive()  # it waits for the router, to close it
    assert not _is_let_in(home)
    opening.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert router.closed


def _is_let_in(home: Path) -> bool:
    try:
        with closing(connect(home)) as channel:
            channel.receive(PATIENCE)
    except ChannelClosedError:
        return False
    return True


@pytest.mark.parametrize("file", ["owner.sock", "owner.key"])
def test_it_ends_once_nobody_can_come_in(
    home: Path, channel: Channel, serving: threading.Thread, file: str, caplog: Any
) -> None:
    (home / file).unlink()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    assert "this owner ends" in caplog.text


@pytest.fixture
def _as_before() -> Iterator[None]:
    """What an owner changes for its whole process is as it was afterwards."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)
    gc.enable()


@pytest.mark.usefixtures("_as_before")
def test_beside_another_owner_there_is_nothing_to_do(tmp_path: Path) -> None:
    with FileLock(tmp_path / "owner.lock"):
        assert main(tmp_path) == 0
    assert not (tmp_path / "owner.sock").exists()


@pytest.mark.usefixtures("_as_before")
def test_a_home_that_cannot_be_used_is_unfit(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").touch()
    assert main(tmp_path / "file") == UNFIT
    assert "cannot be locked" in caplog.text


@pytest.mark.usefixtures("_as_before")
def test_with_a_setting_that_cannot_be_used_it_is_unfit_and_says_which(
    home: Path, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLROUTER_LINGER", "-1")
    assert main(home) == UNFIT
    assert "setting 'linger'" in caplog.text
