from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.install.skill_trees import below, make_link, make_skill, rename_within_a_folder

from skillrouter_install import (
    Adoption,
    Environment,
    Told,
    find_client,
    own_skills,
    plan_adoption,
    plan_return,
    settle,
)

CODEX = find_client("codex")


def _plan(environment: Environment, state: Path) -> Adoption:
    skills = [(CODEX, skill) for skill in own_skills(CODEX, environment)]
    root = environment.home / ".skills"
    return plan_adoption(skills, root=root, environment=environment, state=state)


def _adopt(environment: Environment, state: Path) -> list[Told]:
    return list(_plan(environment, state).apply())


def _give_back(state: Path) -> list[Told]:
    return list(plan_return([CODEX], state=state).apply())


class _Killed(BaseException):
    """The process has ended here."""


class _Life:
    """Ends a process before its nth change of the disk: nothing after that has an effect."""

    changes = frozenset({"open", "os.chmod", "os.mkdir", "os.remove", "os.rename", "os.rmdir"})
    changes |= {"os.symlink", "os.utime", "os.setxattr"}
    left: int | None = None
    _watching = False

    @classmethod
    def of(cls, steps: int) -> None:
        if not cls._watching:
            sys.addaudithook(cls._watch)
            cls._watching = True
        cls.left = steps

    @classmethod
    def _watch(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.left is None or event not in cls.changes:
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        if cls.left == 0:
            raise _Killed
        cls.left -= 1


@pytest.mark.parametrize("one_disk", [True, False])
class TestEndedInTheMiddle:
    @pytest.fixture
    def home(
        self, environment: Environment, monkeypatch: pytest.MonkeyPatch, one_disk: bool
    ) -> Path:
        """With two skills, one that another client links to, and a link of the client itself."""
        home = environment.home
        for name in ("bake", "brew"):
            make_skill(home / ".agents" / "skills" / name)
        make_link(home / ".claude" / "skills" / "bake", "../../.agents/skills/bake")
        make_link(home / ".agents" / "skills" / "far", make_skill(environment.project / "far"))
        if not one_disk:
            monkeypatch.setattr(Path, "rename", rename_within_a_folder)
        return home

    @staticmethod
    def _end_at(step: int, environment: Environment, state: Path, *, back: bool = False) -> bool:
        """Whether the work was ended there, and not done before."""
        plan = plan_return([CODEX], state=state) if back else _plan(environment, state)
        _Life.of(step)
        try:
            list(plan.apply())
        except _Killed:
            return True
        finally:
            _Life.left = None
        return False

    def _all_is_whole(self, home: Path, root: Path) -> None:
        for name in ("bake", "brew"):
            places = [home / ".agents" / "skills" / name, root / name]
            whole = [path for path in places if path.is_dir() and not path.is_symlink()]
            assert any((path / "scripts" / "run.sh").exists() for path in whole)

    def test_undone_from_the_record(
        self, environment: Environment, state: Path, root: Path, home: Path
    ) -> None:
        before = below(home)
        step = 0
        while self._end_at(step, environment, state):
            self._all_is_whole(home, root)
            assert all(told.well for told in _give_back(state))
            assert below(home) == before, step
            step += 1
        assert step > 10

    def test_resumed_from_the_record(
        self, environment: Environment, state: Path, root: Path, home: Path
    ) -> None:
        before = below(home)
        self._end_at(1_000, environment, state)
        adopted = below(home)
        _give_back(state)
        step = 0
        while self._end_at(step, environment, state):
            assert all(told.well for told in settle(state))
            assert all(told.well for told in _adopt(environment, state))
            assert below(home) == adopted, step
            assert settle(state) == []
            assert all(told.well for told in _give_back(state))
            assert below(home) == before, step
            step += 1

    def test_a_return_that_was_ended_is_done_by_the_next(
        self, environment: Environment, state: Path, root: Path, home: Path
    ) -> None:
        before = below(home)
        _adopt(environment, state)
        step = 0
        while self._end_at(step, environment, state, back=True):
            self._all_is_whole(home, root)
            assert all(told.well for told in _give_back(state))
            assert below(home) == before, step
            _adopt(environment, state)
            step += 1
        assert step > 5
