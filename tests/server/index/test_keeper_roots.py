"""Roots that sessions ask for, beside those of the settings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import Model
from skillrouter_mcp.index import keeper
from skillrouter_mcp.index.attendance import Roots
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import NotKeptError, UnwritableDatabaseError
from skillrouter_mcp.index.keeper import Keeper
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root

PATIENCE = 60.0


@pytest.fixture
def library(open_library: Callable[..., Library]) -> Library:
    return open_library()


@pytest.fixture
def lonely(tmp_path: Path, model: Model) -> Iterator[Library]:
    """One in whose roots nobody looks for skills yet."""
    library = Library(tmp_path / "home", (), Fingerprint.of(model))
    yield library
    library.close()


@pytest.fixture
def keeping(library: Library, counting: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    for name in ("RESCAN_SECONDS", "WATCHED_RESCAN_SECONDS"):
        monkeypatch.setattr(keeper, name, 10 * PATIENCE)
    keeping = Keeper(library, lambda: counting)
    keeping.start()
    yield keeping
    keeping.stop()


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Roots:
    """The roots of a session whose project has a skill."""
    folder = tmp_path / "project" / ".skills"
    (folder / "one").mkdir(parents=True)
    (folder / "one" / "SKILL.md").write_text("---\nname: one\n---\nThe only one.\n")
    return Root(folder, "project"), Root(root, "user")


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _skills(library: Library, roots: Roots) -> int:
    return len(library.view(roots).visible)


def test_roots_are_scanned_once_somebody_asks_for_them(
    library: Library, keeping: Keeper, project: Roots
) -> None:
    assert keeping.wait_for_scan(PATIENCE)
    assert not keeping.wait_for_scan(0, project)
    library.attendance.begin(project)
    keeping.look()
    assert keeping.wait_for_scan(PATIENCE, project)
    assert _skills(library, project) == 1
    assert _skills(library, library.roots) == 0


def test_while_nobody_looks_for_skills_no_folder_is_looked_through(
    lonely: Library, counting: Any, project: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[Roots] = []
    scan = Library.scan

    def note(library: Library, *progress: Any) -> Any:
        scanned.append(library.attendance.roots())
        return scan(library, *progress)

    monkeypatch.setattr(Library, "scan", note)
    keeping = Keeper(lonely, lambda: counting)
    keeping.start()
    assert keeping.wait_for_scan(PATIENCE, ())
    assert not scanned
    lonely.attendance.begin(project)
    keeping.look()
    assert keeping.wait_for_scan(PATIENCE, project)
    keeping.stop()
    assert _skills(lonely, project) == 1
    assert scanned[0] == project


def test_roots_are_watched_as_long_as_somebody_asks_for_them(
    library: Library, keeping: Keeper, project: Roots
) -> None:
    library.attendance.begin(project)
    keeping.look()
    assert keeping.wait_for_scan(PATIENCE, project)
    time.sleep(0.3)  # until it waits
    shutil.copytree(project[0].path / "one", project[0].path / "two")
    (project[0].path / "two" / "SKILL.md").write_text("---\nname: two\n---\nAnother.\n")
    _until(lambda: _skills(library, project) == 2)


def test_who_waits_for_roots_waits_for_their_skills(
    library: Library, keeping: Keeper, project: Roots
) -> None:
    library.attendance.begin(project)
    told: list[tuple[int, int]] = []
    changes = keeping.bring_in_step(None, lambda *done: told.append(done), roots=project)
    assert changes is not None
    assert library.view(project).pending == 0
    assert _skills(library, project) == 1
    assert all(done <= total for done, total in told)


def test_a_rebuild_reads_and_embeds_all_anew(
    library: Library, keeping: Keeper, project: Roots, counting: Any
) -> None:
    library.attendance.begin(project)
    keeping.bring_in_step(None, None, roots=project)
    once = len(counting.texts)
    reading: list[tuple[int, int]] = []
    changes = keeping.bring_in_step(
        lambda *done: reading.append(done), None, rebuild=True, roots=project
    )
    assert changes is not None
    assert changes.read == 1
    assert reading == [(1, 1)]
    assert len(counting.texts) == 2 * once


def test_beside_another_process_nobody_waits_for_a_scan_of_this_one(
    library: Library, keeping: Keeper, open_library: Callable[..., Library]
) -> None:
    keeping.bring_in_step(None, None)
    with open_library().writing(timeout=PATIENCE) as theirs:
        assert theirs
        assert keeping.bring_in_step(None, None) is None


def test_beside_another_process_a_rebuild_is_refused_rather_than_left_out(
    library: Library, keeping: Keeper, open_library: Callable[..., Library]
) -> None:
    keeping.bring_in_step(None, None)
    with open_library().writing(timeout=PATIENCE) as theirs:
        assert theirs
        with pytest.raises(NotKeptError, match="another process is writing"):
            keeping.bring_in_step(None, None, rebuild=True)


def test_a_failure_is_told_to_all_who_wait_and_not_tried_for_them_again(
    library: Library, keeping: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.bring_in_step(None, None)
    forgotten: list[bool] = []
    scan = Library.scan

    def refused(*_: object) -> None:
        time.sleep(0.05)
        raise UnwritableDatabaseError("the disk is full")

    monkeypatch.setattr(keeper, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(Library, "scan", refused)
    monkeypatch.setattr(Library, "forget", lambda _: forgotten.append(True))
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(keeping.bring_in_step, None, None, rebuild=True) for _ in range(3)]
        for each in waiting:
            with pytest.raises(NotKeptError, match="the disk is full"):
                each.result(PATIENCE)
    tried = len(forgotten)
    monkeypatch.setattr(Library, "scan", scan)
    assert keeping.bring_in_step(None, None) is not None
    assert len(forgotten) == tried <= 3


def test_what_keeps_the_index_from_being_written_is_told_to_who_waits(
    library: Library, keeping: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.bring_in_step(None, None)

    def refused(*_: object) -> None:
        raise UnwritableDatabaseError("the disk is full")

    monkeypatch.setattr(Library, "scan", refused)
    with pytest.raises(NotKeptError, match="the disk is full"):
        keeping.bring_in_step(None, None)
    assert keeping.complaint == "the disk is full"
