from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers import Observer

from skillrouter_mcp.skills import Root, is_plain, walk
from skillrouter_mcp.skills.watching import Watch

PATIENCE = 20.0  # seconds until a change that should have been told counts as missed
QUIET = 0.2  # seconds in which a change that should not be told would have been


class Hints:
    """A watch over one root, and whether it has told of a change since last asked."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._told = threading.Event()
        self._watch = Watch(self._told.set)
        self.look()

    def look(self) -> str:
        """Looks through the root, as one does after a hint; why not all is watched."""
        trouble = self._watch.follow([str(self._root)], walk([Root(self._root, "user")]).linked)
        self._told.clear()
        return trouble

    def come(self) -> bool:
        """Whether a change is told; what else is told of the same change is waited for."""
        told = self._told.wait(PATIENCE)
        while self._told.wait(QUIET):
            self._told.clear()
        self.look()
        return told

    def stay_away(self) -> bool:
        return not self._told.wait(QUIET)

    def close(self) -> None:
        self._watch.close()


@pytest.fixture
def watch(root: Path) -> Iterator[Callable[[], Hints]]:
    opened: list[Hints] = []

    def open_one() -> Hints:
        opened.append(Hints(root))
        return opened[-1]

    yield open_one
    for hints in opened:
        hints.close()


def _write(folder: Path, text: str = "Do it.\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "SKILL.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_adding_editing_renaming_and_removing_are_told(
    root: Path, watch: Callable[[], Hints]
) -> None:
    root.mkdir(exist_ok=True)
    hints = watch()
    path = _write(root / "one" / "deep")
    assert hints.come()
    path.write_text("Do it again.\n", encoding="utf-8")
    assert hints.come()
    other = path.with_name("new")
    other.write_text("Do it once more.\n", encoding="utf-8")
    other.replace(path)
    assert hints.come()
    path.parent.rename(root / "two")
    assert hints.come()
    shutil.rmtree(root / "two")
    assert hints.come()


def test_reading_is_not_told(root: Path, watch: Callable[[], Hints]) -> None:
    path = _write(root / "one")
    hints = watch()
    path.read_text(encoding="utf-8")
    list(root.iterdir())
    assert hints.stay_away()


def test_a_root_may_be_made_later_removed_and_made_anew(
    root: Path, watch: Callable[[], Hints]
) -> None:
    shutil.rmtree(root, ignore_errors=True)
    hints = watch()
    for _ in range(2):
        _write(root / "one")
        assert hints.come()
        _write(root / "one", "Do it twice.\n")
        assert hints.come()
        shutil.rmtree(root)
        assert hints.come()


def test_a_root_that_is_moved_away_is_told(root: Path, watch: Callable[[], Hints]) -> None:
    _write(root / "one")
    hints = watch()
    root.rename(root.with_name("elsewhere"))
    assert hints.come()


def test_what_else_happens_beside_a_root_is_not_told(
    root: Path, watch: Callable[[], Hints]
) -> None:
    _write(root / "one")
    hints = watch()
    root.with_name("history").write_text("ls\n", encoding="utf-8")
    assert hints.stay_away()


def test_what_no_skill_can_come_of_is_not_told(root: Path, watch: Callable[[], Hints]) -> None:
    log = _write(root / "one").with_name("build.log")
    log.touch()
    for name in (".git", "node_modules"):
        (root / "one" / name / "deep").mkdir(parents=True)
    hints = watch()
    for _ in range(3):
        with log.open("a", encoding="utf-8") as lines:
            lines.write("built\n")
        log.with_name("output.tmp").touch()
        log.with_name("output.tmp").replace(log.with_name("output"))
        for name in (".git", "node_modules"):
            (root / "one" / name / "index.lock").touch()
            (root / "one" / name / "index.lock").replace(root / "one" / name / "index")
            (root / "one" / name / "deep" / "new").mkdir()
            (root / "one" / name / "deep" / "new").rmdir()
    assert hints.stay_away()
    (root / "one" / ".git").rename(root / "one" / "git")
    assert hints.come()


def test_roots_below_what_is_passed_over_are_watched(tmp_path: Path) -> None:
    root = tmp_path / "node_modules" / "package"
    _write(root / "one")
    told = threading.Event()
    watch = Watch(told.set)
    try:
        assert watch.follow([str(root)], []) == ""
        _write(root / "one", "Do it again.\n")
        assert told.wait(PATIENCE)
    finally:
        watch.close()


def test_a_linked_file_of_another_name_is_watched_within_the_root(
    root: Path, watch: Callable[[], Hints]
) -> None:
    text = _write(root / "one").with_name("text.md")
    text.write_text("Do it.\n", encoding="utf-8")
    (root / "two").mkdir()
    (root / "two" / "SKILL.md").symlink_to(text)
    hints = watch()
    text.write_text("Do it again.\n", encoding="utf-8")
    assert hints.come()


def test_linked_folders_and_files_are_watched_where_they_lie(
    root: Path, tmp_path: Path, watch: Callable[[], Hints]
) -> None:
    folder, file = _write(tmp_path / "far" / "one"), _write(tmp_path / "farther" / "two")
    (root / "two").mkdir(parents=True)
    (root / "one").symlink_to(folder.parent)
    (root / "two" / "SKILL.md").symlink_to(file)
    hints = watch()
    folder.write_text("Do it again.\n", encoding="utf-8")
    assert hints.come()
    file.write_text("Do it again.\n", encoding="utf-8")
    assert hints.come()
    file.with_name("beside").touch()
    assert hints.stay_away()


def test_a_root_that_is_a_link_may_be_turned(
    root: Path, tmp_path: Path, watch: Callable[[], Hints]
) -> None:
    _write(tmp_path / "first" / "one")
    second = _write(tmp_path / "second" / "one")
    shutil.rmtree(root, ignore_errors=True)
    root.symlink_to(tmp_path / "first")
    hints = watch()
    turned = tmp_path / "turned"
    turned.symlink_to(tmp_path / "second")
    turned.replace(root)
    assert hints.come()
    second.write_text("Do it again.\n", encoding="utf-8")
    assert hints.come()


def test_what_cannot_be_watched_is_said(
    root: Path, watch: Callable[[], Hints], monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(root / "one")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(Observer, "schedule", refuse)
    assert "inotify watch limit reached" in watch().look()


def test_what_cannot_be_watched_is_said_without_what_steers_a_terminal(
    root: Path, watch: Callable[[], Hints], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no watch for a folder\x1b[2J\u202e in it")

    monkeypatch.setattr(Observer, "schedule", refuse)
    assert is_plain(watch().look())


@pytest.mark.parametrize("name", ["nul\0", "\ud800", "x" * 10_000])
def test_what_is_no_path_keeps_nothing_else_from_being_watched(root: Path, name: str) -> None:
    _write(root / "one")
    told = threading.Event()
    watch = Watch(told.set)
    try:
        assert watch.follow([f"{root}/{name}", str(root)], [f"{root}/{name}"]) == ""
        _write(root / "two")
        assert told.wait(PATIENCE)
    finally:
        watch.close()


def test_nothing_is_watched_any_more_after_closing(root: Path, watch: Callable[[], Hints]) -> None:
    _write(root / "one")
    hints = watch()
    hints.close()
    os.utime(root / "one" / "SKILL.md")
    assert hints.stay_away()
