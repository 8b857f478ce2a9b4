from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from skillrouter_install import clients
from skillrouter_mcp.cli import main

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 60.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user who has Cursor, with no program on the search path."""
    home, project = tmp_path / "home", tmp_path / "project"
    (home / ".cursor").mkdir(parents=True)
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path / "state"))
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "HERMES_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the command can be asked."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True)


def _run(*arguments: str, status: int = 0, **options: Any) -> Result:
    result = CliRunner().invoke(main, arguments, prog_name="skillrouter-mcp", **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def _servers(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))["mcpServers"]


def test_installs_by_name_and_uninstalls(home: Path) -> None:
    said = _run("install", "cursor", "Claude Desktop").stdout
    file = home / ".cursor" / "mcp.json"
    assert f"Cursor: {file} was written" in said
    assert Path(_servers(file)["skillrouter"]["command"]).is_absolute()
    assert (home / ".config" / "Claude" / "claude_desktop_config.json").exists()
    _run("uninstall", "cursor", "claude-desktop")
    assert list(home.iterdir()) == [home / ".cursor"]


def test_all_means_those_on_the_machine_and_later_those_that_have_it(home: Path) -> None:
    _run("install", "--all")
    assert [file.name for file in (home / ".cursor").iterdir()] == ["mcp.json"]
    assert "Cursor" in _run("uninstall", "--all").stdout
    assert list((home / ".cursor").iterdir()) == []
    assert "nothing to do" in _run("uninstall", "--all").stdout


def test_a_project_gets_files_of_its_own(home: Path, tmp_path: Path) -> None:
    _run("install", "cursor", "--scope", "project")
    assert "skillrouter" in _servers(tmp_path / "project" / ".cursor" / "mcp.json")
    assert not (home / ".cursor" / "mcp.json").exists()
    assert "--scope user" in _run("install", "goose", "--scope", "project", status=1).stderr


def test_a_dry_run_prints_the_diff_and_changes_nothing(home: Path, tmp_path: Path) -> None:
    shown = _run("install", "cursor", "--dry-run").stdout
    assert shown.startswith("--- /dev/null\n+++ ")
    assert not (tmp_path / "state").exists()
    assert not (home / ".cursor" / "mcp.json").exists()


def test_print_shows_what_to_paste_and_where(home: Path) -> None:
    shown = _run("install", "claude-code", "--print", "--always-load")
    assert str(home / ".claude.json") in shown.stderr
    assert json.loads(shown.stdout)["mcpServers"]["skillrouter"]["alwaysLoad"] is True
    assert not (home / ".claude.json").exists()


def test_options_of_claude_code_can_be_switched_on_and_off(home: Path) -> None:
    _run("install", "claude-code", "--always-load", "--prompt-hook")
    assert _servers(home / ".claude.json")["skillrouter"]["alwaysLoad"] is True
    assert (home / ".claude" / "settings.json").exists()
    _run("install", "claude-code", "--no-always-load", "--no-prompt-hook")
    assert "alwaysLoad" not in _servers(home / ".claude.json")["skillrouter"]
    assert not (home / ".claude" / "settings.json").exists()


def test_an_unknown_client_is_bad_usage_told_with_those_there_are(home: Path) -> None:
    for command in ("install", "uninstall"):
        said = _run(command, "emacs", status=2).stderr
        assert "no client is called 'emacs'" in said
        assert all(client.id in said for client in clients())


def test_nobody_is_chosen_by_guessing(home: Path) -> None:
    assert "cursor; name those you mean, or give --all" in _run("install", status=2).stderr
    for command in ("install", "uninstall"):
        assert "not both" in _run(command, "cursor", "--all", status=2).stderr


def test_a_machine_without_clients_is_told(home: Path) -> None:
    (home / ".cursor").rmdir()
    assert "name one of: claude-code" in _run("install", "--all", status=1).stderr


def test_an_option_that_no_client_has_is_a_problem(home: Path) -> None:
    assert "no setting that keeps" in _run("install", "cursor", "--always-load", status=1).stderr


def test_a_file_that_cannot_be_edited_is_a_problem_with_what_to_paste(home: Path) -> None:
    (home / ".cursor" / "mcp.json").write_text("{", encoding="utf-8")
    for command in (("install", "cursor"), ("uninstall", "--all")):
        assert "cannot be read: line 1" in _run(*command, status=1).stderr


@pytest.mark.usefixtures("terminal")
class TestOnATerminal:
    def test_each_client_that_is_found_is_asked_for(self, home: Path) -> None:
        (home / ".config" / "goose").mkdir(parents=True)
        _run("install", input="n\ny\n")
        assert not (home / ".cursor" / "mcp.json").exists()
        assert (home / ".config" / "goose" / "config.yaml").exists()

    def test_what_claude_code_can_do_more_is_offered_and_off_unless_chosen(
        self, home: Path
    ) -> None:
        said = _run("install", "claude-code", input="\n\n").stderr
        assert "alwaysLoad" in said
        assert "UserPromptSubmit" in said
        assert "alwaysLoad" not in _servers(home / ".claude.json")["skillrouter"]
        assert not (home / ".claude" / "settings.json").exists()

    def test_what_is_in_force_is_not_asked_again(self, home: Path) -> None:
        _run("install", "claude-code", input="y\ny\n")
        assert _servers(home / ".claude.json")["skillrouter"]["alwaysLoad"] is True
        assert (home / ".claude" / "settings.json").exists()
        assert "?" not in _run("install", "claude-code", input="").stderr

    def test_adopting_is_offered_with_what_it_saves_and_off_unless_chosen(self, home: Path) -> None:
        skill = _skill(home / ".codex" / "skills" / "bake")
        said = _run("install", "codex", input="\n").stderr
        assert re.search(r"Codex: listing 1 skill of its own takes some \d+ tokens", said)
        assert "adopt --undo codex" in said
        assert "name-only" not in said
        assert skill.exists()
        _run("install", "codex", input="move\n")
        assert (home / ".skills" / "bake").exists()
        assert "choice" not in _run("install", "codex", input="").stderr
        _run("uninstall", "codex")
        assert skill.exists()

    def test_claude_code_can_list_by_name_instead(self, home: Path) -> None:
        _skill(home / ".claude" / "skills" / "bake")
        _run("install", "claude-code", input="n\nn\nname-only\n")
        written = (home / ".claude" / "settings.json").read_text(encoding="utf-8")
        assert json.loads(written) == {"skillOverrides": {"bake": "name-only"}}


def _skill(folder: Path) -> Path:
    folder.mkdir(parents=True)
    text = f"---\nname: {folder.name}\ndescription: Bakes.\n---\nKnead.\n"
    (folder / "SKILL.md").write_text(text, encoding="utf-8")
    return folder


def test_adopt_moves_and_undo_brings_back(home: Path) -> None:
    skill = _skill(home / ".claude" / "skills" / "bake")
    assert f"{skill} -> " in _run("adopt", "claude-code", "--dry-run").stdout
    _run("adopt", "claude-code")
    assert (home / ".skills" / "bake" / "SKILL.md").exists()
    assert f"{skill} is back in its place" in _run("adopt", "--undo", "claude-code").stdout
    assert skill.exists()


def test_adopt_can_leave_skills_in_place_listed_by_name(home: Path) -> None:
    _skill(home / ".claude" / "skills" / "bake")
    _run("adopt", "claude-code", "--name-only")
    assert "name-only" in (home / ".claude" / "settings.json").read_text(encoding="utf-8")
    _run("adopt", "claude-code", "--undo")
    assert not (home / ".claude" / "settings.json").exists()


def test_install_adopts_where_it_is_told_to(home: Path) -> None:
    skill = _skill(home / ".claude" / "skills" / "bake")
    _run("install", "claude-code", "--adopt", "move")
    assert not skill.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["adopt"],
        ["adopt", "emacs"],
        ["adopt", "claude-code", "--undo", "--name-only"],
        ["install", "claude-code", "--adopt", "move", "--scope", "project"],
        ["install", "claude-code", "--adopt", "move", "--print"],
        ["install", "claude-code", "--adopt", "delete"],
    ],
)
def test_bad_usage_of_adopting_is_told(home: Path, arguments: list[str]) -> None:
    assert "Usage" in _run(*arguments, status=2).stderr


def test_a_client_without_known_skills_is_a_problem(home: Path) -> None:
    assert "is not known" in _run("adopt", "cursor", status=1).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_names_of_clients(home: Path, shell: str) -> None:
    words = {
        "bash": {"COMP_WORDS": "skillrouter-mcp install cl", "COMP_CWORD": "2"},
        "zsh": {"COMP_WORDS": "skillrouter-mcp install cl", "COMP_CWORD": "2"},
        "fish": {"COMP_WORDS": "skillrouter-mcp install cl", "COMP_CWORD": "cl"},
    }[shell]
    env = {"_SKILLROUTER_MCP_COMPLETE": f"{shell}_complete", **words}
    offered = _run(env=env).stdout
    assert "claude-code" in offered
    assert "claude-desktop" in offered
    assert "codex" not in offered


class TestProcess:
    """What only shows in a process of its own."""

    def test_installs_for_a_user_without_a_search_path(self, home: Path) -> None:
        environment = {key: os.environ[key] for key in ("HOME", "PATH", "SKILLROUTER_HOME")}
        for arguments, status in (("install", "--all"), 0), (("install", "emacs"), 2):
            ended = subprocess.run(
                [COMMAND, *arguments], env=environment, capture_output=True, timeout=PATIENCE
            )
            assert ended.returncode == status, ended.stderr
            assert b"Traceback" not in ended.stderr
        assert _servers(home / ".cursor" / "mcp.json")["skillrouter"]["command"] == COMMAND

    def test_a_question_that_is_broken_off_changes_nothing(self, home: Path) -> None:
        terminal, end = pty.openpty()
        with subprocess.Popen([COMMAND, "install"], stdin=end, stderr=subprocess.PIPE) as process:
            os.close(end)
            os.write(terminal, b"\x04")
            assert process.stderr is not None
            said = process.stderr.read().decode()
            assert process.wait(PATIENCE) == 1
        os.close(terminal)
        assert re.search(r"Add to Cursor .*\?.*Aborted!", said, re.DOTALL), said
        assert not (home / ".cursor" / "mcp.json").exists()

    def test_other_commands_do_not_load_the_installer(self) -> None:
        code = "import sys, skillrouter_mcp.cli; sys.exit('skillrouter_install' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
