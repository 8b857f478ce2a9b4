from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.health import watching
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.health.watching import check_watching
from skillrouter_mcp.settings import Settings, load_settings
from skillrouter_mcp.skills.watching import Watch


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """What Linux tells of a user with two inotify instances that hold three watches."""
    proc = tmp_path / "proc"
    for number, watches in ((7, 2), (8, 1)):
        process = proc / str(number)
        (process / "fd").mkdir(parents=True)
        (process / "fdinfo").mkdir()
        (process / "fd" / "5").symlink_to("anon_inode:inotify")
        (process / "fd" / "6").symlink_to("/dev/null")
        (process / "fdinfo" / "5").write_text("pos:\t0\n" + "inotify wd:1 ino:2\n" * watches)
    (proc / "9").mkdir()  # ended meanwhile
    _limit(proc, instances=128, watches=1_000)
    return proc


def _limit(proc: Path, **limits: int) -> None:
    folder = proc / "sys" / "fs" / "inotify"
    folder.mkdir(parents=True, exist_ok=True)
    for what, count in limits.items():
        (folder / f"max_user_{what}").write_text(f"{count}\n")


def _checks(settings: Settings, proc: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_watching(settings, proc)}


def test_a_root_with_skills_is_ok(settings: Settings, proc: Path, write_skill: Any) -> None:
    write_skill("a")
    found = _checks(settings, proc)
    assert list(found) == ["root", "look", "hint", "inotify"]
    assert {finding.status for finding in found.values()} == {"ok"}
    assert "at once" in found["hint"].text
    assert "1 skills" in found["look"].text
    assert "2 of 128 instances, 3 of 1,000 watches" in found["inotify"].text


def test_folders_that_cannot_be_watched_are_a_note(
    settings: Settings, proc: Path, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("a")
    monkeypatch.setattr(Watch, "follow", lambda *_: "no watches are left")
    finding = _checks(settings, proc)["hint"]
    assert finding.status == "note"
    assert "no watches are left" in finding.text
    assert "every 2 s" in finding.why


def test_a_root_that_is_missing_is_a_problem_with_a_remedy(
    settings: Settings, root: Path, proc: Path
) -> None:
    root.rmdir()
    finding = _checks(settings, proc)["root-missing"]
    assert finding.status == "problem"
    assert finding.remedy == f"mkdir -p {root}"


def test_a_project_need_not_have_skills(tmp_path: Path, root: Path, proc: Path) -> None:
    settings = load_settings(home=tmp_path / "home", roots=(root,), project=tmp_path / "project")
    assert "root-missing" not in _checks(settings, proc)


def test_a_link_that_leads_nowhere_is_told_as_such(
    settings: Settings, root: Path, proc: Path
) -> None:
    root.rmdir()
    root.symlink_to("gone")
    assert "leads nowhere" in _checks(settings, proc)["root-missing"].text


def test_a_file_in_place_of_a_root_is_broken(settings: Settings, root: Path, proc: Path) -> None:
    root.rmdir()
    root.write_text("skills")
    assert _checks(settings, proc)["root-not-folder"].status == "broken"


def test_a_root_that_cannot_be_read_is_broken(
    settings: Settings, root: Path, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # the user of the tests may be one who can read everything
        if Path(os.fsdecode(path)) == root:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    finding = _checks(settings, proc)["root-unreadable"]
    assert finding.status == "broken"
    assert "Permission denied" in finding.text
    assert str(root) in finding.remedy


def test_an_empty_root_is_a_note(settings: Settings, proc: Path) -> None:
    assert _checks(settings, proc)["root-empty"].status == "note"


def test_a_root_on_a_network_is_a_note(settings: Settings, proc: Path, write_skill: Any) -> None:
    write_skill("a")
    (proc / "self").mkdir()
    (proc / "self" / "mountinfo").write_text("1 0 0:1 / / rw - fuse.sshfs host:/ rw\n")
    finding = _checks(settings, proc)["root-network"]
    assert finding.status == "note"
    assert "fuse.sshfs" in finding.text


@pytest.mark.parametrize(
    ("limits", "command"),
    [
        ({"instances": 2}, "max_user_instances=1024"),
        ({"watches": 3}, "max_user_watches=1024"),
    ],
)
def test_exhausted_inotify_is_a_note_with_the_command(
    settings: Settings, proc: Path, limits: dict[str, int], command: str
) -> None:
    _limit(proc, **limits)
    finding = _checks(settings, proc)["inotify"]
    assert finding.status == "note"
    assert command in finding.remedy
    assert "may miss changes" in finding.why


def test_without_inotify_nothing_is_said_of_it(settings: Settings, tmp_path: Path) -> None:
    assert "inotify" not in _checks(settings, tmp_path / "gone")


def test_a_long_look_is_a_note(
    settings: Settings, proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_SLOW_LOOK_SECONDS", 0.0)
    assert _checks(settings, proc)["look"].status == "note"
