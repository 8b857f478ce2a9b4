from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.health import machine
from skillrouter_mcp.health.machine import REINSTALL, check_machine, own_command
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.words import WordIndex


@pytest.fixture(autouse=True)
def _own_command_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))


def _finding(subject: str) -> Any:
    return {finding.subject: finding for finding in check_machine()}[subject]


def test_each_engine_tells_its_version() -> None:
    assert platform.python_version() in _finding("Python").text
    assert "sqlite-vec v" in _finding("SQLite").text
    assert "llama-cpp-python" in _finding("llama.cpp").text
    assert {finding.status for finding in check_machine()} == {"ok"}


def test_sqlite_without_its_extension_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DatabaseError(":memory:: vec0.so: wrong ELF class")

    monkeypatch.setattr("skillrouter_mcp.index.database.versions", fail)
    finding = _finding("SQLite")
    assert finding.status == "broken"
    assert "wrong ELF class" in finding.text
    assert finding.remedy == REINSTALL


def test_tantivy_that_finds_nothing_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WordIndex, "ids", lambda _: set())
    assert _finding("Tantivy").status == "broken"


def test_tantivy_that_fails_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no room")

    monkeypatch.setattr(WordIndex, "update", fail)
    assert _finding("Tantivy").text == "cannot make an index: no room"


def test_another_command_first_on_the_path_is_a_note(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "skillrouter-mcp"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    own = tmp_path / "own"
    own.touch()
    monkeypatch.setattr(machine, "own_command", lambda: own)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = _finding(str(other))
    assert (finding.check, finding.status) == ("second-installation", "note")
    assert str(own) in finding.text


def test_a_link_to_this_command_is_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "environment" / "skillrouter-mcp"
    own.parent.mkdir()
    own.touch(0o755)
    (tmp_path / "skillrouter-mcp").symlink_to(own)
    monkeypatch.setattr(machine, "own_command", lambda: own)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {finding.check for finding in check_machine()} == {
        "python",
        "sqlite",
        "tantivy",
        "llama",
    }


def test_this_very_command_is_beside_its_python() -> None:
    own = own_command()
    assert own is None or own.parent == Path(sys.executable).parent
