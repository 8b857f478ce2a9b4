"""The clients' own commands: here programs that treat the file as the real ones were seen to."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from skillrouter_install import (
    Environment,
    ServerEntry,
    find_client,
    plan_install,
    plan_uninstall,
)

if TYPE_CHECKING:
    from pathlib import Path

CLAUDE = """
import json, os, pathlib, sys
arguments = sys.argv[1:]
verb, scope, name = arguments[1], arguments[3], arguments[4]
home = pathlib.Path(os.environ.get("CLAUDE_CONFIG_DIR") or os.environ["HOME"])
file = home / ".claude.json" if scope == "user" else pathlib.Path(".mcp.json")
data = json.loads(file.read_text()) if file.exists() else {"firstStart": os.getpid()}
servers = data.setdefault("mcpServers", {})
if verb == "add-json":
    if name in servers:
        sys.exit(f"MCP server {name} already exists")
    servers[name] = json.loads(arguments[5])
else:
    del servers[name]
file.write_text(json.dumps(data, indent=2, ensure_ascii=False))
"""

GEMINI = """
import json, os, pathlib, sys
arguments = sys.argv[1:]
scope = arguments[arguments.index("-s") + 1]
home = pathlib.Path(os.environ.get("GEMINI_CLI_HOME") or os.environ["HOME"])
file = (home if scope == "user" else pathlib.Path()) / ".gemini/settings.json"
data = json.loads(file.read_text()) if file.exists() else {}
servers = data.setdefault("mcpServers", {})
if arguments[1] == "add":
    env = {}
    while "-e" in arguments:
        at = arguments.index("-e")
        key, value = arguments[at + 1].split("=", 1)
        env[key] = value
        del arguments[at:at + 2]
    name, command, *args = arguments[6:]
    limit = int(arguments[5])
    args = args[1:] if args[:1] == ["--"] else args
    servers[name] = {"command": command, "args": args, "env": env, "timeout": limit}
else:
    del servers[arguments[-1]]
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(json.dumps(data, indent=2, ensure_ascii=False))
"""

CODE = """
import json, pathlib, sys
if "--help" in sys.argv:
    print("  --user-data-dir <dir>\\n  --add-mcp <json>" if {knows} else "  --new-window")
    sys.exit()
home = pathlib.Path.home() / ".config/Code"
if "--user-data-dir" in sys.argv:
    home = pathlib.Path(sys.argv[sys.argv.index("--user-data-dir") + 1])
entry = json.loads(sys.argv[sys.argv.index("--add-mcp") + 1])
file = home / "User/mcp.json"
data = json.loads(file.read_text()) if file.exists() else {{}}
data.setdefault("servers", {{}})[entry.pop("name")] = entry
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(json.dumps(data, indent="\\t", ensure_ascii=False))
"""

Planter = Callable[[str, str], Environment]


@pytest.fixture
def plant(environment: Environment, tmp_path: Path) -> Planter:
    """Puts a program on the search path and gives the environment that finds it."""

    def plant(name: str, source: str) -> Environment:
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable} -IS\n{source}")
        program.chmod(0o755)
        return dataclasses.replace(environment, variables={"PATH": str(program.parent)})

    return plant


def as_written(data: object, indent: int | str = 2) -> str:
    return json.dumps(data, indent=indent, ensure_ascii=False)


OTHER = {"mcpServers": {"other": {"command": "x", "args": []}}, "userID": "ü"}


def test_the_command_is_used_where_it_changes_the_entry_alone(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("claude", CLAUDE)
    file = environment.home / ".claude.json"
    file.write_text(as_written(OTHER))
    file.chmod(0o600)
    claude = find_client("claude-code")
    plan = plan_install(claude, server, environment=environment, state=state, always_load=True)
    assert file.read_text() == as_written(OTHER)
    (change,) = plan.changes
    assert change.run is not None
    assert str(change.run).startswith("claude mcp add-json --scope user skillrouter '{")
    done = plan.apply()
    assert done[-1].startswith("ran `claude mcp add-json")
    entry = json.loads(file.read_text())["mcpServers"]["skillrouter"]
    assert entry == {**claude.shape(server), "alwaysLoad": True}

    plan = plan_uninstall(claude, environment=environment, state=state)
    assert plan.notes == ("`claude mcp remove --scope user skillrouter` is run",)
    plan.apply()
    assert file.read_text() == as_written(OTHER)
    assert [path.name for path in environment.home.iterdir()] == [".claude.json"]


@pytest.mark.parametrize("text", [as_written(OTHER, 4), as_written(OTHER) + "\n"])
def test_the_file_is_edited_where_the_command_would_lay_it_out_anew(
    plant: Planter, state: Path, server: ServerEntry, text: str
) -> None:
    environment = plant("claude", CLAUDE)
    file = environment.home / ".claude.json"
    file.write_text(text)
    plan = plan_install(find_client("claude-code"), server, environment=environment, state=state)
    assert plan.notes == (
        "the file is edited, because `claude` would change more of it than the entry",
    )
    plan.apply()
    plan_uninstall(find_client("claude-code"), environment=environment, state=state).apply()
    assert file.read_text() == text


def test_the_file_is_edited_where_the_command_adds_something_of_its_own(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("claude", CLAUDE)
    claude = find_client("claude-code")
    plan_install(claude, server, environment=environment, state=state).apply()
    text = (environment.home / ".claude.json").read_text()
    assert json.loads(text) == {"mcpServers": {"skillrouter": claude.shape(server)}}


def test_a_new_file_is_what_the_command_makes_of_it(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("gemini", GEMINI)
    gemini = find_client("gemini")
    server = dataclasses.replace(server, args=("serve", "--flag", "-x"))
    plan = plan_install(gemini, server, environment=environment, state=state)
    diff = plan.diff()
    plan.apply()
    file = environment.home / ".gemini" / "settings.json"
    text = file.read_text()
    assert text == as_written({"mcpServers": {"skillrouter": gemini.shape(server)}})
    assert diff.endswith("+}\n\\ No newline at end of file\n")
    plan_uninstall(gemini, environment=environment, state=state).apply()
    assert not file.parent.exists()


def test_a_project_is_served_by_the_command_too(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("claude", CLAUDE)
    file = environment.project / ".mcp.json"
    file.write_text(as_written({"mcpServers": {"other": {"command": "x"}}}))
    claude = find_client("claude-code")
    plan = plan_install(claude, server, environment=environment, state=state, scope="project")
    assert plan.changes[0].run
    plan.apply()
    assert set(json.loads(file.read_text())["mcpServers"]) == {"other", "skillrouter"}


def test_an_entry_that_is_there_is_edited_in_place(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("claude", CLAUDE)
    file = environment.home / ".claude.json"
    mine = {"mcpServers": {"skillrouter": {"command": "/old", "mine": 1}, "z": {}}}
    file.write_text(as_written(mine))
    claude = find_client("claude-code")
    plan = plan_install(claude, server, environment=environment, state=state)
    assert plan.changes[0].run is None
    plan.apply()
    servers = json.loads(file.read_text())["mcpServers"]
    assert list(servers) == ["skillrouter", "z"]
    assert servers["skillrouter"]["command"] == server.command
    assert servers["skillrouter"]["mine"] == 1


def test_a_link_is_not_left_to_a_command_that_may_replace_it(
    plant: Planter, state: Path, server: ServerEntry, tmp_path: Path
) -> None:
    environment = plant("claude", CLAUDE)
    target = tmp_path / "dotfile"
    target.write_text(as_written(OTHER))
    file = environment.home / ".claude.json"
    file.symlink_to(target)
    plan = plan_install(find_client("claude-code"), server, environment=environment, state=state)
    assert plan.notes == ("the file is edited, because `claude` may replace the link",)
    plan.apply()
    assert file.is_symlink()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit('Please log in first')", "failed: Please log in first"),
        ("", "would change more of it"),
        ("import os; os.kill(os.getpid(), 9)", "failed: exit status -9"),
    ],
)
def test_a_command_that_does_not_do_it_leaves_the_file_to_be_edited(
    plant: Planter, state: Path, server: ServerEntry, source: str, reason: str
) -> None:
    environment = plant("claude", source)
    file = environment.home / ".claude.json"
    file.write_text(as_written(OTHER))
    plan = plan_install(find_client("claude-code"), server, environment=environment, state=state)
    assert reason in plan.notes[0]
    plan.apply()
    assert "skillrouter" in json.loads(file.read_text())["mcpServers"]


def test_a_command_that_hangs_is_ended(
    plant: Planter, state: Path, server: ServerEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillrouter_install.own_command._SECONDS", 0.2)
    environment = plant("claude", "import time; time.sleep(600)")
    plan = plan_install(find_client("claude-code"), server, environment=environment, state=state)
    assert "did not end within" in plan.notes[0]


def test_a_command_that_ignores_the_copy_changes_nothing_in_the_plan(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("claude", CLAUDE.replace('"CLAUDE_CONFIG_DIR"', '"NOTHING"'))
    file = environment.home / ".claude.json"
    file.write_text(as_written(OTHER))
    plan = plan_install(find_client("claude-code"), server, environment=environment, state=state)
    assert file.read_text() == as_written(OTHER)
    assert plan.changes[0].run is None


def test_a_command_that_fails_when_it_counts_is_made_good(
    plant: Planter, state: Path, server: ServerEntry
) -> None:
    environment = plant("claude", CLAUDE)
    file = environment.home / ".claude.json"
    file.write_text(as_written(OTHER))
    plan = plan_install(find_client("claude-code"), server, environment=environment, state=state)
    plant("claude", "import sys; sys.exit('locked')")
    done = plan.apply()
    assert "failed: locked; the file was edited instead" in done[1]
    assert "skillrouter" in json.loads(file.read_text())["mcpServers"]


def test_the_command_can_be_left_alone(plant: Planter, state: Path, server: ServerEntry) -> None:
    environment = plant("claude", "raise SystemExit('called')")
    plan = plan_install(
        find_client("claude-code"),
        server,
        environment=environment,
        state=state,
        own_command=False,
    )
    assert plan.notes == ()


@pytest.mark.parametrize(("knows", "used"), [(True, True), (False, False)])
def test_vs_code_is_asked_only_where_it_knows_the_option(
    plant: Planter, state: Path, server: ServerEntry, knows: bool, used: bool
) -> None:
    environment = plant("code", CODE.format(knows=knows))
    file = environment.home / ".config" / "Code" / "User" / "mcp.json"
    file.parent.mkdir(parents=True)
    before = as_written({"servers": {"other": {"command": "x"}}, "inputs": []}, "\t")
    file.write_text(before)
    code = find_client("vscode")
    plan = plan_install(code, server, environment=environment, state=state)
    assert (plan.changes[0].run is not None) is used
    plan.apply()
    assert json.loads(file.read_text())["servers"]["skillrouter"] == code.shape(server)
    plan_uninstall(code, environment=environment, state=state).apply()
    assert file.read_text() == before
