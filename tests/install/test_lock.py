from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skillrouter_install import InstallError, locked

_HOLDER = """\
import sys
from pathlib import Path
from skillrouter_install import locked
with locked(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""

Holder = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def holder(state: Path) -> Holder:
    """Starts a process that holds the lock until its stdin is closed."""

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        return process

    return start


def test_another_process_is_refused_with_the_reason(state: Path, holder: Holder) -> None:
    with holder() as other:
        with pytest.raises(InstallError, match="another skillrouter-mcp is installing"):
            locked(state, patience=0).__enter__()
        other.communicate()
    with locked(state, patience=0):
        pass


def test_what_a_killed_process_held_is_free(state: Path, holder: Holder) -> None:
    with holder() as other:
        other.kill()
        other.communicate()
    with locked(state, patience=0):
        pass


def test_it_waits_for_the_other_to_end(state: Path, holder: Holder) -> None:
    with holder() as other:
        assert other.stdin is not None
        other.stdin.close()
        with locked(state, patience=60):
            assert other.wait() == 0


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InstallError, match=r"clients\.lock cannot be written"):
        locked(tmp_path / "file" / "state").__enter__()


def test_it_is_free_again_after_an_error(state: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(state):
        _ = 1 / 0
    with locked(state, patience=0):
        pass
