from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest
from tests.install.skill_trees import below, make_link, make_skill, rename_within_a_folder

from skillrouter_install import (
    Adoption,
    Environment,
    InstallError,
    Told,
    clients,
    find_client,
    own_skills,
    plan_adoption,
    plan_return,
    settle,
)

CLAUDE = find_client("claude-code")


def _plan(environment: Environment, state: Path, *ids: str) -> Adoption:
    chosen = [find_client(id_) for id_ in ids or ("claude-code",)]
    skills = [(client, skill) for client in chosen for skill in own_skills(client, environment)]
    root = environment.home / ".skills"
    return plan_adoption(skills, root=root, environment=environment, state=state)


def _adopt(environment: Environment, state: Path, *ids: str) -> list[Told]:
    return list(_plan(environment, state, *ids).apply())


def _give_back(state: Path, *ids: str) -> list[Told]:
    told: list[Told] = []
    for id_ in ids or ("claude-code",):
        told += plan_return([find_client(id_)], state=state).apply()
    return told


def test_skills_move_into_the_library_and_back(
    environment: Environment, state: Path, root: Path
) -> None:
    top = environment.home / ".claude" / "skills"
    for name in ("bake", "brew"):
        make_skill(top / name)
    before = below(environment.home)
    as_skill = below(top / "bake")
    told = _adopt(environment, state)
    assert [(each.path, each.sentence) for each in told] == [
        (top / name, f"was moved to {root / name}") for name in ("bake", "brew")
    ]
    assert os.listdir(top) == []  # noqa: PTH208
    assert below(root / "bake") == as_skill
    assert all(each.well for each in _give_back(state))
    assert below(environment.home) == before
    assert not list(state.iterdir())


def test_a_plan_changes_nothing(environment: Environment, state: Path) -> None:
    make_skill(environment.home / ".claude" / "skills" / "bake")
    before = below(environment.home)
    assert len(_plan(environment, state).moves) == 1
    assert below(environment.home) == before
    assert not state.exists()


def test_skills_of_categories_move_side_by_side_and_back(
    environment: Environment, state: Path, root: Path
) -> None:
    top = environment.home / ".hermes" / "skills"
    make_skill(top / "kitchen" / "bake")
    make_skill(top / "garden" / "bake", body="Mud.\n")
    (top / "kitchen" / "DESCRIPTION.md").touch()
    before = below(environment.home)
    plan = _plan(environment, state, "hermes")
    (left,) = plan.left
    assert left.sentence == f"stays: its name is taken by {root / 'bake'}; rename one of the two"
    list(plan.apply())
    assert (top / "kitchen" / "DESCRIPTION.md").exists()
    assert (root / "bake" / "SKILL.md").read_text() == "Mud.\n"
    _give_back(state, "hermes")
    assert below(environment.home) == before


def test_what_was_changed_or_deleted_since_comes_back_so(
    environment: Environment, state: Path, root: Path
) -> None:
    top = environment.home / ".claude" / "skills"
    for name in ("bake", "brew"):
        make_skill(top / name)
    _adopt(environment, state)
    (root / "bake" / "SKILL.md").write_text("Better.\n")
    shutil.rmtree(root / "brew")
    told = {each.path.name: each for each in _give_back(state)}
    assert (top / "bake" / "SKILL.md").read_text() == "Better.\n"
    assert told["brew"].sentence == f"is gone: {root / 'brew'} was deleted since"
    assert told["brew"].well
    assert not root.exists()


class TestNames:
    def test_a_name_that_is_taken_stays(
        self, environment: Environment, state: Path, root: Path
    ) -> None:
        top = environment.home / ".claude" / "skills"
        for name in ("same", "other", "nested", "file", "broken"):
            make_skill(top / name)
        make_skill(root / "same")
        make_skill(root / "other", body="Else.\n")
        make_skill(root / "deep" / "nested", body="Else.\n")
        (root / "file").touch()
        make_link(root / "broken", "gone")
        before = below(environment.home)
        plan = _plan(environment, state)
        assert plan.moves == ()
        assert {told.path.name: told.sentence for told in plan.left} == {
            "same": f"stays: {root / 'same'} is an identical copy; delete one of the two",
            "other": f"stays: its name is taken by {root / 'other'}; rename one of the two",
            "nested": f"stays: its name is taken by {root / 'deep' / 'nested'}; "
            "rename one of the two",
            "file": f"stays: its name is taken by {root / 'file'}; rename one of the two",
            "broken": f"stays: its name is taken by {root / 'broken'}; rename one of the two",
        }
        assert list(plan.apply()) == []
        assert below(environment.home) == before

    def test_what_comes_in_between_is_not_overwritten(
        self, environment: Environment, state: Path, root: Path
    ) -> None:
        for name in ("bake", "brew"):
            make_skill(environment.home / ".claude" / "skills" / name)
        plan = _plan(environment, state)
        make_skill(root / "bake", body="Mine.\n")
        told = list(plan.apply())
        assert [each.well for each in told] == [False, True]
        assert "in the way" in told[0].sentence
        assert (root / "bake" / "SKILL.md").read_text() == "Mine.\n"
        assert [each.path.name for each in _give_back(state)] == ["brew"]
        assert (root / "bake").exists()

    def test_coming_back_overwrites_nothing(
        self, environment: Environment, state: Path, root: Path
    ) -> None:
        top = environment.home / ".claude" / "skills"
        make_skill(top / "bake")
        _adopt(environment, state)
        make_skill(top / "bake", body="New.\n")
        (told,) = _give_back(state)
        assert not told.well
        assert "differs from" in told.sentence
        assert (top / "bake" / "SKILL.md").read_text() == "New.\n"
        shutil.rmtree(top / "bake")
        (told,) = _give_back(state)
        assert told.well
        assert (top / "bake" / "SKILL.md").read_text() == "Do.\n"

    def test_one_that_was_put_there_again_is_enough(
        self, environment: Environment, state: Path, root: Path
    ) -> None:
        top = environment.home / ".claude" / "skills"
        make_skill(top / "bake")
        _adopt(environment, state)
        make_skill(top / "bake")
        assert "identical copy" in _plan(environment, state).left[0].sentence
        (told,) = _give_back(state)
        assert told.well
        assert (top / "bake").is_dir()
        assert not root.exists()


class TestWhatIsNotTouched:
    def test_what_the_client_manages(self, environment: Environment, state: Path) -> None:
        plugin = make_skill(environment.home / ".claude" / "skills" / "plug")
        (plugin / ".claude-plugin").mkdir()
        plan = _plan(environment, state)
        assert plan.moves == ()
        assert plan.left == (Told(plugin, "is a plugin; it stays"),)

    def test_a_project(self, environment: Environment, state: Path) -> None:
        for folder in (".claude", ".agents", ".codex", ".hermes"):
            make_skill(environment.project / folder / "skills" / "bake")
        for folder in (".claude", ".agents"):
            make_link(environment.home / folder / "skills", environment.project / folder / "skills")
        before = below(environment.project)
        plan = _plan(environment, state, *(client.id for client in clients()))
        assert plan.moves == ()
        assert all(
            "is a link, to a folder that others may use too" in x.sentence for x in plan.left
        )
        list(plan.apply())
        assert below(environment.project) == before

    def test_a_folder_that_is_the_library_or_in_it(
        self, environment: Environment, state: Path
    ) -> None:
        top = environment.home / ".claude" / "skills"
        skills = [(CLAUDE, skill) for skill in own_skills(CLAUDE, environment)]
        make_skill(top / "bake")
        skills = [(CLAUDE, skill) for skill in own_skills(CLAUDE, environment)]
        for root in (top, top.parent, top / "library"):
            plan = plan_adoption(skills, root=root, environment=environment, state=state)
            assert plan.moves == ()
            assert "one in the other" in plan.left[0].sentence


class TestLinks:
    def test_a_link_moves_as_a_link(
        self, environment: Environment, state: Path, root: Path, tmp_path: Path
    ) -> None:
        top = environment.home / ".claude" / "skills"
        absolute, relative = (make_skill(tmp_path / name) for name in ("absolute", "relative"))
        make_link(top / "absolute", absolute)
        make_link(top / "relative", ".././../../relative")
        before = below(tmp_path)
        assert all(told.well for told in _adopt(environment, state))
        assert (root / "absolute").readlink() == absolute
        assert (root / "relative").readlink() == relative
        assert not list(top.iterdir())
        _give_back(state)
        shutil.rmtree(state)
        assert below(tmp_path) == before

    def test_a_relative_link_means_the_same_through_folders_that_are_links(
        self, environment: Environment, state: Path, root: Path, tmp_path: Path
    ) -> None:
        make_link(environment.home / ".claude", make_skill(tmp_path / "a" / "b" / "claude"))
        skill = make_skill(tmp_path / "a" / "b" / "skill")
        make_link(environment.home / ".claude" / "skills" / "bake", "../../skill")
        _adopt(environment, state)
        assert (root / "bake").resolve() == skill
        _give_back(state)
        assert (environment.home / ".claude" / "skills" / "bake").resolve() == skill

    def test_a_link_into_the_library_is_taken_away(
        self, environment: Environment, state: Path, root: Path
    ) -> None:
        make_skill(root / "bake")
        make_link(environment.home / ".claude" / "skills" / "bread", "../../.skills/bake")
        before = below(environment.home)
        (told,) = _adopt(environment, state)
        assert told.sentence == f"was taken away, a link to {root / 'bake'}"
        _give_back(state)
        assert below(environment.home) == before

    def test_a_skill_that_the_library_links_to_stays(
        self, environment: Environment, state: Path, root: Path
    ) -> None:
        make_link(root / "bake", make_skill(environment.home / ".claude" / "skills" / "bake"))
        plan = _plan(environment, state)
        assert plan.left[0].sentence == f"stays: {root / 'bake'} is a link to it"

    @pytest.mark.parametrize(
        "adopted",
        [
            "codex",
            "hermes codex",
            "codex claude-code",
            "claude-code codex hermes",
            "codex, claude-code",
            "codex, hermes, claude-code",
            "codex, claude-code, hermes",
        ],
    )
    @pytest.mark.parametrize(
        "back", ["codex claude-code hermes", "hermes claude-code codex", "claude-code codex hermes"]
    )
    def test_links_of_other_clients_go_with_their_skill(
        self, environment: Environment, state: Path, root: Path, adopted: str, back: str
    ) -> None:
        home = environment.home
        skill = make_skill(home / ".agents" / "skills" / "bake")
        claude = make_link(home / ".claude" / "skills" / "bake", "../../.agents/skills/bake")
        hermes = make_link(home / ".hermes" / "skills" / "bread", claude)
        links = {"claude-code": claude, "hermes": hermes, "": make_link(root / "loaf", skill)}
        before = below(home)
        for ids in adopted.split(", "):
            assert all(told.well for told in _adopt(environment, state, *ids.split()))
        assert not skill.exists()
        for id_, link in links.items():
            if not id_ or id_ not in adopted:
                assert link.resolve() == root / "bake"
            else:
                assert not link.is_symlink()
        for id_ in back.split():
            assert all(told.well for told in _give_back(state, id_))
            for link in links.values():
                chain = link == hermes and not claude.is_symlink()
                assert not link.is_symlink() or link.exists() or chain
        assert below(home) == before

    @pytest.mark.parametrize("back", ["hermes claude-code", "claude-code hermes"])
    def test_links_of_links_can_be_adopted_and_given_back_in_any_order(
        self, environment: Environment, state: Path, root: Path, tmp_path: Path, back: str
    ) -> None:
        claude = make_link(
            environment.home / ".claude" / "skills" / "bake", make_skill(tmp_path / "bake")
        )
        make_link(environment.home / ".hermes" / "skills" / "bread", claude)
        before = below(environment.home)
        for id_ in ("hermes", "claude-code"):
            _adopt(environment, state, id_)
        assert (root / "bread").resolve() == (root / "bake").resolve() == tmp_path / "bake"
        for id_ in back.split():
            assert all(told.well for told in _give_back(state, id_))
        assert below(environment.home) == before

    def test_a_link_that_others_lead_through_moves_with_them(
        self, environment: Environment, state: Path, root: Path, tmp_path: Path
    ) -> None:
        skill = make_skill(tmp_path / "bake")
        first = make_link(environment.home / ".claude" / "skills" / "bake", skill)
        second = make_link(environment.home / ".codex" / "skills" / "bake", first)
        before = below(environment.home)
        _adopt(environment, state)
        assert second.resolve() == skill
        assert second.readlink() == root / "bake"
        _give_back(state)
        assert below(environment.home) == before

    def test_a_link_that_was_replaced_since_is_told(
        self, environment: Environment, state: Path, root: Path, tmp_path: Path
    ) -> None:
        top = environment.home / ".claude" / "skills"
        make_link(top / "bake", make_skill(tmp_path / "bake"))
        _adopt(environment, state)
        make_skill(top / "bake")
        (told,) = _give_back(state)
        assert not told.well
        assert "not the link that it was" in told.sentence


class TestOtherDisk:
    def test_what_cannot_be_copied_stays_whole(
        self,
        environment: Environment,
        state: Path,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        skill = make_skill(environment.home / ".claude" / "skills" / "bake")
        os.mkfifo(skill / "pipe")
        monkeypatch.setattr(Path, "rename", rename_within_a_folder)
        (told,) = _adopt(environment, state)
        assert not told.well
        assert "named pipe" in told.sentence
        assert (skill / "scripts" / "run.sh").exists()
        assert not list(root.iterdir())
        assert _give_back(state) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_may_not_be_moved_is_told(environment: Environment, state: Path) -> None:
    skill = make_skill(environment.home / ".claude" / "skills" / "bake")
    skill.parent.chmod(0o500)
    (told,) = _adopt(environment, state)
    skill.parent.chmod(0o700)
    assert (told.well, told.path) == (False, skill)
    assert "could not be moved" in told.sentence


def test_without_a_usable_record_nothing_is_moved(environment: Environment, state: Path) -> None:
    make_skill(environment.home / ".claude" / "skills" / "bake")
    state.mkdir()
    for content in ("{", "[]", '{"adopted": [{}]}', '{"adopted": 3}', "\ud800"):
        (state / "adopted.json").write_bytes(content.encode(errors="surrogatepass"))
        for act in (_plan, lambda *_: plan_return([CLAUDE], state=state), lambda *_: settle(state)):
            with pytest.raises(InstallError, match=r"adopted\.json.* cannot be used"):
                act(environment, state)


def test_names_of_any_bytes_are_kept(environment: Environment, state: Path, root: Path) -> None:
    name = os.fsdecode(b"b\xff\x1b[31m")
    make_skill(environment.home / ".claude" / "skills" / name)
    before = below(environment.home)
    _adopt(environment, state)
    assert (root / name).is_dir()
    _give_back(state)
    assert below(environment.home) == before


def test_clients_with_a_folder_in_common_share_what_is_moved(
    environment: Environment, state: Path, root: Path
) -> None:
    make_skill(environment.home / ".agents" / "skills" / "bake")
    (move,) = _plan(environment, state, "codex", "goose", "gemini").moves
    assert move.client == "codex"
    there = dataclasses.replace(environment)
    _adopt(there, state, "goose")
    assert [move.client for move in plan_return(list(clients()), state=state).moves] == ["goose"]
