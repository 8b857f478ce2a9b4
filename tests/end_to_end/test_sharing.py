"""Servers of several sessions, and the one process that owns the index for all of them."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Dial, Wire

PATIENCE = 120.0
TUNE = "tune a grand piano"

# The first owner falls silent over its first request, until the file `mark` is gone.
FALLS_SILENT = """
import os, pathlib, time
from skillrouter_mcp.routing.router import Router

mark = pathlib.Path(os.environ["MARK"])
find = Router.find

def silent(*arguments, **more):
    if not mark.exists():
        mark.touch()
        time.sleep(600)
    return find(*arguments, **more)

Router.find = silent
"""
OTHER_VERSION = """
from importlib import metadata
version = metadata.version
metadata.version = lambda name: "9.9.9" if name == "skillrouter-mcp" else version(name)
"""
# Waits for an owner no longer than a second once it is sent a signal.
LOSES_PATIENCE = """
import os, pathlib, signal
from skillrouter_mcp.sharing import channel, remote

def impatient(*_):
    channel._HANDSHAKE_SECONDS = 1
    remote._ANSWER_SECONDS = remote._GREETING_SECONDS = 1
    pathlib.Path(os.environ["MARK"]).touch()

signal.signal(signal.SIGUSR1, impatient)
"""


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _names(wire: Wire, query: str) -> list[str]:
    return [match["name"] for match in wire.find(query)["structuredContent"]["matches"]]


def _holds_a_model(process: psutil.Process) -> bool:
    return any("llama" in area.path for area in process.memory_maps())


@contextmanager
def _stopped(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


@pytest.fixture
def owners(tmp_path: Path, owners_in: Any) -> Callable[[], list[psutil.Process]]:
    return lambda: list(owners_in(tmp_path))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_two_servers_ask_one_owner_which_ends_after_both(
    dial: Dial, write_skill: Any, owners: Any
) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    wires = [dial(), dial()]
    for wire in wires:
        wire.greet()
    for wire in wires:
        assert _names(wire, TUNE) == ["tune-piano"]
    (owner,) = owners()
    if sys.platform == "linux":
        assert _holds_a_model(owner)
        assert not any(_holds_a_model(psutil.Process(wire.process.pid)) for wire in wires)
    assert wires[0].hang_up() == 0
    assert _names(wires[1], TUNE) == ["tune-piano"]
    assert owners() == [owner]
    assert wires[1].hang_up() == 0
    _until(lambda: not owners())


def test_a_project_is_seen_by_its_own_session_alone(
    dial: Dial, write_skill: Any, tmp_path: Path, owners: Any
) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    skill = tmp_path / "project" / ".skills" / "regulate-piano" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text(
        "---\nname: regulate-piano\ndescription: Does it.\n---\nRegulate the action of a grand "
        "piano.\n"
    )
    inside, outside = dial(CLAUDE_PROJECT_DIR=str(tmp_path / "project")), dial()
    for wire in (inside, outside):
        wire.greet()
    inside.find_until(TUNE, lambda r: r["index"] == {"skills": 2, "pending": 0})
    assert _names(inside, "regulate the action of a grand piano")[0] == "regulate-piano"
    assert outside.find(TUNE)["structuredContent"]["index"]["skills"] == 1
    assert len(owners()) == 1

    skill.write_text(skill.read_text().replace("regulate-piano", "voice-piano"))
    inside.find_until(
        "regulate the action of a grand piano", lambda r: "voice-piano" in str(r["matches"])
    )
    assert outside.find(TUNE)["structuredContent"]["index"]["skills"] == 1


def test_versions_that_differ_work_each_alone(dial: Dial, write_skill: Any, owners: Any) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    first = dial(prelude=OTHER_VERSION)
    first.greet()
    assert _names(first, TUNE) == ["tune-piano"]
    second = dial()
    second.greet()
    assert _names(second, TUNE) == ["tune-piano"]
    assert len(owners()) == 1
    assert "has version 9.9.9, this one" in second.errors
    assert "works alone" in second.errors
    assert first.errors == ""
    write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
    for wire in (first, second):
        wire.find_until("knead the dough", lambda r: "bake-bread" in str(r["matches"]))
        assert wire.hang_up() == 0


def test_a_request_whose_owner_is_killed_is_answered_by_the_next(
    dial: Dial, write_skill: Any, tmp_path: Path, owner_now: Any, home: Path
) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    mark = tmp_path / "mark"
    wire = dial(prelude=FALLS_SILENT, MARK=str(mark))
    wire.greet()
    asked = wire.begin_find(TUNE)
    _until(mark.exists)
    other = dial()
    other.greet()
    killed = owner_now(home)
    killed.kill()
    result = wire.answer(asked)
    assert result["structuredContent"]["matches"][0]["name"] == "tune-piano"
    assert _names(other, TUNE) == ["tune-piano"]
    assert owner_now(home) != killed
    assert [each.hang_up() for each in (wire, other)] == [0, 0]
    answers = [line for line in wire.heard if f'"id":{asked},' in line.replace(" ", "")]
    assert len(answers) == 1
    assert wire.errors == ""


def test_an_owner_that_is_stopped_is_told_of_and_then_done_without(
    dial: Dial, write_skill: Any, owner_now: Any, home: Path, tmp_path: Path
) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    mark = tmp_path / "mark"
    wire = dial(prelude=LOSES_PATIENCE, MARK=str(mark))
    wire.greet()
    wire.find_until(TUNE, lambda r: r["index"] == {"skills": 1, "pending": 0})
    with _stopped(owner_now(home)):
        wire.process.send_signal(signal.SIGUSR1)
        _until(mark.exists)
        result = wire.find(TUNE)
        assert result["isError"]
        assert "has not answered for 1 s" in result["content"][0]["text"]
        assert str(home / "owner.log") in result["content"][0]["text"]
        assert _names(wire, TUNE) == ["tune-piano"]
        mark.unlink()
        late = dial(prelude=LOSES_PATIENCE, MARK=str(mark))
        late.greet()
        late.process.send_signal(signal.SIGUSR1)
        _until(mark.exists)
        assert _names(late, TUNE) == ["tune-piano"]
        assert "does not answer; this server works alone" in late.errors


def test_a_home_with_a_path_too_long_for_a_socket_is_shared_too(
    dial: Dial, write_skill: Any, tmp_path: Path, owners: Any
) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    far = tmp_path / ("long" * 25) / "home"
    (tmp_path / "near").symlink_to(far.parent)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as runtime:
        wires = [dial(home, XDG_RUNTIME_DIR=runtime) for home in (far, tmp_path / "near/home")]
        for wire in wires:
            wire.greet()
            assert _names(wire, TUNE) == ["tune-piano"]
        assert len(owners()) == 1
        assert not (far / "owner.sock").exists()


def test_a_home_that_is_deleted_is_made_again_with_an_owner_for_all(
    dial: Dial, write_skill: Any, home: Path, owner_now: Any, owners: Any
) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    first = dial()
    first.greet()
    assert _names(first, TUNE) == ["tune-piano"]
    before = owner_now(home)
    home.rename(home.with_name("gone"))
    second = dial()
    second.greet()
    assert _names(second, TUNE) == ["tune-piano"]
    _until(lambda: before not in owners())
    assert _names(first, TUNE) == ["tune-piano"]
    (after,) = owners()
    assert owner_now(home) == after
    assert [wire.hang_up() for wire in (first, second)] == [0, 0]
    _until(lambda: not owners())


def test_no_process_that_has_ended_is_left_with_the_server_that_started_it(
    dial: Dial, write_skill: Any, home: Path, owner_now: Any
) -> None:
    write_skill("tune-piano")
    wires = [dial(), dial()]
    for wire in wires:
        wire.greet()
        wire.find("tune")
    for _ in range(2):
        os.kill(owner_now(home).pid, signal.SIGKILL)
        for wire in wires:
            wire.find("tune")
    servers = [psutil.Process(wire.process.pid) for wire in wires]
    _until(lambda: sum(len(server.children()) for server in servers) <= 1)
