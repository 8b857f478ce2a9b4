from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from skillrouter_install import Environment, find_client
from skillrouter_mcp import client_setup
from skillrouter_mcp.client_setup import Choices
from skillrouter_mcp.client_skills import adopt, give_back, listed_skills, tokens
from skillrouter_mcp.settings import Settings, load_settings

CLAUDE, CODEX, CURSOR, GOOSE, HERMES = (
    find_client(name) for name in ("claude-code", "codex", "cursor", "goose", "hermes")
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user with no program on the search path."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "HERMES_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "state")


def _skill(folder: Path, description: str = "Bakes bread.", more: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text(
        f"---\nname: {folder.name}\ndescription: {description}\n{more}---\n\nKnead.\n", "utf-8"
    )
    return folder


def _below(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
    }


def test_skills_move_to_the_first_root_with_their_cost_before_and_after(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("bake", "brew"):
        _skill(home / ".claude" / "skills" / name, "b" * 2_000)
    before = _below(home)
    assert adopt([CLAUDE], settings, "move")
    shown = capsys.readouterr()
    cost = math.ceil(2 * len("- bake: " + "b" * 1_536 + "\n") / 4)
    assert f"listing 2 skills of its own takes some {cost} tokens in every turn" in shown.out
    assert "4 characters a token; beyond 1 % of its context" in shown.out
    assert "listing 0 skills now takes some 0 tokens" in shown.out
    assert "run `skillrouter-mcp install claude-code`" in shown.err
    assert sorted(os.listdir(home / ".skills")) == ["bake", "brew"]  # noqa: PTH208
    assert give_back([CLAUDE], settings)
    assert _below(home) == before


def test_listed_by_name_they_cost_less(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    _skill(home / ".claude" / "skills" / "bake", "b" * 992)
    _skill(home / ".claude" / "skills" / "brew")
    file = home / ".claude" / "settings.json"
    file.write_text('{"skillOverrides": {"brew": "off"}}')
    before = _below(home)
    for dry_run in (True, False):
        assert adopt([CLAUDE], settings, "name-only", dry_run=dry_run)
        shown = capsys.readouterr()
        assert "listing 1 skill of its own takes some 251 tokens" in shown.out
        assert "some 2 tokens" in shown.out
        assert "brew stays: it is set to off already" in shown.out
        assert ("+" in shown.out) == dry_run
        assert (_below(home) == before) == dry_run
    assert "add it to `roots`" in shown.err
    assert json.loads(file.read_text())["skillOverrides"] == {"brew": "off", "bake": "name-only"}
    assert tokens(listed_skills(CLAUDE, Environment.current())) == 2
    assert give_back([CLAUDE], settings)
    assert file.read_text() == '{"skillOverrides": {"brew": "off"}}'


def test_a_dry_run_moves_nothing_and_tells_the_same(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    skill = _skill(home / ".hermes" / "skills" / "kitchen" / "bake")
    before = _below(home)
    assert adopt([HERMES], settings, "move", dry_run=True)
    shown = capsys.readouterr().out
    assert f"{skill} -> {home / '.skills' / 'bake'}\n" in shown
    assert "listing 0 skills would then take some 0 tokens" in shown
    assert _below(home) == before
    assert not settings.home.exists()
    adopt([HERMES], settings, "move")
    after = _below(home)
    capsys.readouterr()
    assert give_back([HERMES], settings, dry_run=True)
    assert capsys.readouterr().out == f"{home / '.skills' / 'bake'} -> {skill}\n"
    assert _below(home) == after


def test_what_is_no_skill_or_hidden_from_agents_stays_and_counts_nothing(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    top = home / ".claude" / "skills"
    hidden = _skill(top / "deploy", more="disable-model-invocation: true\n")
    broken = _skill(top / "broken")
    (broken / "SKILL.md").write_bytes(b"\xff\xfe\xfa")
    before = _below(home)
    for way in ("move", "name-only"):
        assert adopt([CLAUDE], settings, "move" if way == "move" else "name-only")
        shown = capsys.readouterr().out
        assert f"{hidden} stays: it is hidden from agents" in shown
        assert f"{broken} stays: its SKILL.md" in shown
        assert "listing 0 skills of its own takes some 0 tokens" in shown
        assert _below(home) == before


def test_a_problem_is_told_and_is_no_success(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    _skill(home / ".claude" / "skills" / "bake")
    adopt([CLAUDE], settings, "move")
    _skill(home / ".claude" / "skills" / "bake", "Better.")
    assert not give_back([CLAUDE], settings)
    assert "differs from" in capsys.readouterr().err
    assert not adopt([CURSOR], settings, "move")
    assert "where it keeps skills of its own is not known" in capsys.readouterr().err
    assert not adopt([CODEX], settings, "name-only")
    assert "no setting that lists a skill by its name" in capsys.readouterr().err
    (settings.home / "adopted.json").write_text("{")
    assert not give_back([CLAUDE], settings)
    assert not adopt([CLAUDE], settings, "move")
    assert "adopted.json" in capsys.readouterr().err


def test_nothing_adopted_is_told(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert give_back([CLAUDE], settings)
    assert "Claude Code: nothing of it is adopted" in capsys.readouterr().err


def test_an_interrupted_move_is_finished_by_the_next(home: Path, settings: Settings) -> None:
    skill = _skill(home / ".claude" / "skills" / "bake")
    adopt([CLAUDE], settings, "move")
    record = settings.home / "adopted.json"
    record.write_text(record.read_text().replace('"done": true', '"done": false'))
    shutil.copytree(home / ".skills" / "bake", skill)
    assert adopt([CLAUDE], settings, "move")
    assert not skill.exists()


def test_names_that_would_act_on_a_terminal_are_shown_as_escapes(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    _skill(home / ".claude" / "skills" / "b\x1b[2Jake")
    assert adopt([CLAUDE], settings, "move")
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "x1b[2Jake was moved" in shown.out


def test_who_reads_the_same_folder_is_told(
    home: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".config" / "goose").mkdir(parents=True)
    _skill(home / ".agents" / "skills" / "bake")
    assert adopt([CODEX], settings, "move")
    assert "the same folder was read by Goose" in capsys.readouterr().err


class TestWithInstall:
    def test_install_adopts_when_told_and_uninstall_gives_back(
        self, home: Path, settings: Settings
    ) -> None:
        _skill(home / ".claude" / "skills" / "bake")
        (home / ".cursor").mkdir()
        before = _below(home)
        assert client_setup.install([CLAUDE, CURSOR], settings, Choices(adopt="move"))
        assert (home / ".skills" / "bake").exists()
        assert client_setup.uninstall([CLAUDE, CURSOR], settings, Choices())
        assert _below(home) == before

    def test_without_being_told_nothing_is_adopted(self, home: Path, settings: Settings) -> None:
        skill = _skill(home / ".claude" / "skills" / "bake")
        assert client_setup.install([CLAUDE], settings, Choices())
        assert skill.exists()

    @pytest.mark.parametrize("hook_first", [True, False])
    def test_uninstall_undoes_what_came_last_first(
        self, home: Path, settings: Settings, hook_first: bool
    ) -> None:
        _skill(home / ".claude" / "skills" / "bake")
        before = _below(home)
        hook = Choices(prompt_hook=True)
        if hook_first:
            assert client_setup.install([CLAUDE], settings, hook)
        assert adopt([CLAUDE], settings, "name-only")
        if not hook_first:
            assert client_setup.install([CLAUDE], settings, hook)
        assert client_setup.uninstall([CLAUDE], settings, Choices())
        assert _below(home) == before

    def test_a_client_that_gave_up_skills_is_found_for_uninstalling(
        self, home: Path, settings: Settings
    ) -> None:
        _skill(home / ".hermes" / "skills" / "bake")
        assert adopt([HERMES], settings, "move")
        assert client_setup.clients_to_uninstall(True, "user", settings) == [HERMES]

    def test_a_project_is_uninstalled_from_without_giving_back(
        self, home: Path, settings: Settings
    ) -> None:
        skill = _skill(home / ".claude" / "skills" / "bake")
        assert adopt([CLAUDE], settings, "move")
        assert client_setup.uninstall([CLAUDE], settings, Choices(scope="project"))
        assert not skill.exists()
