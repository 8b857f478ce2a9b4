from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillrouter_install import find_client
from skillrouter_mcp.client_setup import (
    Choices,
    clients_to_install,
    clients_to_uninstall,
    install,
    print_snippets,
    server_entry,
    uninstall,
)
from skillrouter_mcp.settings import Settings, load_settings

OTHER = '{\n    // mine\n    "mcpServers": {"other": {"command": "/bin/other"}}\n}\n'
CLAUDE, CURSOR, GOOSE = (find_client(name) for name in ("claude-code", "cursor", "goose"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "HERMES_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings(home=home / "state")


@pytest.fixture
def cursor_file(home: Path) -> Path:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(OTHER, encoding="utf-8")
    return path


def test_install_and_uninstall_leave_the_file_as_it_was(
    settings: Settings, cursor_file: Path
) -> None:
    assert install([CURSOR], settings, Choices())
    written = cursor_file.read_text(encoding="utf-8")
    assert json.dumps(server_entry(settings).command) in written
    assert "// mine" in written
    assert uninstall([CURSOR], settings, Choices())
    assert cursor_file.read_text(encoding="utf-8") == OTHER


def test_dry_run_shows_the_change_and_makes_none(
    settings: Settings, cursor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install([CURSOR], settings, Choices(dry_run=True))
    assert "+" in capsys.readouterr().out
    assert cursor_file.read_text(encoding="utf-8") == OTHER
    assert not settings.home.exists()


def test_what_is_there_already_is_said(
    settings: Settings, cursor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install([CURSOR], settings, Choices())
    capsys.readouterr()
    assert install([CURSOR], settings, Choices())
    assert "nothing to change" in capsys.readouterr().out


def test_a_file_that_does_not_parse_is_refused_with_what_to_paste_and_ends_only_its_client(
    home: Path, settings: Settings, cursor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cursor_file.write_text('{"mcpServers": ', encoding="utf-8")
    assert not install([CURSOR, GOOSE], settings, Choices())
    assert "line 1" in (said := capsys.readouterr().err)
    assert '"skillrouter"' in said
    assert cursor_file.read_text(encoding="utf-8") == '{"mcpServers": '
    assert "skillrouter" in (home / ".config/goose/config.yaml").read_text(encoding="utf-8")


def test_the_command_and_the_folders_of_the_settings_are_absolute(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("SKILLROUTER_HOME", "state")
    monkeypatch.setenv("SKILLROUTER_ROOTS", "one:~/two")
    entry = server_entry(load_settings())
    assert Path(entry.command).is_absolute()
    assert entry.env["SKILLROUTER_HOME"] == str(home / "state")
    assert entry.env["SKILLROUTER_ROOTS"] == f"{home / 'one'}:{home / 'two'}"


def test_an_option_goes_to_those_of_the_clients_that_have_it(
    home: Path, settings: Settings, cursor_file: Path
) -> None:
    assert install([CURSOR, CLAUDE], settings, Choices(always_load=True, prompt_hook=True))
    assert "alwaysLoad" not in cursor_file.read_text(encoding="utf-8")
    assert "alwaysLoad" in (home / ".claude.json").read_text(encoding="utf-8")
    assert "find_skill" in (home / ".claude" / "settings.json").read_text(encoding="utf-8")
    assert not install([CURSOR], settings, Choices(always_load=True))


def test_clients_to_install_are_those_of_the_machine(home: Path, cursor_file: Path) -> None:
    assert clients_to_install(every=True, scope="user") == [CURSOR]


def test_clients_to_uninstall_are_those_that_have_it(
    home: Path, settings: Settings, cursor_file: Path
) -> None:
    assert clients_to_uninstall(True, "user", settings) == []
    install([GOOSE], settings, Choices())
    assert clients_to_uninstall(True, "user", settings) == [GOOSE]
    cursor_file.write_text("{", encoding="utf-8")
    assert clients_to_uninstall(True, "user", settings) == [CURSOR, GOOSE]


def test_a_snippet_can_be_pasted(
    settings: Settings, cursor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_snippets([CURSOR], settings, Choices())
    shown = capsys.readouterr()
    assert str(cursor_file) in shown.err
    pasted = json.loads(shown.out)
    assert pasted["mcpServers"]["skillrouter"]["command"] == server_entry(settings).command
