from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.index.quarantine import Quarantine
from skillrouter_mcp.index.quarantine_notes import take_left

# Two engines of a process, as there are while one profile answers and another is to follow it.
TWO_ENGINES = """
import faulthandler, os, sys
from pathlib import Path
from skillrouter_mcp.index.quarantine import Quarantine

home = Path(sys.argv[1])
first, second = Quarantine(home, "first"), Quarantine(home, "second")
first.arm()
second.arm()
"""
ABORT_AT_SECOND = """
with second.noting(["deadly"]):
    os.abort()
"""


def _run(home: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", TWO_ENGINES + script, str(home)],
        capture_output=True,
        text=True,
        check=False,
    )


def _crash(home: Path, script: str) -> None:
    done = _run(home, script)
    assert done.returncode < 0, done.stderr


def _complete(home: Path, script: str) -> None:
    done = _run(home, script)
    assert done.returncode == 0, done.stderr


def _known(home: Path) -> dict[str, Any]:
    Quarantine(home, "any")
    try:
        sections = json.loads((home / "quarantine.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return {
        key: (len(section["suspects"]), len(section["held"])) for key, section in sections.items()
    }


def test_a_text_is_noted_while_another_engine_is_at_work(tmp_path: Path) -> None:
    _crash(tmp_path, ABORT_AT_SECOND)
    assert Quarantine(tmp_path, "second").holds("deadly")
    assert not Quarantine(tmp_path, "first").holds("deadly")


def test_a_text_is_noted_after_the_engine_before_was_closed(tmp_path: Path) -> None:
    _crash(tmp_path, "first.close()" + ABORT_AT_SECOND)
    assert Quarantine(tmp_path, "second").holds("deadly")


def test_a_text_is_noted_after_the_engine_that_was_to_follow_was_closed(tmp_path: Path) -> None:
    _crash(tmp_path, "second.close()\nwith first.noting(['deadly']): os.abort()")
    assert Quarantine(tmp_path, "first").holds("deadly")


def test_an_engine_that_is_armed_or_closed_twice_counts_once(tmp_path: Path) -> None:
    _crash(tmp_path, "first.arm(); first.close(); first.close()" + ABORT_AT_SECOND)
    assert Quarantine(tmp_path, "second").holds("deadly")


def test_nothing_is_left_behind_once_all_are_closed(tmp_path: Path) -> None:
    _complete(
        tmp_path,
        """
assert len(list(home.glob("engine-*"))) == 1
first.close()
assert faulthandler.is_enabled()
second.close()
assert not faulthandler.is_enabled()
assert not list(home.iterdir())
""",
    )


def test_an_engine_may_be_armed_again(tmp_path: Path) -> None:
    _crash(tmp_path, "first.close(); second.close(); second.arm()" + ABORT_AT_SECOND)
    assert Quarantine(tmp_path, "second").holds("deadly")


def test_either_of_two_engines_may_be_to_blame(tmp_path: Path) -> None:
    _crash(tmp_path, "with first.noting(['one']), second.noting(['two']): os.abort()")
    assert _known(tmp_path) == {"first": (1, 0), "second": (1, 0)}
    assert Quarantine(tmp_path, "first").suspects("one")
    assert Quarantine(tmp_path, "second").suspects("two")


def test_what_one_engine_no_longer_has_at_hand_is_not_to_blame(tmp_path: Path) -> None:
    _crash(tmp_path, "with first.noting(['one']): pass" + ABORT_AT_SECOND)
    assert _known(tmp_path) == {"second": (0, 1)}


def test_two_engines_at_the_same_text_with_the_same_model_leave_no_doubt(tmp_path: Path) -> None:
    _crash(
        tmp_path,
        """
third = Quarantine(home, "second")
with second.noting(["deadly"]), third.noting(["deadly"]):
    os.abort()
""",
    )
    assert _known(tmp_path) == {"second": (0, 1)}


def test_a_kill_accuses_the_texts_of_no_engine(tmp_path: Path) -> None:
    _crash(
        tmp_path,
        "with first.noting(['one']), second.noting(['two']): os.kill(os.getpid(), 9)",
    )
    assert _known(tmp_path) == {}
    assert not list(tmp_path.glob("engine-*"))


def test_notes_are_kept_for_another_home_once_those_of_the_first_are_closed(tmp_path: Path) -> None:
    homes = tmp_path / "one", tmp_path / "two"
    for home in homes:
        home.mkdir()
    _crash(
        homes[0],
        """
other = Quarantine(home.with_name("two"), "other")
other.arm()
first.close(); second.close()
with other.noting(["deadly"]):
    os.abort()
""",
    )
    assert not list(homes[0].iterdir())
    assert Quarantine(homes[1], "other").holds("deadly")


def test_a_home_that_cannot_be_written_is_no_hindrance_to_another(tmp_path: Path) -> None:
    _crash(
        tmp_path / "missing",
        """
home = home.parent
second = Quarantine(home, "second")
second.arm()
"""
        + ABORT_AT_SECOND,
    )
    assert Quarantine(tmp_path, "second").holds("deadly")


def test_what_else_looks_after_crashes_is_left_alone(tmp_path: Path) -> None:
    _complete(
        tmp_path,
        """
first.close(); second.close()
faulthandler.enable()
second.arm()
assert not list(home.iterdir())
second.close()
assert faulthandler.is_enabled()
""",
    )


def test_a_suspect_waits_until_no_engine_is_at_anything(tmp_path: Path) -> None:
    first, second = Quarantine(tmp_path, "first"), Quarantine(tmp_path, "second")
    order: list[str] = []
    second_is_in = threading.Event()

    def suspect() -> None:
        with second.noting(["one"], alone=True):
            order.append("one")
            second_is_in.set()

    thread = threading.Thread(target=suspect)
    with first.noting(["other"]):
        thread.start()
        second_is_in.wait(0.05)
        order.append("other")
    thread.join()
    assert order == ["other", "one"]


def test_notes_left_by_a_crash_are_taken_once(tmp_path: Path) -> None:
    digest = "ab" * 32
    left = tmp_path / "engine-1.crash"
    left.write_text(f'{{"key": ["{digest}"]}}\nFatal Python error: Aborted\n', "utf-8")
    assert list(take_left(tmp_path)) == [{"key": {digest}}]
    assert not list(take_left(tmp_path))
    assert not left.exists()


@pytest.mark.parametrize(
    "note",
    ["", "{", "[]", "1", '{"key": 1}', '{"key": "key"}', '{"key": [1]}', '{"key": ["no digest"]}'],
)
def test_damaged_notes_accuse_nobody(tmp_path: Path, note: str) -> None:
    left = tmp_path / "engine-1.crash"
    left.write_text(f"{note}\nFatal Python error: Aborted\n", "utf-8")
    assert not list(take_left(tmp_path))
    assert not left.exists()


def test_the_notes_of_this_process_are_not_taken(tmp_path: Path) -> None:
    mine = tmp_path / f"engine-{os.getpid()}.crash"
    mine.write_text('{"key": ["ab"]}\n', "utf-8")
    assert not list(take_left(tmp_path))
    assert mine.exists()
