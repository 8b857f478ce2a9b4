"""Commands that change clients, run as processes at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillrouter_install import locked

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0
NAMES = tuple(f"skill-{number}" for number in range(40))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a user of whom Codex, Goose and others share a folder of skills."""
    home = tmp_path / "home"
    for name in NAMES:
        folder = home / ".agents" / "skills" / name
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text(f"---\nname: {name}\ndescription: Bakes.\n---\nKnead.\n")
    return home


def _start(home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "SKILLROUTER_HOME": str(_state(home))},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _state(home: Path) -> Path:
    return home.parent / "state"


def _ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_two_adoptions_at_once_move_each_skill_once(home: Path) -> None:
    with locked(_state(home)):  # so that both are there before either begins
        running = [_start(home, "adopt", "codex"), _start(home, "install", "goose", "--adopt=move")]
    ended = [_ended(process) for process in running]
    assert [status for status, _, _ in ended] == [0, 0], ended
    assert sum(out.count("was moved to") for _, out, _ in ended) == len(NAMES)
    assert sorted(os.listdir(home / ".skills")) == sorted(NAMES)  # noqa: PTH208
    assert os.listdir(home / ".agents" / "skills") == []  # noqa: PTH208
    status, out, err = _ended(_start(home, "adopt", "--undo", "codex", "goose"))
    assert (status, out.count("is back in its place")) == (0, len(NAMES)), err
    assert sorted(os.listdir(home / ".agents" / "skills")) == sorted(NAMES)  # noqa: PTH208


def test_installs_at_once_are_all_on_record(home: Path) -> None:
    clients = ("cursor", "claude-desktop", "goose", "codex", "hermes", "opencode")
    before = {str(path) for path in home.rglob("*")}
    ended = [_ended(process) for process in [_start(home, "install", each) for each in clients]]
    assert [status for status, _, _ in ended] == [0] * len(clients), ended
    records = json.loads((_state(home) / "installed.json").read_text())
    assert len(records) == len(clients)
    assert _ended(_start(home, "uninstall", *clients))[0] == 0
    assert {str(path) for path in home.rglob("*")} == before
