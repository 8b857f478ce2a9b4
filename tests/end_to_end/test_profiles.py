"""Going over to another profile while sessions run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.server.tiny_profiles import make_home

from skillrouter_mcp.sharing.channel import connect

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Dial, Wire

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0
LOGS = "compress old log files"


@pytest.fixture
def home(tmp_path: Path, write_skill: Any) -> Path:
    """A home with profiles of tiny models, and two skills to be found."""
    write_skill("rotate-logs", "Compress old log files, and delete them after a month.\n")
    write_skill("bake-bread", "Mix flour, water, salt and yeast.\n")
    return make_home(tmp_path / "home")


@pytest.fixture
def command(tmp_path: Path, root: Path, home: Path) -> Callable[..., str]:
    """Runs a command in that home; what it prints."""

    def run(*arguments: str) -> str:
        environment = {
            "HOME": str(tmp_path),
            "SKILLROUTER_HOME": str(home),
            "SKILLROUTER_ROOTS": str(root),
        }
        done = subprocess.run(
            [COMMAND, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _profile(home: Path) -> str:
    with closing(connect(home)) as channel:
        return str(channel.receive(PATIENCE)["profile"])


def _is_found(result: dict[str, Any]) -> bool:
    return bool(result["index"]["pending"] == 0 and result["matches"])


def test_a_session_goes_on_with_another_profile(
    home: Path,
    dial: Dial,
    command: Callable[..., str],
    owner_now: Callable[[Path], psutil.Process],
) -> None:
    session = dial(home, SKILLROUTER_LINGER="30")
    session.greet()
    session.find_until(LOGS, _is_found)
    owner = owner_now(home)
    assert "profile embedded answers" in command("models", "use", "whole")
    assert session.find(LOGS)["structuredContent"]["matches"][0]["name"] == "rotate-logs"
    later = dial(home)
    later.greet()
    later.find_until(LOGS, _is_found)
    assert owner_now(home) == owner
    assert _profile(home) == "whole"
    assert "works alone" not in session.errors + later.errors
    owner.kill()
    session.find_until(LOGS, _is_found)
    assert _profile(home) == "whole"  # though the session began with another
    assert '"whole"' in (home / "config.toml").read_text(encoding="utf-8")


def test_without_a_session_the_next_one_goes_over(
    home: Path, dial: Dial, command: Callable[..., str]
) -> None:
    command("index")
    assert "The next server embeds the skills" in command("models", "use", "whole")
    assert "rotate-logs" in command("find", LOGS)
    session = dial(home)
    session.greet()
    session.find_until(LOGS, _is_found)
    assert _profile(home) == "whole"


def _wire_with(dial: Dial, home: Path, profile: str) -> Wire:
    wire = dial(home, SKILLROUTER_PROFILE=profile, SKILLROUTER_LINGER="30")
    wire.greet()
    return wire


def test_servers_may_have_profiles_of_their_own(
    home: Path, dial: Dial, command: Callable[..., str]
) -> None:
    first = _wire_with(dial, home, "embedded")
    first.find_until(LOGS, _is_found)
    second = _wire_with(dial, home, "whole")
    second.find_until(LOGS, _is_found)
    assert "works alone" in second.errors
    first.find_until(LOGS, _is_found)
    assert _profile(home) == "embedded"
    third = dial(home, SKILLROUTER_LINGER="30")
    third.greet()
    third.find_until(LOGS, _is_found)
    command("models", "use", "judged")
    first.find_until(LOGS, _is_found)
    third.find_until(LOGS, _is_found)
    assert "works alone" in first.errors  # it is set to what the owner has left
    assert "works alone" not in third.errors
