from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from skillrouter_mcp.cli import main

BODIES = {
    "bake-bread": "Knead the dough and let it rise overnight.",
    "rotate-logs": "Rotate and compress the log files before the disk fills.",
    "tune-piano": "Tune the treble strings of a grand piano.",
}

Run = Callable[..., Result]
RunJson = Callable[..., Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `skills` and their index in `home`, for tests that change neither."""
    folder = tmp_path_factory.mktemp("kept")
    for name, body in BODIES.items():
        path = folder / "skills" / name / "SKILL.md"
        path.parent.mkdir(parents=True)
        path.write_text(f"---\nname: {name}\ndescription: Helps.\n---\n{body}\n", encoding="utf-8")
    return folder


@pytest.fixture
def settled(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings point to `kept`."""
    monkeypatch.setenv("SKILLROUTER_HOME", str(kept / "home"))
    monkeypatch.setenv("SKILLROUTER_ROOTS", str(kept / "skills"))
    return kept


@pytest.fixture
def fresh(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings point to an empty `root` and to a home that is not there yet."""
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SKILLROUTER_ROOTS", str(root))
    return tmp_path / "home"


@pytest.fixture
def run() -> Run:
    """Runs a command in this process; it has to end with `status`."""

    def run_command(*arguments: str, status: int = 0, **options: Any) -> Result:
        result = CliRunner().invoke(main, arguments, prog_name="skillrouter-mcp", **options)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return run_command


@pytest.fixture
def run_json(run: Run) -> RunJson:
    """What a command prints with `--json`."""
    return lambda *arguments: json.loads(run(*arguments, "--json").stdout)
