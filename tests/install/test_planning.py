from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest

from skillrouter_install import (
    Environment,
    InstallError,
    ServerEntry,
    clients,
    find_client,
    plan_install,
    plan_uninstall,
)
from skillrouter_install.entries import find_entry
from skillrouter_install.formats import format_named

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_install import Client, Scope

CLAUDE = find_client("claude-code")
ALL = [
    pytest.param(client, scope, id=f"{client.id} {scope}")
    for client in clients()
    for scope in client.scopes()
]
HOOK = {
    "hooks": [
        {
            "type": "mcp_tool",
            "server": "skillrouter",
            "tool": "find_skill",
            "input": {"query": "${prompt}"},
        }
    ]
}


def below(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(("client", "scope"), ALL)
def test_every_client_is_installed_into_and_left_as_it_was(
    environment: Environment, state: Path, server: ServerEntry, client: Client, scope: Scope
) -> None:
    before = below(environment.home), below(environment.project)
    plan = plan_install(client, server, environment=environment, state=state, scope=scope)
    plan.apply()
    (file,) = (path for path in client.files(environment, scope) if path.exists())
    data = format_named(client.form).read(file.read_text())
    assert find_entry(data, client.entry_path("skillrouter")) == client.shape(server)
    again = plan_install(client, server, environment=environment, state=state, scope=scope)
    assert not again.changes_anything
    assert again.notes == (f"{client.title} has it already; there is nothing to change",)
    plan_uninstall(client, environment=environment, state=state, scope=scope).apply()
    assert (below(environment.home), below(environment.project)) == before
    assert not plan_uninstall(
        client, environment=environment, state=state, scope=scope
    ).changes_anything


def test_an_uninstall_of_nothing_says_so(environment: Environment, state: Path) -> None:
    plan = plan_uninstall(CLAUDE, environment=environment, state=state)
    assert plan.notes == ("Claude Code has no server named skillrouter; nothing to change",)
    assert plan.apply() == []


def test_the_file_that_has_the_entry_is_the_one_that_is_changed(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    opencode = find_client("opencode")
    one, other, _ = opencode.files(environment, "user")
    one.parent.mkdir(parents=True)
    one.write_text("{}")
    other.write_text('{"mcp": {"skillrouter": {"type": "local", "command": ["/old"]}}}')
    plan_install(opencode, server, environment=environment, state=state).apply()
    assert one.read_text() == "{}"
    assert server.command in other.read_text()


def test_a_file_that_exists_is_preferred(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    opencode = find_client("opencode")
    _, jsonc, _ = opencode.files(environment, "user")
    jsonc.parent.mkdir(parents=True)
    jsonc.write_text("{} // mine\n")
    plan_install(opencode, server, environment=environment, state=state).apply()
    assert [path.name for path in jsonc.parent.iterdir() if "backup" not in path.name] == [
        "opencode.jsonc"
    ]


def test_servers_of_two_names_do_not_get_into_each_others_way(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    codex = find_client("codex")
    file = codex.files(environment, "user")[0]
    file.parent.mkdir()
    file.write_text("# mine\n")
    second = dataclasses.replace(server, name="skillrouter-work")
    for each in (server, second):
        plan_install(codex, each, environment=environment, state=state).apply()
    plan_uninstall(codex, environment=environment, state=state).apply()
    assert "skillrouter-work" in file.read_text()
    plan_uninstall(codex, environment=environment, state=state, name=second.name).apply()
    assert file.read_text() == "# mine\n"


def test_a_shape_that_leaves_no_place_is_refused_with_the_snippet(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    file = environment.home / ".claude.json"
    file.write_text('{"mcpServers": []}')
    with pytest.raises(InstallError, match="Paste the entry by hand") as refused:
        plan_install(CLAUDE, server, environment=environment, state=state)
    assert json.loads(refused.value.snippet or "")["mcpServers"]["skillrouter"]
    assert file.read_text() == '{"mcpServers": []}'


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("claude-code", "{} // c", "holds comments, which Claude Code cannot read"),
        ("gemini", '{"a": 1,} // c', "holds trailing commas, which Gemini CLI cannot read"),
    ],
)
def test_what_the_client_itself_cannot_read_is_said(
    environment: Environment,
    state: Path,
    server: ServerEntry,
    name: str,
    text: str,
    said: str,
) -> None:
    client = find_client(name)
    file = client.files(environment, "user")[0]
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    plan = plan_install(client, server, environment=environment, state=state)
    assert any(said in note for note in plan.notes)


def test_an_entry_of_someone_else_is_said_to_be_changed_and_put_back(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    file = environment.home / ".claude.json"
    file.write_text('{"mcpServers": {"skillrouter": {"command": "/theirs"}}}')
    plan = plan_install(CLAUDE, server, environment=environment, state=state)
    assert "has an entry of that name already" in plan.notes[0]
    plan.apply()
    plan = plan_uninstall(CLAUDE, environment=environment, state=state)
    assert "is put back" in plan.notes[-1]
    plan.apply()
    assert json.loads(file.read_text())["mcpServers"]["skillrouter"] == {"command": "/theirs"}


def test_a_project_is_warned_of_a_path_of_this_machine(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    plan = plan_install(CLAUDE, server, environment=environment, state=state, scope="project")
    assert "a command on this machine" in plan.notes[-1]


def test_records_that_cannot_be_read_do_not_keep_an_entry_in(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    file = environment.home / ".claude.json"
    file.write_text('{"a": 1}')
    plan_install(CLAUDE, server, environment=environment, state=state).apply()
    (state / "installed.json").write_text("{")
    plan = plan_uninstall(CLAUDE, environment=environment, state=state)
    assert "cannot be used" in plan.notes[0]
    plan.apply()
    assert json.loads(file.read_text()) == {"a": 1, "mcpServers": {}}


def test_loading_always_is_off_unless_chosen_and_undone(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    file = environment.home / ".claude.json"

    def always_load(choice: bool | None) -> object:
        plan_install(
            CLAUDE, server, environment=environment, state=state, always_load=choice
        ).apply()
        return json.loads(file.read_text())["mcpServers"]["skillrouter"].get("alwaysLoad")

    assert always_load(None) is None
    assert always_load(True) is True
    assert always_load(None) is True
    assert always_load(False) is None
    assert always_load(True) is True
    plan_uninstall(CLAUDE, environment=environment, state=state).apply()
    assert not file.exists()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{}",
        '{\n  "model": "x",\n  "hooks": {\n    "UserPromptSubmit": [\n      {"hooks": []}\n'
        "    ]\n  }\n}\n",
        '{\n\t"hooks": {\n\t\t"Stop": [{"hooks": []}]\n\t}\n}',
    ],
)
def test_the_prompt_hook_is_added_to_the_others_and_taken_out(
    environment: Environment, state: Path, server: ServerEntry, text: str | None
) -> None:
    settings = environment.home / ".claude" / "settings.json"
    if text is not None:
        settings.parent.mkdir()
        settings.write_text(text)
    before = below(environment.home)
    plan = plan_install(CLAUDE, server, environment=environment, state=state, prompt_hook=True)
    assert len(plan.changes) == 2
    assert plan.diff().count("+++ ") == 2
    plan.apply()
    assert json.loads(settings.read_text())["hooks"]["UserPromptSubmit"][-1] == HOOK
    for choice in (True, None):
        assert not plan_install(
            CLAUDE, server, environment=environment, state=state, prompt_hook=choice
        ).changes_anything
    plan_uninstall(CLAUDE, environment=environment, state=state).apply()
    assert below(environment.home) == before


@pytest.mark.parametrize("lost", [False, True])
def test_the_prompt_hook_is_taken_out_of_settings_that_changed_meanwhile(
    environment: Environment, state: Path, tmp_path: Path, server: ServerEntry, lost: bool
) -> None:
    settings = environment.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{\n  "model": "x"\n}\n')
    plan_install(CLAUDE, server, environment=environment, state=state, prompt_hook=True).apply()
    settings.write_text(settings.read_text().replace('"x"', '"y"'))
    state = tmp_path / "lost" if lost else state
    plan_uninstall(CLAUDE, environment=environment, state=state).apply()
    hooks = json.loads(settings.read_text()).get("hooks")
    assert hooks == ({"UserPromptSubmit": []} if lost else None)
    assert json.loads(settings.read_text())["model"] == "y"


def test_an_entry_that_cannot_be_taken_out_alone_is_left(
    environment: Environment, state: Path
) -> None:
    hermes = find_client("hermes")
    file = hermes.files(environment, "user")[0]
    file.parent.mkdir()
    text = "x: &x\n  skillrouter: {command: y}\nmcp_servers: *x\n"
    file.write_text(text)
    with pytest.raises(InstallError, match="Take the entry out by hand"):
        plan_uninstall(hermes, environment=environment, state=state)
    assert file.read_text() == text


def test_the_prompt_hook_alone_can_be_switched_off(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    settings = environment.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"model": "x"}')
    for choice in (True, False):
        plan_install(
            CLAUDE, server, environment=environment, state=state, prompt_hook=choice
        ).apply()
    assert settings.read_text() == '{"model": "x"}'
    assert "skillrouter" in (environment.home / ".claude.json").read_text()


@pytest.mark.parametrize("option", ["always_load", "prompt_hook"])
def test_an_option_that_a_client_lacks_is_refused(
    environment: Environment, state: Path, server: ServerEntry, option: str
) -> None:
    with pytest.raises(InstallError, match="Codex has no"):
        plan_install(
            find_client("codex"),
            server,
            environment=environment,
            state=state,
            always_load=True if option == "always_load" else None,
            prompt_hook=True if option == "prompt_hook" else None,
        )


def test_our_own_entry_is_not_taken_for_one_from_before_after_the_client_rewrote_the_file(
    environment: Environment, state: Path, server: ServerEntry
) -> None:
    cursor = find_client("cursor")
    plan_install(cursor, server, environment=environment, state=state).apply()
    (file,) = cursor.files(environment, "user")
    file.write_text(json.dumps({**json.loads(file.read_text()), "theme": "dark"}))
    changed = dataclasses.replace(server, command="/opt/new/it")
    plan_install(cursor, changed, environment=environment, state=state).apply()
    plan_uninstall(cursor, environment=environment, state=state).apply()
    assert json.loads(file.read_text()) == {"theme": "dark", "mcpServers": {}}
