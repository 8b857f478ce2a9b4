from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from skillrouter_install import Environment, InstallError, clients, find_client, own_skills

CLAUDE, CODEX, HERMES = (find_client(name) for name in ("claude-code", "codex", "hermes"))
FOLDERS = {
    "claude-code": [".claude/skills"],
    "codex": [".codex/skills", ".agents/skills"],
    "hermes": [".hermes/skills"],
    "gemini": [".agents/skills"],
    "vscode": [".agents/skills"],
    "goose": [".agents/skills"],
    "openclaw": [".agents/skills"],
}


def _skill(folder: Path, name: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(f"---\nname: '{name or folder.name}'\n---\nDo.\n")
    return folder


@pytest.mark.parametrize("id_", [client.id for client in clients()])
def test_each_client_has_the_folders_that_it_reads(environment: Environment, id_: str) -> None:
    made = [
        _skill(environment.home / folder / f"skill-{at}")
        for at, folder in enumerate(FOLDERS.get(id_, []))
    ]
    assert [skill.path for skill in own_skills(find_client(id_), environment)] == made


def test_variables_move_the_folders(environment: Environment, tmp_path: Path) -> None:
    there = dataclasses.replace(environment, variables={"CLAUDE_CONFIG_DIR": str(tmp_path / "c")})
    made = _skill(tmp_path / "c" / "skills" / "bake")
    assert [skill.path for skill in own_skills(CLAUDE, there)] == [made]


def test_only_folders_with_a_skill_count_as_deep_as_the_client_looks(
    environment: Environment,
) -> None:
    for client, folder in ((CLAUDE, ".claude/skills"), (HERMES, ".hermes/skills")):
        top = environment.home / folder
        bake = _skill(top / "bake")
        _skill(bake / "examples" / "inner")
        deep = _skill(top / "kitchen" / "brew")
        (top / "notes").mkdir()
        (top / "README.md").touch()
        found = [skill.path for skill in own_skills(client, environment)]
        assert found == ([bake, deep] if client is HERMES else [bake])


def test_links_to_skills_are_found_and_links_to_folders_of_skills_are_not_followed(
    environment: Environment, tmp_path: Path
) -> None:
    _skill(tmp_path / "elsewhere" / "bake")
    top = environment.home / ".codex" / "skills"
    top.mkdir(parents=True)
    (top / "bake").symlink_to(tmp_path / "elsewhere" / "bake")
    (top / "category").symlink_to(tmp_path / "elsewhere")
    (top / "loop").symlink_to(top)
    (top / "gone").symlink_to(tmp_path / "gone")
    assert [skill.path for skill in own_skills(CODEX, environment)] == [top / "bake"]


def test_what_a_client_keeps_in_hidden_folders_is_left_to_it(environment: Environment) -> None:
    for folder in (".codex/skills/.system/plan", ".hermes/skills/.hub/x", ".claude/skills/.y"):
        _skill(environment.home / folder)
    for client in (CLAUDE, CODEX, HERMES):
        assert own_skills(client, environment) == []


def test_plugins_are_managed(environment: Environment) -> None:
    plugin = _skill(environment.home / ".claude" / "skills" / "plug")
    (plugin / ".claude-plugin").mkdir()
    (skill,) = own_skills(CLAUDE, environment)
    assert skill.managed == "is a plugin"


def test_what_came_with_hermes_or_from_its_hub_is_managed(environment: Environment) -> None:
    top = environment.home / ".hermes" / "skills"
    for name in ("by-folder", "old", "hub", "mine"):
        _skill(top / "kitchen" / name)
    _skill(top / "kitchen" / "folder", name="by-name")
    (top / ".bundled_manifest").write_text("by-folder:0a1b\nby-name:2c\nold\n")
    (top / ".hub").mkdir()
    (top / ".hub" / "lock.json").write_text(json.dumps({"installed": {"hub": {"source": "x"}}}))
    managed = {skill.name: skill.managed for skill in own_skills(HERMES, environment)}
    assert {name for name, reason in managed.items() if reason} == {
        "by-folder",
        "folder",
        "old",
        "hub",
    }


def test_a_record_of_hermes_that_cannot_be_understood_is_refused(environment: Environment) -> None:
    hub = environment.home / ".hermes" / "skills" / ".hub"
    hub.mkdir(parents=True)
    for content in ("{", "[]", '{"installed": 3}'):
        (hub / "lock.json").write_text(content)
        with pytest.raises(InstallError, match=r"lock\.json cannot be understood"):
            own_skills(HERMES, environment)


def test_each_client_lists_a_skill_in_its_own_way() -> None:
    path = Path("/s/bake/SKILL.md")
    lines = {
        client.id: client.skills.listed("bake", "b" * 2_000, path)
        for client in (CLAUDE, CODEX, HERMES)
        if client.skills
    }
    assert lines == {
        "claude-code": f"- bake: {'b' * 1_536}\n",
        "codex": f"- bake: {'b' * 1_024} (file: /s/bake/SKILL.md)\n",
        "hermes": f"    - bake: {'b' * 60}\n",
    }
    assert CLAUDE.skills
    assert CLAUDE.skills.listed_by_name("bake") == "- bake\n"
