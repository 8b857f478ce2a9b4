from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from skillrouter_mcp.protocol import skill_files
from skillrouter_mcp.protocol.skill_files import (
    MAX_BYTES,
    MAX_FILES,
    NotServedError,
    TooLargeError,
    list_files,
    list_folder,
    read_file,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "skill"
    (path / "references").mkdir(parents=True)
    (path / "SKILL.md").write_text("Do it.")
    (path / "references" / "more.md").write_text("More.")
    return path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.mkdir()
    (path / "more.md").write_text("Not for you.")
    return path


def test_files_are_listed_and_read_down_to_the_last_folder(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c.bin").write_bytes(b"\0\1")
    assert list_files(str(folder)) == [
        ("SKILL.md",),
        ("a", "b", "c.bin"),
        ("references", "more.md"),
    ]
    assert read_file(str(folder), ("a", "b", "c.bin")) == b"\0\1"


def test_a_skill_behind_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert list_files(str(link)) == list_files(str(folder))
    assert read_file(str(link), ("references", "more.md")) == b"More."


def test_nested_skills_belong_to_the_skill_around_them(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "SKILL.md").write_text("Inner.")
    assert ("inner", "SKILL.md") in list_files(str(folder))


def test_a_link_to_a_file_of_the_skill_is_a_file(folder: Path) -> None:
    (folder / "again.md").symlink_to(folder / "references" / "more.md")
    assert ("again.md",) in list_files(str(folder))
    assert read_file(str(folder), ("again.md",)) == b"More."


def test_links_out_of_the_folder_are_refused(folder: Path, secret: Path) -> None:
    (folder / "out.md").symlink_to(secret / "more.md")
    (folder / "up.md").symlink_to("../secret/more.md")
    (folder / "beside").symlink_to(secret)
    assert list_files(str(folder)) == [("SKILL.md",), ("references", "more.md")]
    for parts in [("out.md",), ("up.md",), ("beside", "more.md")]:
        with pytest.raises(NotServedError):
            read_file(str(folder), parts)
    with pytest.raises(NotServedError):
        list(list_folder(str(folder), ("beside",)))


def test_a_folder_whose_name_begins_alike_is_outside(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "skill-2"
    other.mkdir()
    (other / "x.md").write_text("x")
    (folder / "out.md").symlink_to(other / "x.md")
    with pytest.raises(NotServedError, match="leads out"):
        read_file(str(folder), ("out.md",))


def test_links_to_folders_are_not_followed(folder: Path) -> None:
    (folder / "references" / "loop").symlink_to(folder)
    assert list_files(str(folder)) == [("SKILL.md",), ("references", "more.md")]
    with pytest.raises(NotServedError):
        read_file(str(folder), ("references", "loop", "SKILL.md"))


def test_broken_and_circular_links_are_no_files(folder: Path) -> None:
    (folder / "broken").symlink_to(folder / "gone")
    (folder / "round").symlink_to(folder / "round")
    assert list_files(str(folder)) == [("SKILL.md",), ("references", "more.md")]
    for name in ("broken", "round"):
        with pytest.raises(NotServedError):
            read_file(str(folder), (name,))


@pytest.mark.parametrize("swapped", ["SKILL.md", "references"])
def test_what_becomes_a_link_after_the_check_is_refused(
    folder: Path, secret: Path, swapped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = skill_files._without_link

    def check_then_swap(base: str, parts: tuple[str, ...]) -> tuple[str, ...]:
        way = tuple(checked(base, parts))
        (folder / swapped).rename(folder / "moved")
        (folder / swapped).symlink_to(secret if swapped == "references" else secret / "more.md")
        return way

    monkeypatch.setattr(skill_files, "_without_link", check_then_swap)
    parts = ("references", "more.md") if swapped == "references" else ("SKILL.md",)
    with pytest.raises(NotServedError):
        read_file(str(folder), parts)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are files only on POSIX")
def test_a_pipe_is_neither_listed_nor_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert ("pipe",) not in list_files(str(folder))
    with pytest.raises(NotServedError, match="no regular file"):
        read_file(str(folder), ("pipe",))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are files only on POSIX")
def test_a_file_that_becomes_a_pipe_after_the_check_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    regular = os.stat(folder / "SKILL.md")  # noqa: PTH116
    monkeypatch.setattr(os, "stat", lambda *_, **__: regular)
    with pytest.raises(NotServedError, match="no regular file"):
        read_file(str(folder), ("pipe",))


def test_a_file_too_large_is_not_read(folder: Path) -> None:
    with (folder / "huge").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(TooLargeError, match="huge"):
        read_file(str(folder), ("huge",))
    with (folder / "huge").open("wb") as file:
        file.truncate(MAX_BYTES)
    assert len(read_file(str(folder), ("huge",))) == MAX_BYTES


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = os.stat(folder / "SKILL.md")  # noqa: PTH116
    with (folder / "huge").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    monkeypatch.setattr(os, "fstat", lambda _: small)
    with pytest.raises(TooLargeError, match="huge"):
        read_file(str(folder), ("huge",))


def test_more_files_than_allowed_are_too_many(folder: Path) -> None:
    for number in range(MAX_FILES - 2):
        (folder / str(number)).touch()
    assert len(list_files(str(folder))) == MAX_FILES
    (folder / "one-too-many").touch()
    with pytest.raises(TooLargeError):
        list_files(str(folder))


def test_folders_without_end_are_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skill_files, "_MAX_ENTRIES", 20)
    for number in range(20):
        (folder / f"empty-{number}").mkdir()
    with pytest.raises(TooLargeError):
        list_files(str(folder))


@pytest.mark.parametrize("name", [".git", "node_modules", "__pycache__"])
def test_what_is_no_part_of_a_skill_is_not_served(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "config").write_text("url = https://token@example.org")
    (folder / "link").symlink_to(folder / name / "config")
    assert list_files(str(folder)) == [("SKILL.md",), ("references", "more.md")]
    for parts in [(name, "config"), ("link",)]:
        with pytest.raises(NotServedError):
            read_file(str(folder), parts)


@pytest.mark.parametrize("parts", [(), ("references",), ("gone.md",), ("SKILL.md", "x"), ("a\0b",)])
def test_what_is_no_file_is_not_served(folder: Path, parts: tuple[str, ...]) -> None:
    with pytest.raises(NotServedError):
        read_file(str(folder), parts)


@pytest.mark.parametrize("parts", [("SKILL.md",), ("gone",)])
def test_what_is_no_folder_is_not_listed(folder: Path, parts: tuple[str, ...]) -> None:
    with pytest.raises(NotServedError):
        list(list_folder(str(folder), parts))


def test_a_file_that_may_not_be_read_is_a_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied", "SKILL.md")

    monkeypatch.setattr(skill_files, "_open", refuse)
    with pytest.raises(PermissionError):
        read_file(str(folder), ("SKILL.md",))


def test_files_swapped_all_the_time_never_lead_out(folder: Path, secret: Path) -> None:
    target = folder / "references"
    (secret / "secret.txt").touch()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            target.rename(folder / "aside")
            target.symlink_to(secret)
            target.unlink()
            (folder / "aside").rename(target)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(300):
            with contextlib.suppress(NotServedError):
                assert read_file(str(folder), ("references", "more.md")) == b"More."
            with contextlib.suppress(NotServedError):
                assert ("secret.txt", False) not in list_folder(str(folder), ("references",))
    finally:
        stop.set()
        swapper.join()
