from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillrouter_install import (
    Environment,
    InstallError,
    ServerEntry,
    clients,
    find_client,
    plan_full_listing,
    plan_install,
    plan_name_only,
    plan_uninstall,
)

CLAUDE = find_client("claude-code")
OTHERS = """{
  // mine
  "model": "opus",
  "skillOverrides": {"brew": "off"} // for now
}
"""


@pytest.fixture
def file(environment: Environment) -> Path:
    """The settings file, which is not there yet."""
    return environment.home / ".claude" / "settings.json"


def _set(environment: Environment, state: Path, *names: str) -> list[str]:
    return plan_name_only(CLAUDE, names, environment=environment, state=state).apply()


def _take_back(environment: Environment, state: Path) -> list[str]:
    return plan_full_listing(CLAUDE, environment=environment, state=state).apply()


def test_skills_are_listed_by_name_and_in_full_again(
    environment: Environment, state: Path, file: Path
) -> None:
    _set(environment, state, "bake", "brew")
    assert json.loads(file.read_text()) == {
        "skillOverrides": {"bake": "name-only", "brew": "name-only"}
    }
    _take_back(environment, state)
    assert list(environment.home.iterdir()) == []
    assert json.loads((state / "installed.json").read_text()) == []
    assert not (state / "adopted.json").exists()


@pytest.mark.parametrize("content", [OTHERS, OTHERS.replace("\n", "\r\n"), "\ufeff{}", "{}", ""])
def test_the_file_is_edited_in_place_and_is_again_what_it_was(
    environment: Environment, state: Path, file: Path, content: str
) -> None:
    file.parent.mkdir()
    file.write_bytes(content.encode())
    _set(environment, state, "bake")
    _set(environment, state, "bake", "bread")
    text = file.read_bytes().decode()
    assert '"bread": "name-only"' in text
    if "mine" in content:
        assert '"brew": "off"' in text
        assert "// mine" in text
        assert "// for now" in text
    _take_back(environment, state)
    assert file.read_bytes() == content.encode()


def test_a_setting_that_is_there_stays(environment: Environment, state: Path, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(OTHERS)
    plan = plan_name_only(CLAUDE, ["brew"], environment=environment, state=state)
    assert plan.kept == (("brew", "off"),)
    plan.apply()
    assert file.read_text() == OTHERS
    assert not state.exists()


def test_what_the_user_set_since_stays(environment: Environment, state: Path, file: Path) -> None:
    _set(environment, state, "bake", "brew")
    changed = {"skillOverrides": {"bake": "off", "brew": "name-only", "mine": "name-only"}}
    file.write_text(json.dumps(changed))
    _set(environment, state, "bread")
    assert json.loads(file.read_text())["skillOverrides"]["bake"] == "off"
    _take_back(environment, state)
    assert json.loads(file.read_text()) == {"skillOverrides": {"bake": "off", "mine": "name-only"}}


def test_settings_that_are_gone_need_no_undoing(
    environment: Environment, state: Path, file: Path
) -> None:
    _set(environment, state, "bake")
    file.unlink()
    _take_back(environment, state)
    assert not file.exists()
    assert not (state / "adopted.json").exists()


def test_nothing_set_is_nothing_to_undo(environment: Environment, state: Path) -> None:
    plan = plan_full_listing(CLAUDE, environment=environment, state=state)
    assert plan.names == ()
    assert plan.apply() == []


@pytest.mark.parametrize("content", ["{", '{"skillOverrides": 3}', '{"skillOverrides": []}'])
def test_settings_that_leave_no_place_are_refused(
    environment: Environment, state: Path, file: Path, content: str
) -> None:
    file.parent.mkdir()
    file.write_text(content)
    with pytest.raises(InstallError, match="was left as it is"):
        _set(environment, state, "bake")
    assert file.read_text() == content


@pytest.mark.parametrize("id_", [client.id for client in clients() if client is not CLAUDE])
def test_other_clients_have_no_such_setting(
    environment: Environment, state: Path, id_: str
) -> None:
    with pytest.raises(InstallError, match="has no setting that lists a skill by its name"):
        plan_name_only(find_client(id_), ["bake"], environment=environment, state=state)


@pytest.mark.parametrize(
    ("content", "hook_first", "left"),
    [
        (OTHERS, True, OTHERS),
        (OTHERS, False, OTHERS),
        (None, True, None),
        (None, False, '{\n  "hooks": {\n    "UserPromptSubmit": []\n  }\n}\n'),
    ],
)
def test_it_gets_on_with_the_prompt_hook_in_the_same_file(
    environment: Environment,
    state: Path,
    server: ServerEntry,
    file: Path,
    hook_first: bool,
    content: str | None,
    left: str | None,
) -> None:
    if content is not None:
        file.parent.mkdir()
        file.write_text(content)

    def hook() -> None:
        plan = plan_install(CLAUDE, server, environment=environment, state=state, prompt_hook=True)
        plan.apply()

    if hook_first:
        hook()
    _set(environment, state, "bake", "bread")
    if not hook_first:
        hook()
    assert set(json.loads(_without_comments(file.read_text()))) >= {"hooks", "skillOverrides"}
    _take_back(environment, state)
    plan_uninstall(CLAUDE, environment=environment, state=state).apply()
    assert (file.read_text() if file.exists() else None) == left


def _without_comments(text: str) -> str:
    return "\n".join(line.partition("//")[0] for line in text.splitlines())
