from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillrouter_install import InstallError
from skillrouter_mcp.client_setup import (
    Choices,
    choose_clients,
    install,
    print_snippets,
    server_entry,
    uninstall,
)

OTHER = '{\n    // mine\n    "mcpServers": {"other": {"command": "/bin/other"}}\n}\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "HERMES_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def cursor_file(home: Path) -> Path:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(OTHER, encoding="utf-8")
    return path


def test_install_and_uninstall_leave_the_file_as_it_was(home: Path, cursor_file: Path) -> None:
    chosen, state = choose_clients(["cursor"], every=False), home / "state"
    assert install(chosen, state, Choices())
    written = cursor_file.read_text(encoding="utf-8")
    assert json.dumps(server_entry().command) in written
    assert "// mine" in written
    assert uninstall(chosen, state, Choices())
    assert cursor_file.read_text(encoding="utf-8") == OTHER


def test_dry_run_shows_the_change_and_makes_none(
    home: Path, cursor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install(choose_clients(["cursor"], every=False), home, Choices(dry_run=True))
    assert "+" in capsys.readouterr().out
    assert cursor_file.read_text(encoding="utf-8") == OTHER


def test_file_that_does_not_parse_is_refused_with_what_to_paste(
    home: Path, cursor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor_file.write_text('{"mcpServers": ', encoding="utf-8")
    chosen = choose_clients(["cursor", "goose"], every=False)
    assert not install(chosen, home / "state", Choices())
    assert "line 1" in capsys.readouterr().err
    assert cursor_file.read_text(encoding="utf-8") == '{"mcpServers": '
    assert "skillrouter" in (home / ".config/goose/config.yaml").read_text(encoding="utf-8")


def test_command_of_this_installation_is_absolute() -> None:
    assert Path(server_entry().command).is_absolute()


def test_without_names_those_on_the_machine_are_meant(home: Path, cursor_file: Path) -> None:
    assert "cursor" in [client.id for client in choose_clients([], every=True)]


def test_without_names_and_terminal_nothing_is_guessed(home: Path, cursor_file: Path) -> None:
    with pytest.raises(InstallError, match=r"cursor.*--all"):
        choose_clients([], every=False)


def test_unknown_client_is_refused_with_those_there_are(home: Path) -> None:
    with pytest.raises(InstallError, match="claude-code"):
        choose_clients(["emacs"], every=False)


def test_snippet_can_be_pasted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_snippets(choose_clients(["cursor"], every=False))
    pasted = json.loads(capsys.readouterr().out)
    assert pasted["mcpServers"]["skillrouter"]["command"] == server_entry().command
