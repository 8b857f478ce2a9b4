from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillrouter_install import (
    Environment,
    InstallError,
    ServerEntry,
    clients,
    configured,
    find_client,
    plan_install,
)
from skillrouter_install.patience import Patience

VARIABLES = {"HOME": "/home/me", "PATH": "/bin", "EDITOR": "ed", "MCP_TIMEOUT": ""}


@pytest.fixture
def user(tmp_path: Path) -> Environment:
    return Environment("linux", tmp_path, VARIABLES, tmp_path / "project")


@pytest.mark.parametrize("client", clients(), ids=lambda client: client.id)
def test_what_an_install_writes_is_read_back(client: Any, user: Environment) -> None:
    assert configured(client, user) == []
    entry = ServerEntry("/opt/skillrouter-mcp", ("serve",), {"SKILLROUTER_ROOTS": "/skills"})
    plan_install(
        client, entry, environment=user, state=user.home / "state", own_command=False
    ).apply()
    (found,) = configured(client, user)
    assert (found.client, found.scope, found.name) == (client, "user", "skillrouter")
    assert (found.command, found.args, found.env) == (entry.command, entry.args, entry.env)
    assert found.file in client.files(user, "user")
    assert found.enabled
    assert found.url == ""
    assert found.start_seconds >= 30
    assert found.variables(user)["SKILLROUTER_ROOTS"] == "/skills"


def _write(user: Environment, servers: dict[str, Any]) -> None:
    (user.home / ".claude.json").write_text(json.dumps({"mcpServers": servers}))


def test_entries_count_by_their_name_or_their_command(user: Environment) -> None:
    _write(
        user,
        {
            "skillrouter": {"url": "http://localhost:8765/mcp"},
            "skills": {"command": "uvx", "args": ["skillrouter-mcp"]},
            "weather": {"command": "/opt/weather"},
            "odd": "text",
        },
    )
    first, second = configured(find_client("claude-code"), user)
    assert (first.name, first.command, first.url) == (
        "skillrouter",
        "",
        "http://localhost:8765/mcp",
    )
    assert (second.name, second.command, second.args) == ("skills", "uvx", ("skillrouter-mcp",))


def test_a_scope_that_a_client_lacks_has_no_entries(user: Environment) -> None:
    assert configured(find_client("claude-desktop"), user, "project") == []


def test_a_file_that_does_not_parse_is_named(user: Environment) -> None:
    file = user.home / ".claude.json"
    file.write_text("{")
    with pytest.raises(InstallError, match=f"{file} does not parse: line 1"):
        configured(find_client("claude-code"), user)


def test_what_a_client_filters_does_not_reach_the_server(user: Environment) -> None:
    _write(user, {"skillrouter": {"command": "/x", "env": {"PATH": "/opt"}}})
    (server,) = configured(find_client("claude-code"), user)
    assert server.variables(user) == {**VARIABLES, "PATH": "/opt"}
    file = user.home / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text("[mcp_servers.skillrouter]\ncommand = '/x'\n")
    (server,) = configured(find_client("codex"), user)
    assert server.variables(user) == {"HOME": "/home/me", "PATH": "/bin"}


def test_what_an_entry_forwards_by_name_reaches_the_server(user: Environment) -> None:
    file = user.home / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(
        "[mcp_servers.skillrouter]\ncommand = '/x'\n"
        "env_vars = ['EDITOR', {name = 'MCP_TIMEOUT', source = 'local'}, 'NONE', 1]\n"
    )
    (server,) = configured(find_client("codex"), user)
    assert server.variables(user) == VARIABLES


@pytest.mark.parametrize(
    ("entry", "variables", "seconds"),
    [
        ({}, {}, 30),
        ({"limit": 2_000}, {"LIMIT": "9000"}, 2),
        ({"limit": "soon"}, {"LIMIT": "9000"}, 9),
        ({"limit": 0}, {"LIMIT": "x"}, 30),
        ({"alwaysLoad": True}, {}, 5),
        ({"alwaysLoad": True, "limit": 2_000}, {}, 2),
    ],
)
def test_patience_comes_from_the_entry_then_the_environment(
    entry: dict[str, Any], variables: dict[str, str], seconds: float
) -> None:
    patience = Patience(30, "limit", "LIMIT", unit=0.001, always_loaded=5)
    assert patience.seconds_for(entry, variables) == seconds
