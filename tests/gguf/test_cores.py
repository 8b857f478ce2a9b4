from __future__ import annotations

import os
from pathlib import Path

import pytest

from skillrouter_gguf import cores


class Machine:
    """A machine with some processors, of which this process may use a part."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = monkeypatch
        monkeypatch.setattr(cores, "_TOPOLOGY", folder)
        monkeypatch.setattr(cores, "_QUOTA", folder / "cpu.max")

    def allow(self, *processors: int) -> None:
        self._patch.setattr(os, "sched_getaffinity", lambda _: set(processors), raising=False)

    def pair(self, *processors: int) -> None:
        """These are threads of one core."""
        for processor in processors:
            path = self._folder / f"cpu{processor}/topology/thread_siblings_list"
            path.parent.mkdir(parents=True)
            path.write_text(",".join(map(str, processors)) + "\n")

    def limit(self, content: str) -> None:
        (self._folder / "cpu.max").write_text(content)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_this_machine() -> None:
    assert 1 <= cores.usable_cores() <= (os.cpu_count() or 1)


def test_threads_of_a_core_count_once(machine: Machine) -> None:
    machine.allow(0, 1, 2, 3)
    machine.pair(0, 2)
    machine.pair(1, 3)
    assert cores.usable_cores() == 2


def test_only_what_this_process_may_run_on(machine: Machine) -> None:
    machine.allow(0, 2)
    machine.pair(0, 2)
    machine.pair(1, 3)
    assert cores.usable_cores() == 1


def test_processors_of_unknown_topology_count_one_each(machine: Machine) -> None:
    machine.allow(0, 1, 5)
    assert cores.usable_cores() == 3


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("5000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("", 8),
        ("what else\n", 8),
    ],
)
def test_a_container_s_quota(machine: Machine, quota: str, expected: int) -> None:
    machine.allow(*range(8))
    machine.limit(quota)
    assert cores.usable_cores() == expected


@pytest.mark.parametrize(("processors", "expected"), [(8, 4), (3, 1), (1, 1), (None, 1)])
def test_where_nothing_is_known_of_cores(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert cores.usable_cores() == expected
