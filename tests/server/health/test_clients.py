from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillrouter_install import Environment
from skillrouter_mcp.health import clients, connection
from skillrouter_mcp.health.clients import check_clients
from skillrouter_mcp.health.finding import Finding, Silence
from skillrouter_mcp.settings import Settings

Configure = Callable[..., Path]


@pytest.fixture
def configure(environment: Environment) -> Configure:
    """Writes an entry into Claude Code's file, the user's or a project's."""

    def write(command: Any, *args: str, project: bool = False, **more: Any) -> Path:
        file = environment.project / ".mcp.json" if project else environment.home / ".claude.json"
        entry = {"type": "stdio", "command": str(command), "args": list(args), **more}
        file.write_text(json.dumps({"mcpServers": {"skillrouter": entry}}))
        return file

    return write


@pytest.fixture
def check(settings: Settings, environment: Environment) -> Callable[..., list[Finding]]:
    def check_all(environment: Environment = environment) -> list[Finding]:
        return list(check_clients(settings, environment, Silence()))

    return check_all


Check = Callable[..., list[Finding]]


def _summary(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, finding.status) for finding in findings]


def test_a_machine_without_clients_is_a_note(check: Check) -> None:
    assert _summary(check()) == [("none", "note")]


def test_a_client_without_our_entry_is_a_note(check: Check, environment: Environment) -> None:
    (environment.home / ".codex").mkdir()
    (finding,) = check()
    assert (finding.subject, finding.check, finding.status) == ("Codex", "not-installed", "note")
    assert finding.remedy == "skillrouter-mcp install codex"


def test_a_server_that_answers_is_ok(check: Check, configure: Configure, server: Path) -> None:
    configure(server)
    (finding,) = check()
    assert (finding.subject, finding.status) == ("Claude Code", "ok")
    assert "(limit 30 s)" in finding.text
    assert "3 skills" in finding.text


def test_an_unparsable_file_is_broken_with_its_line(check: Check, environment: Environment) -> None:
    file = environment.home / ".claude.json"
    file.write_text('{\n  "mcpServers": {\n')
    (finding,) = check()
    assert (finding.check, finding.status) == ("client-file", "broken")
    assert f"{file} does not parse: line 3" in finding.text


@pytest.mark.parametrize(
    ("fault", "name", "status", "said"),
    [
        ("dies", "ended", "broken", "No module named 'skillrouter_mcp'"),
        ("talks", "noise", "problem", "Welcome to your \\x1b[31mshell"),
        ("old", "second-version", "problem", "version 0.0.1"),
        ("other", "other-server", "broken", "is weather"),
        ("fails", "tool-fails", "broken", "no model"),
        ("empty", "connection", "problem", "0 skills"),
    ],
)
def test_each_fault_of_a_server_is_told(
    check: Check,
    configure: Configure,
    server: Path,
    fault: str,
    name: str,
    status: str,
    said: str,
) -> None:
    configure(server, fault)
    finding = check()[0]
    assert (finding.check, finding.status) == (name, status)
    assert said in finding.text
    assert finding.why


def test_a_server_that_takes_longer_than_its_client_waits_is_broken(
    check: Check, configure: Configure, server: Path, environment: Environment
) -> None:
    configure(server, "hangs")
    patient = replace(environment, variables={**environment.variables, "MCP_TIMEOUT": "200"})
    (finding,) = check(patient)
    assert (finding.check, finding.status) == ("timeout", "broken")
    assert "within the 0.2 s that the client waits" in finding.text


def test_a_server_that_is_nearly_too_slow_is_a_problem(
    check: Check, configure: Configure, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_NEARLY_ALL", 0.0)
    configure(server)
    assert _summary(check()) == [("slow-start", "problem"), ("connection", "ok")]


def test_a_command_that_is_gone_is_broken_and_installed_anew(
    check: Check,
    configure: Configure,
    server: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clients, "own_command", lambda: server)
    file = configure(tmp_path / "gone", env={"SKILLROUTER_ROOTS": "/skills"})
    finding = check()[0]
    assert (finding.check, finding.status) == ("command", "broken")
    assert "is not there any more" in finding.text
    assert finding.mend is not None
    finding.mend.run()
    entry = json.loads(file.read_text())["mcpServers"]["skillrouter"]
    assert (entry["command"], entry["env"]) == (str(server), {"SKILLROUTER_ROOTS": "/skills"})
    assert _summary(check()) == [("connection", "ok")]


def test_a_script_whose_python_is_gone_is_a_stale_environment(
    check: Check, configure: Configure, server: Path
) -> None:
    server.write_text("#!/old/environment/bin/python\n")
    configure(server)
    finding = check()[0]
    assert (finding.check, finding.status) == ("stale-environment", "broken")
    assert "/old/environment/bin/python" in finding.text


def test_a_file_that_cannot_be_executed_is_broken(
    check: Check, configure: Configure, server: Path
) -> None:
    server.chmod(0o644)
    configure(server)
    assert check()[0].text.endswith("cannot be executed")


def test_a_bare_command_is_broken_unless_the_clients_path_has_it(
    check: Check, configure: Configure, server: Path, environment: Environment
) -> None:
    configure("skillrouter-mcp")
    assert _summary(check())[0] == ("command", "broken")
    lucky = replace(environment, variables={**environment.variables, "PATH": str(server.parent)})
    assert _summary(check(lucky)) == [("relative-command", "problem"), ("connection", "ok")]


def test_an_environment_without_a_path_is_told(
    check: Check, configure: Configure, server: Path
) -> None:
    configure(server, env={"PATH": ""})
    assert _summary(check()) == [("no-path", "note"), ("connection", "ok")]
    configure("skillrouter-mcp", env={"PATH": ""})
    assert _summary(check()) == [("no-path", "note"), ("command", "broken")]


def test_settings_that_a_client_does_not_pass_on_are_a_problem(
    check: Check, server: Path, environment: Environment
) -> None:
    file = environment.home / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_text(f"[mcp_servers.skillrouter]\ncommand = '{server}'\n")
    variables = {**environment.variables, "SKILLROUTER_ROOTS": "/team/skills"}
    finding = check(replace(environment, variables=variables))[0]
    assert (finding.check, finding.status) == ("lost-settings", "problem")
    assert "SKILLROUTER_ROOTS" in finding.text


def test_an_entry_without_a_command_is_broken(check: Check, environment: Environment) -> None:
    (environment.home / ".claude.json").write_text('{"mcpServers": {"skillrouter": {}}}')
    assert _summary(check()) == [("command", "broken")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "http", "url": "http://127.0.0.1:8765/mcp"}, ("http", "note")),
        ({"command": "/x/skillrouter-mcp", "disabled": True}, ("disabled", "problem")),
    ],
)
def test_what_is_not_started_by_the_client_is_not_started_here(
    check: Check, environment: Environment, entry: dict[str, Any], expected: tuple[str, str]
) -> None:
    file = environment.home / ".claude.json"
    file.write_text(json.dumps({"mcpServers": {"skillrouter": entry}}))
    assert _summary(check()) == [expected]


def test_a_projects_file_starts_nothing_but_this_installation(
    check: Check,
    configure: Configure,
    server: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
    trap.chmod(0o755)
    configure(trap, project=True)
    assert ("not-started", "note") in _summary(check())
    monkeypatch.setattr(clients, "own_command", lambda: server)
    configure(server, project=True, env={"PYTHONPATH": str(tmp_path)})
    assert ("not-started", "note") in _summary(check())
    assert not (tmp_path / "sprung").exists()
    configure(server, project=True, env={"SKILLROUTER_ROOTS": "/x"})
    (finding,) = check()
    assert (finding.subject, finding.status) == ("Claude Code (project)", "ok")
