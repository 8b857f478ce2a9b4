"""What happens to files and folders between the walk that finds them and their reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.skills.reader import read_skill
from skillrouter_mcp.skills.sanitise import is_plain
from skillrouter_mcp.skills.skill import Skill, SkillError
from skillrouter_mcp.skills.walk import Root, SkillFile, walk

WriteSkill = Callable[..., Path]
Swap = Callable[[Path], None]

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")


@pytest.fixture(autouse=True, params=["with /proc", "without /proc"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux, which tells where an open file lies, and others."""
    readlink = os.readlink

    def refuse(path: str, **options: Any) -> str:
        if path.startswith("/proc/self/fd/"):
            raise FileNotFoundError
        return readlink(path, **options)

    if request.param == "without /proc":
        monkeypatch.setattr(os, "readlink", refuse)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder outside the root with what must not be read in it."""
    folder = tmp_path / "private"
    (folder / "part").mkdir(parents=True)
    for path in (folder / "SKILL.md", folder / "part" / "SKILL.md", folder / "notes.md"):
        path.write_text("secret")
    return folder


def found_in(root: Path) -> list[SkillFile]:
    return list(walk([Root(root, "user")]).files)


def read(file: SkillFile) -> Skill:
    return read_skill(Path(file.path), real=file.real)


def reason_of(file: SkillFile) -> str:
    with pytest.raises(SkillError) as caught:
        read(file)
    assert is_plain(caught.value.reason)
    return caught.value.reason


def swap_at_opening(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> None:
    """Lets something happen at the last moment: before the file is opened."""
    opened = os.open

    def swap_and_open(path: str, flags: int) -> int:
        monkeypatch.setattr(os, "open", opened)
        swap()
        return opened(path, flags)

    monkeypatch.setattr(os, "open", swap_and_open)


def turn_into_link(path: Path, target: Path | str) -> None:
    path.rename(path.with_name("away"))
    path.symlink_to(target)


def turn_into_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def turn_into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe.md"))
    turn_into_link(path, "pipe.md")


REPLACEMENTS: dict[str, Swap] = {
    "link": lambda path: turn_into_link(path, path.parents[2] / "private" / "notes.md"),
    "link in its folder": lambda path: turn_into_link(path, "away"),
    "pipe": turn_into_pipe,
    "link to a pipe": link_to_pipe,
    "link to a device": lambda path: turn_into_link(path, "/dev/zero"),
    "folder": turn_into_folder,
    "folder around": lambda path: turn_into_link(path.parent, path.parents[2] / "private"),
    "nothing": Path.unlink,
}
replaced = pytest.mark.parametrize("swap", REPLACEMENTS.values(), ids=REPLACEMENTS)


@replaced
def test_what_took_the_place_of_a_file_since_the_walk_is_not_read(
    root: Path, private: Path, write_skill: WriteSkill, swap: Swap
) -> None:
    path = write_skill("kit")
    (file,) = found_in(root)
    swap(path)
    assert reason_of(file)


@replaced
def test_what_takes_the_place_of_a_file_at_the_last_moment_is_not_read(
    root: Path,
    private: Path,
    write_skill: WriteSkill,
    monkeypatch: pytest.MonkeyPatch,
    swap: Swap,
) -> None:
    path = write_skill("kit")
    (file,) = found_in(root)
    swap_at_opening(monkeypatch, lambda: swap(path))
    assert reason_of(file)


def test_a_device_is_not_even_opened(
    root: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_skill("kit")
    (file,) = found_in(root)
    swap_at_opening(monkeypatch, lambda: turn_into_link(path, "/dev/zero"))
    assert "was replaced" in reason_of(file)


def test_a_folder_that_is_a_link_for_the_moment_of_opening_is_not_read_through(
    root: Path, private: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_skill("kit")
    (file,) = found_in(root)
    opened = os.open

    def open_elsewhere(_: str, flags: int) -> int:
        monkeypatch.setattr(os, "open", opened)
        return opened(private / "SKILL.md", flags)

    monkeypatch.setattr(os, "open", open_elsewhere)
    assert "was replaced" in reason_of(file)
    assert read(file).body == path.read_text()


def test_a_folder_that_became_a_link_during_the_walk_is_not_read_through(
    root: Path, private: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("kit/part")
    scandir = os.scandir

    def swap_and_scan(path: str) -> object:
        if path.endswith("kit"):
            turn_into_link(root / "kit", private)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", swap_and_scan)
    files = found_in(root)
    assert files
    assert all("was replaced" in reason_of(file) for file in files)


def test_a_file_that_became_a_link_during_the_walk_is_left_for_the_next(
    root: Path, private: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_skill("kit")
    status_of = os.stat

    def swap_and_look(path_: str, *, follow_symlinks: bool = True) -> os.stat_result:
        if path_ == str(path):
            turn_into_link(path, private / "notes.md")
        return status_of(path_, follow_symlinks=follow_symlinks)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", swap_and_look)
        assert found_in(root) == []
    assert [file.path for file in found_in(root)] == [str(path)]


def test_a_link_is_read_where_the_walk_saw_it_lead(
    root: Path, private: Path, write_skill: WriteSkill
) -> None:
    write_skill("kit", "kit's own", name="README.md")
    link = root / "kit" / "part" / "SKILL.md"
    link.parent.mkdir()
    link.symlink_to("../README.md")
    (file,) = found_in(root)
    link.unlink()
    link.symlink_to(private / "notes.md")
    assert read(file).body == "kit's own"


def test_a_file_that_an_editor_replaced_since_the_walk_is_read(
    root: Path, write_skill: WriteSkill
) -> None:
    path = write_skill("kit", "before")
    (file,) = found_in(root)
    write_skill("kit", "after", name="new").replace(path)
    assert read(file).body == "after"


@pytest.mark.parametrize("link", ["root", "folder", "file"])
def test_links_that_the_walk_has_followed_are_read_through(
    tmp_path: Path, root: Path, link: str
) -> None:
    (tmp_path / "far" / "kit").mkdir(parents=True)
    (tmp_path / "far" / "kit" / "SKILL.md").write_text("body")
    looked_at = root
    if link == "root":
        looked_at = tmp_path / "linked"
        looked_at.symlink_to(tmp_path / "far")
    elif link == "folder":
        (root / "far").symlink_to(tmp_path / "far")
    else:
        (root / "kit").mkdir()
        (root / "kit" / "SKILL.md").symlink_to(tmp_path / "far" / "kit" / "SKILL.md")
    (file,) = found_in(looked_at)
    assert file.real == os.path.realpath(tmp_path / "far" / "kit" / "SKILL.md")
    assert read(file).body == "body"
