from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
import yaml

from skillrouter_install import (
    Environment,
    InstallError,
    ServerEntry,
    clients,
    detect,
    find_client,
    snippets,
)

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_install.environment import Platform

SERVER = ServerEntry("/opt/bin/it", ("serve",), {"KEY": "value"})
STDIO = {"command": "/opt/bin/it", "args": ["serve"], "env": {"KEY": "value"}}

USER_FILES = {
    "claude-code": (".claude.json", ".claude.json", ".claude.json"),
    "claude-desktop": (
        ".config/Claude/claude_desktop_config.json",
        "Library/Application Support/Claude/claude_desktop_config.json",
        "AppData/Roaming/Claude/claude_desktop_config.json",
    ),
    "hermes": (".hermes/config.yaml", ".hermes/config.yaml", "AppData/Local/hermes/config.yaml"),
    "codex": (".codex/config.toml", ".codex/config.toml", ".codex/config.toml"),
    "cursor": (".cursor/mcp.json", ".cursor/mcp.json", ".cursor/mcp.json"),
    "vscode": (
        ".config/Code/User/mcp.json",
        "Library/Application Support/Code/User/mcp.json",
        "AppData/Roaming/Code/User/mcp.json",
    ),
    "gemini": (".gemini/settings.json", ".gemini/settings.json", ".gemini/settings.json"),
    "opencode": (
        ".config/opencode/opencode.json",
        ".config/opencode/opencode.json",
        ".config/opencode/opencode.json",
    ),
    "goose": (
        ".config/goose/config.yaml",
        ".config/goose/config.yaml",
        "AppData/Roaming/Block/goose/config/config.yaml",
    ),
    "openclaw": (
        ".openclaw/openclaw.json",
        ".openclaw/openclaw.json",
        ".openclaw/openclaw.json",
    ),
}
PROJECT_FILES = {
    "claude-code": ".mcp.json",
    "codex": ".codex/config.toml",
    "cursor": ".cursor/mcp.json",
    "vscode": ".vscode/mcp.json",
    "gemini": ".gemini/settings.json",
    "opencode": "opencode.json",
}
MOVED = [
    ("claude-code", "CLAUDE_CONFIG_DIR", "/moved", "/moved/.claude.json"),
    ("claude-desktop", "XDG_CONFIG_HOME", "/moved", "/moved/Claude/claude_desktop_config.json"),
    ("hermes", "HERMES_HOME", "/moved", "/moved/config.yaml"),
    ("codex", "CODEX_HOME", "/moved", "/moved/config.toml"),
    ("vscode", "XDG_CONFIG_HOME", "/moved", "/moved/Code/User/mcp.json"),
    ("gemini", "GEMINI_CLI_HOME", "/moved", "/moved/.gemini/settings.json"),
    ("opencode", "XDG_CONFIG_HOME", "/moved", "/moved/opencode/opencode.json"),
    ("goose", "XDG_CONFIG_HOME", "/moved", "/moved/goose/config.yaml"),
    ("openclaw", "OPENCLAW_STATE_DIR", "/moved", "/moved/openclaw.json"),
    ("openclaw", "OPENCLAW_CONFIG_PATH", "/moved/file.json", "/moved/file.json"),
]
SNIPPETS: dict[str, dict[str, Any]] = {
    "claude-code": {"mcpServers": {"skillrouter": {"type": "stdio", **STDIO}}},
    "claude-desktop": {"mcpServers": {"skillrouter": STDIO}},
    "hermes": {
        "mcp_servers": {"skillrouter": {**STDIO, "timeout": 300, "connect_timeout": 60}},
    },
    "codex": {
        "mcp_servers": {
            "skillrouter": {**STDIO, "startup_timeout_sec": 60, "tool_timeout_sec": 300}
        }
    },
    "cursor": {"mcpServers": {"skillrouter": STDIO}},
    "vscode": {"servers": {"skillrouter": {"type": "stdio", **STDIO}}},
    "gemini": {"mcpServers": {"skillrouter": {**STDIO, "timeout": 300_000}}},
    "opencode": {
        "mcp": {
            "skillrouter": {
                "type": "local",
                "command": ["/opt/bin/it", "serve"],
                "environment": {"KEY": "value"},
                "enabled": True,
                "timeout": 60_000,
            }
        }
    },
    "goose": {
        "extensions": {
            "skillrouter": {
                "type": "stdio",
                "name": "skillrouter",
                "enabled": True,
                "cmd": "/opt/bin/it",
                "args": ["serve"],
                "env_keys": [],
                "envs": {"KEY": "value"},
                "timeout": 300,
            }
        }
    },
    "openclaw": {"mcp": {"servers": {"skillrouter": STDIO}}},
}


def test_every_client_is_checked_here() -> None:
    ids = [client.id for client in clients()]
    assert sorted(ids) == sorted(USER_FILES) == sorted(SNIPPETS)


@pytest.mark.parametrize("name", USER_FILES)
@pytest.mark.parametrize(("platform", "column"), [("linux", 0), ("macos", 1), ("windows", 2)])
def test_the_user_file_is_where_the_client_looks_for_it(
    environment: Environment, name: str, platform: Platform, column: int
) -> None:
    there = dataclasses.replace(environment, platform=platform)
    expected = environment.home / USER_FILES[name][column]
    assert find_client(name).files(there, "user")[0] == expected


@pytest.mark.parametrize("name", USER_FILES)
def test_the_project_file_is_where_the_client_looks_for_it(
    environment: Environment, name: str
) -> None:
    client = find_client(name)
    if name in PROJECT_FILES:
        expected = environment.project / PROJECT_FILES[name]
        assert client.files(environment, "project")[0] == expected
        assert client.scopes() == ("user", "project")
    else:
        assert client.scopes() == ("user",)
        with pytest.raises(InstallError, match="use --scope user"):
            client.files(environment, "project")


@pytest.mark.parametrize(("name", "variable", "value", "expected"), MOVED)
def test_a_variable_moves_the_user_file(
    environment: Environment, name: str, variable: str, value: str, expected: str
) -> None:
    there = dataclasses.replace(environment, variables={variable: value})
    assert str(find_client(name).files(there, "user")[0]) == expected


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_snippet_has_the_shape_that_the_client_reads(
    environment: Environment, name: str
) -> None:
    client = find_client(name)
    ((file, text),) = snippets(client, SERVER, environment=environment)
    assert file == environment.home / USER_FILES[name][0]
    if client.form == "toml":
        assert tomlkit.parse(text).unwrap() == SNIPPETS[name]
    elif client.form == "yaml":
        assert yaml.safe_load(text) == SNIPPETS[name]
    else:
        assert json.loads(text) == SNIPPETS[name]


@pytest.mark.parametrize("name", SNIPPETS)
def test_nothing_is_said_of_an_empty_environment_where_it_need_not_be(
    environment: Environment, name: str
) -> None:
    client = find_client(name)
    ((_, text),) = snippets(client, ServerEntry("/opt/bin/it"), environment=environment)
    assert ("env" in text) == (name in ("claude-code", "goose"))


def test_the_snippets_of_claude_code_have_what_was_chosen(environment: Environment) -> None:
    (file, entry), (hook_file, hook) = snippets(
        find_client("claude-code"),
        SERVER,
        environment=environment,
        scope="project",
        always_load=True,
        prompt_hook=True,
    )
    assert file == environment.project / ".mcp.json"
    assert json.loads(entry)["mcpServers"]["skillrouter"]["alwaysLoad"] is True
    assert hook_file == environment.project / ".claude" / "settings.json"
    assert "UserPromptSubmit" in json.loads(hook)["hooks"]


def test_a_snippet_is_for_the_file_that_is_there(environment: Environment) -> None:
    there = environment.home / ".config" / "opencode" / "opencode.jsonc"
    there.parent.mkdir(parents=True)
    there.touch()
    ((file, _),) = snippets(find_client("opencode"), SERVER, environment=environment)
    assert file == there


@pytest.mark.parametrize(
    ("said", "id_"),
    [
        ("claude-code", "claude-code"),
        ("Claude Code", "claude-code"),
        ("CLAUDE_DESKTOP", "claude-desktop"),
        ("VS Code", "vscode"),
        ("gemini", "gemini"),
        ("Gemini CLI", "gemini"),
    ],
)
def test_a_client_is_found_by_id_and_by_title(said: str, id_: str) -> None:
    assert find_client(said).id == id_


def test_a_client_that_is_not_known_is_said_with_the_likeliest() -> None:
    with pytest.raises(InstallError, match=r"did you mean codex\? known are claude-code"):
        find_client("codx")
    with pytest.raises(InstallError, match="known are claude-code"):
        find_client("zzz")


def test_nothing_is_detected_in_an_empty_home(environment: Environment) -> None:
    assert detect(environment) == []


@pytest.mark.parametrize("name", USER_FILES)
def test_a_client_is_detected_by_its_folder(environment: Environment, name: str) -> None:
    client = find_client(name)
    file = client.files(environment, "user")[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    (found,) = detect(environment)
    assert found.client == client
    assert "exists" in found.because


def test_a_client_is_detected_by_its_program(environment: Environment, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "codex"
    program.parent.mkdir()
    program.touch(mode=0o755)
    there = dataclasses.replace(environment, variables={"PATH": str(program.parent)})
    (found,) = detect(there)
    assert (found.client.id, found.because) == ("codex", f"`codex` is at {program}")
