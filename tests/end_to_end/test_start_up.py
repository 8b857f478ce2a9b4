from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from psutil import Process
    from tests.end_to_end.conftest import Dial, Wire

# Who imports what is gated waits until the file `gate` is there.
GATE = """
import importlib.abc, os, sys, time

class Gate(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        while name in os.environ["GATED"].split() and not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)

sys.meta_path.insert(0, Gate())
"""
MODELS_FROM = """
import os, pathlib
import skillrouter_gguf.model_file
skillrouter_gguf.model_file.EMBEDDED = pathlib.Path(os.environ["MODELS"])
"""
FULL_DISK = """
import errno
from skillrouter_mcp.index.store import SkillStore

def save(*_):
    raise OSError(errno.ENOSPC, "No space left on device")

SkillStore.save = save
"""
IMPATIENT = """
from skillrouter_mcp.routing import router
router._FIRST_SCAN_SECONDS = router._EMPTY_SCAN_SECONDS = 0.1
"""
MODEL = "skillrouter-minilm-l6-Q8_0.gguf"


def _sentence_of_failure(wire: Wire) -> str:
    """What the agent is told, after a handshake and a list of tools that know of no trouble."""
    assert wire.greet()["serverInfo"]["name"] == "skillrouter"
    (tool,) = wire.answer(wire.begin("tools/list"))["tools"]
    assert tool["name"] == "find_skill"
    result = wire.find("rotate the logs")
    assert result["isError"] is True
    (block,) = result["content"]
    assert "Traceback" not in block["text"] + wire.errors
    return str(block["text"])


def test_tools_are_listed_before_an_engine_is_imported(
    dial: Dial, tmp_path: Path, write_skill: Any
) -> None:
    write_skill("rotate-logs")
    gate = tmp_path / "gate"
    wire = dial(prelude=GATE, GATE=str(gate), GATED="llama_cpp apsw tantivy")
    wire.greet()
    asked = wire.begin_find("rotate the logs")
    assert wire.answer(wire.begin("tools/list"))["tools"]
    assert not wire.answered(asked)
    gate.touch()
    assert wire.answer(asked)["structuredContent"]["matches"][0]["name"] == "rotate-logs"


def test_the_owner_starts_while_the_server_still_loads(
    dial: Dial, tmp_path: Path, write_skill: Any, owner_now: Callable[[Path], Process]
) -> None:
    write_skill("rotate-logs")
    gate = tmp_path / "gate"
    wire = dial(prelude=GATE, GATE=str(gate), GATED="mcp", SKILLROUTER_LINGER="60")
    owner = owner_now(tmp_path / "home")
    gate.touch()
    wire.greet()
    wire.find_until("rotate the logs", lambda r: r["index"]["skills"] == 1)
    assert owner_now(tmp_path / "home") == owner


def test_a_missing_model_file_is_told_when_it_is_needed(
    dial: Dial, tmp_path: Path, write_skill: Any
) -> None:
    write_skill("rotate-logs")
    sentence = _sentence_of_failure(dial(prelude=MODELS_FROM, MODELS=str(tmp_path)))
    assert f"{tmp_path / MODEL}: the file of the model" in sentence
    assert "Reinstall skillrouter-mcp" in sentence


@pytest.mark.parametrize("content", [b"", b"GGUF and no more", b"\0" * 30_000_000])
def test_a_broken_model_file_is_told_when_it_is_needed(
    dial: Dial, tmp_path: Path, write_skill: Any, content: bytes
) -> None:
    write_skill("rotate-logs")
    (tmp_path / MODEL).write_bytes(content)
    sentence = _sentence_of_failure(dial(prelude=MODELS_FROM, MODELS=str(tmp_path)))
    assert str(tmp_path / MODEL) in sentence
    assert "Reinstall skillrouter-mcp" in sentence


def test_a_home_that_cannot_be_made_is_told_when_it_is_needed(dial: Dial, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sentence = _sentence_of_failure(dial(tmp_path / "file" / "home"))
    assert str(tmp_path / "file" / "home") in sentence
    assert "SKILLROUTER_HOME" in sentence


def test_an_index_locked_by_another_program_is_told_when_it_is_needed(
    dial: Dial, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    other = apsw.Connection(str(home / "index.db"))
    try:
        other.execute("BEGIN EXCLUSIVE")
        quick = "import skillrouter_mcp.index.database as d\nd._BUSY_TIMEOUT_MS = 100\n"
        sentence = _sentence_of_failure(dial(home, prelude=quick))
    finally:
        other.close()
    assert f"{home / 'index.db'} is locked by another program" in sentence


def test_skills_that_cannot_be_read_into_the_index_are_not_called_none(
    dial: Dial, write_skill: Any
) -> None:
    write_skill("rotate-logs")
    sentence = _sentence_of_failure(dial(prelude=FULL_DISK))
    assert "No space left on device" in sentence
    assert "doctor" in sentence


def test_while_another_process_reads_the_skills_the_agent_is_asked_for_patience(
    dial: Dial, tmp_path: Path, write_skill: Any
) -> None:
    write_skill("rotate-logs")
    home = tmp_path / "home"
    home.mkdir()
    with FileLock(home / "writer.lock"):
        wire = dial(home, prelude=IMPATIENT)
        wire.greet()
        result = wire.find("rotate the logs")
    assert result["structuredContent"]["verdict"] == "none"
    assert "ask again" in result["content"][0]["text"]
    wire.find_until("rotate the logs", lambda r: r["index"]["skills"] == 1)


@pytest.mark.parametrize(
    ("name", "value"), [("SKILLROUTER_PROFILE", "nonesuch"), ("SKILLROUTER_THREADS", "many")]
)
def test_a_setting_that_cannot_be_used_is_told_when_it_is_needed(
    dial: Dial, name: str, value: str
) -> None:
    sentence = _sentence_of_failure(dial(**{name: value}))
    assert value in sentence or name in sentence
    assert "doctor" in sentence
