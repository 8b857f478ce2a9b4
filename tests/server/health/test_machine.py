from __future__ import annotations

import platform
from typing import Any

import pytest

from skillrouter_mcp.health.machine import REINSTALL, check_machine
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.words import WordIndex


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
