from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skillrouter_gguf import Model
from skillrouter_mcp.index import keeper
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.keeper import Keeper
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root

PATIENCE = 60.0


@pytest.fixture
def library(
    tmp_path: Path, root: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Library]:
    monkeypatch.setattr(keeper, "RESCAN_SECONDS", 0.02)
    library = Library(tmp_path / "home", [Root(root, "user")], Fingerprint.of(model))
    yield library
    library.close()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Looks:
    """How often each look at three folders has given way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[int] = []
        self.under_way = False
        self._scan = Library.scan
        monkeypatch.setattr(Library, "scan", lambda library, *given: self._look(library, *given))

    def _look(self, library: Library, *given: Any) -> Any:
        self.under_way = True
        self.given.append(0)
        try:
            return self._scan(library, *given)
        finally:
            self.under_way = False

    def give_way(self) -> None:
        if self.under_way:
            self.given[-1] += 1


@pytest.fixture
def looks(write_skill: Any, monkeypatch: pytest.MonkeyPatch) -> Looks:
    monkeypatch.setattr(import_module("skillrouter_mcp.skills.walk"), "_FOLDERS_AT_A_TIME", 1)
    write_skill("one")
    write_skill("two")
    return Looks(monkeypatch)


def test_a_look_gives_way_unless_somebody_waits_for_it(
    library: Library, looks: Looks, counting: Any
) -> None:
    keeping = Keeper(library, lambda: counting, looks.give_way)
    keeping.start()
    try:
        _until(lambda: len(looks.given) > 1 and not looks.under_way)
        assert looks.given[:2] == [0, 3 + 3]  # folders, and before what follows the walk
        before = len(looks.given)
        keeping.bring_in_step(None, None)
        assert 0 in looks.given[before:]
    finally:
        keeping.stop()


def test_a_look_gives_way_no_more_once_somebody_asks_for_another(
    library: Library, looks: Looks, counting: Any
) -> None:
    def give_way() -> None:
        looks.give_way()
        if len(looks.given) == 2:
            keeping.look()

    keeping = Keeper(library, lambda: counting, give_way)
    keeping.start()
    try:
        _until(lambda: len(looks.given) > 2)
    finally:
        keeping.stop()
    assert looks.given[:2] == [0, 1]


def test_for_how_long_a_look_has_given_way_is_not_counted(
    library: Library, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, costs = 0.0, []
    pause = Keeper._pause

    def give_way() -> None:
        nonlocal given
        given += 1_000

    def counted(self: Keeper, cost: float, **state: bool) -> float:
        costs.append(cost)
        return pause(self, 0, **state)

    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() + given, thread_time=time.thread_time
    )
    monkeypatch.setattr(keeper, "time", clock)
    monkeypatch.setattr(Keeper, "_pause", counted)
    keeping = Keeper(library, lambda: counting, give_way)
    keeping.start()
    try:
        _until(lambda: len(costs) > 1)
    finally:
        keeping.stop()
    assert given
    assert max(costs) < 1_000
