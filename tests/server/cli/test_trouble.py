from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skillrouter_mcp.errors import SkillRouterError

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run


@pytest.mark.parametrize(
    "arguments",
    [["find", "x"], ["index"], ["models", "list"], ["doctor"], ["serve", "--http"]],
)
@pytest.mark.parametrize("config", [b"profile = = \n", b"\xff\xfe", b'rootz = "/a"\n'])
def test_a_config_that_is_garbage_is_bad_usage(
    run: Run, fresh: Path, arguments: list[str], config: bytes
) -> None:
    fresh.mkdir()
    (fresh / "config.toml").write_bytes(config)
    assert "config.toml" in run(*arguments, status=2).stderr


@pytest.mark.parametrize("arguments", [["find", "x"], ["index"], ["index", "--rebuild"]])
def test_a_home_that_cannot_be_made_is_told(
    run: Run, fresh: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.touch()
    monkeypatch.setenv("SKILLROUTER_HOME", str(fresh / "home"))
    result = run(*arguments, status=1)
    assert result.stderr.startswith(f"Error: {fresh / 'home'} cannot be made")
    assert "SKILLROUTER_HOME" in result.stderr
    assert result.stdout == ""


def test_a_damaged_index_is_made_anew(
    run: Run, fresh: Path, write_skill: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_skill("tune-piano", body="Tune the strings of a grand piano.")
    fresh.mkdir()
    (fresh / "index.db").write_bytes(b"garbage " * 1000)
    assert run("find", "grand piano").stdout.startswith("tune-piano ")
    assert "set aside" in caplog.text


@pytest.mark.parametrize("arguments", [["find", "x"], ["index"]])
def test_an_unknown_profile_is_bad_usage(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("SKILLROUTER_PROFILE", "zz")
    result = run(*arguments, status=2)
    assert result.stderr.startswith("Usage: ")
    assert "there is no profile 'zz'; known are: edge, embedded," in result.stderr


def test_a_message_brings_no_escapes_to_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise SkillRouterError("a file says \x1b]0;pwn\x07\nand more")

    monkeypatch.setattr("skillrouter_mcp.settings.load_settings", refuse)
    result = run("index", status=1)
    assert "\x1b" not in result.stderr
    assert result.stderr.endswith("\\x1b]0;pwn\\x07\nand more\n")
