from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import pytest

from skillrouter_mcp.health import side_by_side as module
from skillrouter_mcp.health.side_by_side import side_by_side


def _doubled(numbers: Sequence[int]) -> tuple[int, list[int]]:
    return os.getpid(), [2 * number for number in numbers]


def _ends_elsewhere(home: int, numbers: Sequence[int]) -> list[int]:
    if os.getpid() != home:
        os._exit(1)
    return list(numbers)


def _fails(numbers: Sequence[int]) -> list[int]:
    raise ValueError(f"cannot do {numbers[0]}")


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets parts of two items be worked on by two processes."""
    monkeypatch.setattr(module, "usable_cores", lambda: 2)
    monkeypatch.setattr(module, "_PART", 2)
    monkeypatch.setattr(module, "_WORTH_IT", 1)


def test_few_items_are_worked_on_here() -> None:
    assert list(side_by_side(_doubled, [1, 2, 3])) == [(os.getpid(), [2, 4, 6])]
    assert list(side_by_side(_doubled, [])) == []


@pytest.mark.usefixtures("two_processes")
def test_many_items_are_worked_on_elsewhere_and_come_in_their_order() -> None:
    results = list(side_by_side(_doubled, range(9)))
    assert [number for _, part in results for number in part] == list(range(0, 18, 2))
    assert os.getpid() not in {process for process, _ in results}


@pytest.mark.usefixtures("two_processes")
def test_what_processes_do_not_survive_is_done_here() -> None:
    parts = side_by_side(partial(_ends_elsewhere, os.getpid()), range(5))
    assert [number for part in parts for number in part] == list(range(5))


@pytest.mark.usefixtures("two_processes")
def test_an_error_is_that_of_the_work() -> None:
    with pytest.raises(ValueError, match="cannot do 0"):
        list(side_by_side(_fails, range(5)))
