from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.end_to_end.conftest import COMMAND, PATIENCE, SKILLS

Doctor = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Runs the doctor for a user of whom nothing else is on the machine."""

    def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, "doctor", *arguments],
            env={
                "HOME": str(tmp_path),
                "PATH": f"{Path(COMMAND).parent}:/usr/bin:/bin",
                "SKILLROUTER_HOME": str(home),
                "SKILLROUTER_ROOTS": str(SKILLS),
                **variables,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    return run


def _configure(file: Path, command: str, home: Path, **more: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    env = {"SKILLROUTER_HOME": str(home), "SKILLROUTER_ROOTS": str(SKILLS)}
    entry = {"command": command, "args": [], "env": env, **more}
    file.write_text(json.dumps({"mcpServers": {"skillrouter": entry}}))


def test_a_client_that_starts_the_installed_server_is_found_connected(
    doctor: Doctor, skills_home: Path, tmp_path: Path
) -> None:
    _configure(tmp_path / ".cursor" / "mcp.json", COMMAND, skills_home)
    result = doctor(skills_home, "--json")
    findings = json.loads(result.stdout)
    assert result.returncode == 0, findings
    assert "Traceback" not in result.stderr
    (connection,) = (finding for finding in findings if finding["section"] == "clients")
    assert (connection["subject"], connection["status"]) == ("Cursor", "ok")
    assert {f["status"] for f in findings if f["section"] != "library"} == {"ok"}


def test_fixing_has_a_client_start_the_server_again(
    doctor: Doctor, skills_home: Path, tmp_path: Path
) -> None:
    file = tmp_path / ".claude.json"
    _configure(file, str(tmp_path / "old" / "skillrouter-mcp"), skills_home, note="mine")
    broken = doctor(skills_home)
    assert broken.returncode == 1
    assert "is not there any more" in broken.stdout
    assert "* Claude Code" in broken.stdout
    mended = doctor(skills_home, "--fix")
    assert mended.returncode == 0, mended.stdout
    assert "starts" in mended.stderr
    assert "connects in" in mended.stdout
    entry = json.loads(file.read_text())["mcpServers"]["skillrouter"]
    assert Path(entry["command"]).samefile(COMMAND)
    assert entry["note"] == "mine"


def test_a_config_that_is_garbage_is_named(doctor: Doctor, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("profile = = \n")
    result = doctor(home)
    assert result.returncode == 2
    assert "config.toml" in result.stderr
    assert "Traceback" not in result.stderr
