from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from skillrouter_mcp.sharing import spawning
from skillrouter_mcp.sharing.channel import Doorway
from skillrouter_mcp.sharing.owner import UNFIT
from skillrouter_mcp.sharing.spawning import Spawner, UnfitError, start_ahead

PATIENCE = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def owner_does(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has a script started in place of an owner; its argument is the home."""

    def replace(script: str) -> None:
        monkeypatch.setattr(spawning, "COMMAND", (sys.executable, "-c", script))

    return replace


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


NOTES_ITSELF = """
import os, pathlib, sys, time
(home,) = sys.argv[1:]
(pathlib.Path(home) / f"started-{os.getpid()}").write_text(os.getcwd())
print("said", file=sys.stderr, flush=True)
"""


def _started(home: Path) -> list[Path]:
    return list(home.glob("started-*"))


def test_one_is_started_apart_in_its_home(home: Path, owner_does: Callable[[str], None]) -> None:
    owner_does(NOTES_ITSELF + "assert os.getsid(0) == os.getpid()\ntime.sleep(0.3)\n")
    with Spawner(home) as spawner:
        for _ in range(3):
            spawner.see_to_it()
        _until(lambda: _started(home) and (home / "owner.log").read_text().startswith("said"))
    (note,) = _started(home)
    _until(lambda: note.read_text() == str(home.resolve()))
    _until(lambda: not psutil.pid_exists(int(note.name.partition("-")[2])))
    assert (home / "owner.log").read_text() == "said\n"


def test_while_another_process_starts_one_none_is_started(
    home: Path, owner_does: Callable[[str], None]
) -> None:
    owner_does(NOTES_ITSELF)
    home.mkdir()
    with FileLock(home / "spawn.lock"), Spawner(home) as spawner:
        spawner.see_to_it()
        spawner.see_to_it()
    assert not _started(home)
    with Spawner(home) as spawner:
        spawner.see_to_it()
        _until(lambda: _started(home))


def test_one_that_is_killed_is_followed_by_another(
    home: Path, owner_does: Callable[[str], None]
) -> None:
    owner_does(NOTES_ITSELF + "os.kill(os.getpid(), 9)")
    with Spawner(home) as spawner:

        def again() -> bool:
            spawner.see_to_it()
            return len(_started(home)) >= 2

        _until(again)


def test_one_that_cannot_do_it_is_not_started_again(
    home: Path, owner_does: Callable[[str], None]
) -> None:
    owner_does(NOTES_ITSELF + "sys.exit(3)")
    with Spawner(home) as spawner:

        def see_to_it() -> bool:
            spawner.see_to_it()
            return False

        with pytest.raises(UnfitError, match=r"ended with status 3 .*owner\.log"):
            _until(see_to_it)
    assert len(_started(home)) == 1


def test_where_nothing_can_be_written_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Spawner(tmp_path / "file" / "home") as spawner,
        pytest.raises(UnfitError, match="cannot be written"),
    ):
        spawner.see_to_it()


def test_a_python_that_is_gone_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "COMMAND", ("/no/such/python",))
    with Spawner(home) as spawner, pytest.raises(UnfitError, match="/no/such/python"):
        spawner.see_to_it()


def test_a_log_that_has_grown_is_begun_anew(
    home: Path, owner_does: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawning, "_MOST_LOG_BYTES", 100)
    owner_does("")
    home.mkdir()
    for size, left in ((100, 100), (101, 0)):
        (home / "owner.log").write_bytes(b"x" * size)
        with Spawner(home) as spawner:
            spawner.see_to_it()
        assert (home / "owner.log").stat().st_size == left


def test_one_that_was_started_ahead_is_not_started_again(
    home: Path, owner_does: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner_does(NOTES_ITSELF + "time.sleep(0.3)\n")
    monkeypatch.setenv("SKILLROUTER_HOME", str(home))
    spawner = start_ahead()
    assert spawner is not None
    assert spawner.home == home
    with spawner:
        spawner.see_to_it()
        _until(lambda: _started(home))
        spawner.see_to_it()
    assert len(_started(home)) == 1


def test_where_there_is_an_owner_none_is_started_ahead(
    tmp_path: Path, owner_does: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner_does(NOTES_ITSELF)
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path))
    doorway = Doorway(tmp_path)
    start_ahead()
    doorway.close()
    assert not (tmp_path / "owner.log").exists()


@pytest.mark.parametrize("home", ["file/home", "~nobody-has-this-name/home"])
def test_in_a_home_that_cannot_be_used_nothing_is_started_ahead_nor_said(
    tmp_path: Path, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKILLROUTER_HOME", home)
    start_ahead()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="looks into the folder it starts in")
def test_the_owner_starts_from_its_own_code_whatever_lies_in_the_home(home: Path) -> None:
    home.mkdir()
    (home / "skillrouter_mcp.py").write_text("raise SystemExit(77)")
    done = subprocess.run(
        [*spawning.COMMAND, str(home / "skillrouter_mcp.py")],
        cwd=home,
        env={"PYTHONSAFEPATH": "1", "PATH": ""},
        capture_output=True,
    )
    assert done.returncode == UNFIT
