"""What a computer may do to an index, against real processes: nothing is lost, servers answer."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
import sqlite_vec
from tests.end_to_end.conftest import COMMAND

from skillrouter_gguf import load_catalogue
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Dial, Wire

PATIENCE = 120.0
ROUNDS = 12
TUNE = "tune a grand piano"

# The clock is set forth and back by years, at every look at it.
JUMPS = """
import itertools, time
real, years = time.time, itertools.cycle([0, 30, -30])
time.time = lambda: real() + next(years) * 365 * 24 * 3600
"""
# Looks again soon after something went wrong, and waits a moment for locks.
HASTE = """
import skillrouter_mcp.index.database as database
import skillrouter_mcp.index.keeper as keeper
database._BUSY_TIMEOUT_MS = 100
keeper._RETRY_SECONDS = 0.2
"""


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _names(wire: Wire, query: str) -> list[str]:
    return [match["name"] for match in wire.find(query)["structuredContent"]["matches"]]


def _rows(home: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(home / "index.db"))
    try:
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def _log(home: Path) -> str:
    return (home / "owner.log").read_text(encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def indexed(write_skill: Any, root: Path, home: Path, encoder: Any) -> Path:
    """A home whose index holds a skill, embedded, and that nobody uses."""
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    model = load_catalogue().model("skillrouter-minilm-l6")
    library = Library(home, [Root(root, "user")], Fingerprint.of(model))
    with closing(library), library.writing():
        library.scan()
        assert list(library.embed(encoder)) == [0]
    return home


def test_kills_at_random_moments_leave_an_index_that_is_whole_and_in_step(
    dial: Dial, write_skill: Any, home: Path, owners_in: Any
) -> None:
    chance = random.Random(20)
    for n in range(60):
        write_skill(f"notes-{n:02}", body=f"Take note number {n}.\n")
    wire = dial()
    wire.greet()
    for number in range(ROUNDS):
        time.sleep(chance.uniform(0, 0.6))
        for n in chance.sample(range(60), 20):
            path = write_skill(f"notes-{n:02}", body=f"Take note number {n} in round {number}.\n")
            if chance.random() < 0.2:
                shutil.rmtree(path.parent)
        time.sleep(chance.uniform(0, 0.6))
        for owner in owners_in(home):
            os.kill(owner.pid, signal.SIGKILL)
    left = sorted(str(path) for path in path.parents[1].glob("*/SKILL.md"))
    wire.find_until(
        "take note number 7", lambda r: r["index"] == {"skills": len(left), "pending": 0}
    )
    assert wire.hang_up() == 0
    _until(lambda: not owners_in(home))
    assert _rows(home, "PRAGMA integrity_check") == [("ok",)]
    assert sorted(path for (path,) in _rows(home, "SELECT path FROM skill")) == left
    bodies = {body for (body,) in _rows(home, "SELECT body FROM document")}
    assert bodies == {Path(path).read_text().partition("---\n\n")[2].strip() for path in left}
    assert not list(home.glob("index.db.damaged-*"))
    assert wire.errors == ""


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _foreign(path: Path) -> None:
    path.unlink()
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_truncate, "is damaged"),
        (lambda path: path.write_bytes(b"garbage " * 9_999), "is damaged"),
        (_foreign, "belongs to another program"),
    ],
    ids=["truncated", "garbage", "foreign"],
)
def test_a_file_that_is_no_index_is_set_aside_and_another_made(
    dial: Dial, indexed: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(indexed / "index.db")
    content = (indexed / "index.db").read_bytes()
    wire = dial()
    wire.greet()
    wire.find_until(TUNE, lambda r: r["index"] == {"skills": 1, "pending": 0})
    (aside,) = indexed.glob("index.db.damaged-*")
    assert aside.read_bytes() == content
    assert reason in _log(indexed)
    assert f"set aside as {aside.name} and made anew" in _log(indexed)
    assert wire.errors == ""


def test_an_index_that_is_spoilt_in_use_is_made_anew(
    dial: Dial, write_skill: Any, indexed: Path
) -> None:
    wire = dial(prelude=HASTE)
    wire.greet()
    wire.find(TUNE)
    _rows(indexed, "PRAGMA wal_checkpoint(TRUNCATE)")
    with (indexed / "index.db").open("r+b") as file:
        file.write(b"\xaa" * 200_000)
    write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
    _until(lambda: '"skills": 2, "pending": 0' in json.dumps(wire.find(TUNE)))
    assert _names(wire, TUNE) == ["tune-piano"]
    assert list(indexed.glob("index.db.damaged-*"))


def test_while_another_program_locks_the_index_it_is_searched_as_it_is(
    dial: Dial, write_skill: Any, indexed: Path
) -> None:
    other = apsw.Connection(str(indexed / "index.db"))
    try:
        other.execute("BEGIN IMMEDIATE")
        write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
        wire = dial(prelude=HASTE)
        wire.greet()
        assert _names(wire, TUNE) == ["tune-piano"]
        _until(lambda: "is locked by another program" in _log(indexed))
    finally:
        other.close()
    wire.find_until("knead the dough", lambda r: r["index"] == {"skills": 2, "pending": 0})


def test_a_clock_that_jumps_harms_nothing(dial: Dial, write_skill: Any, indexed: Path) -> None:
    wire = dial(prelude=JUMPS)
    wire.greet()
    assert _names(wire, TUNE) == ["tune-piano"]
    write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
    wire.find_until("knead the dough", lambda r: r["index"] == {"skills": 2, "pending": 0})
    assert wire.hang_up() == 0
    assert wire.errors == _log(indexed) == ""
    assert _rows(indexed, "PRAGMA integrity_check") == [("ok",)]


# Root may do anything unless it gives that up.
_MORTAL = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


@contextmanager
def _mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(before)


@pytest.fixture
def as_mortal() -> tuple[str, ...]:
    """A command whose process may not do what permissions forbid."""
    if sys.platform == "win32":
        pytest.skip("has no such modes")
    if os.getuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may do anything here")
    return _MORTAL


def test_without_permission_to_write_the_index_is_searched_as_it_is(
    dial: Dial, write_skill: Any, indexed: Path, as_mortal: tuple[str, ...]
) -> None:
    write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
    with _mode(indexed, 0o500):
        wire = dial(within=as_mortal, prelude=HASTE)
        wire.greet()
        assert _names(wire, TUNE) == ["tune-piano"]
        assert f"{indexed} cannot be written" in wire.errors
        assert "until then skills are found as they were last read" in wire.errors
        assert "Traceback" not in wire.errors
    wire.find_until("knead the dough", lambda r: r["index"] == {"skills": 2, "pending": 0})


def test_an_owner_that_loses_permission_goes_on_with_what_it_has(
    dial: Dial, write_skill: Any, indexed: Path, as_mortal: tuple[str, ...]
) -> None:
    wire = dial(within=as_mortal, prelude=HASTE)
    wire.greet()
    assert _names(wire, TUNE) == ["tune-piano"]
    with _mode(indexed, 0o500), _mode(indexed / "writer.lock", 0o400):
        write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
        _until(lambda: f"{indexed} cannot be written: Permission denied" in _log(indexed))
        assert _names(wire, TUNE) == ["tune-piano"]
    wire.find_until("knead the dough", lambda r: r["index"] == {"skills": 2, "pending": 0})


def _apart(script: str) -> tuple[str, ...]:
    """A command that runs another after this script, in a mount namespace of its own."""
    apart = ("unshare", "--mount", *(() if os.getuid() == 0 else ("--map-root-user",)))
    return (*apart, "sh", "-c", f'{script} && exec "$@"', "sh")


@pytest.fixture
def mounts(tmp_path: Path) -> None:
    if (
        sys.platform != "linux"
        or subprocess.run(
            [*_apart(f"mount -t tmpfs tmpfs {tmp_path}"), "true"], capture_output=True
        ).returncode
    ):
        pytest.skip("nothing can be mounted here")


@pytest.mark.usefixtures("mounts")
def test_on_a_file_system_that_is_read_only_the_index_is_searched_as_it_is(
    dial: Dial, write_skill: Any, indexed: Path
) -> None:
    write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")
    before = sorted(indexed.rglob("*"))
    wire = dial(
        within=_apart(f"mount --bind {indexed} {indexed} && mount -o remount,ro,bind {indexed}"),
        prelude=HASTE,
    )
    wire.greet()
    assert _names(wire, TUNE) == ["tune-piano"]
    assert wire.find(TUNE)["structuredContent"]["index"] == {"skills": 1, "pending": 0}
    assert "Read-only file system" in wire.errors
    assert wire.hang_up() == 0
    assert sorted(indexed.rglob("*")) == before


@pytest.mark.usefixtures("mounts")
def test_with_nothing_read_yet_a_file_system_that_is_read_only_is_told_of(
    dial: Dial, write_skill: Any, home: Path
) -> None:
    write_skill("tune-piano")
    home.mkdir()
    wire = dial(within=_apart(f"mount -t tmpfs -o ro tmpfs {home}"))
    wire.greet()
    result = wire.find(TUNE)
    assert result["isError"]
    assert str(home) in result["content"][0]["text"]
    assert "Traceback" not in wire.errors


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("already", [True, False], ids=["at the start", "in use"])
def test_on_a_full_disk_the_index_is_searched_as_it_is(
    dial: Dial, write_skill: Any, indexed: Path, tmp_path: Path, already: bool
) -> None:
    wishes = tmp_path / "wishes"
    wishes.mkdir()
    # What happens on the disk, which only the servers see, is done and looked at beside them.
    steps = {
        "fill": f"dd if=/dev/zero of={indexed}/filler bs=4k count=1k",  # more than it takes
        "free": f"rm {indexed}/filler",
        "ask": f"{COMMAND} doctor >{tmp_path}/told",
    }
    first = steps["fill"] if already else "true"
    loop = "".join(
        f"if [ -e {wishes}/{wish} ]; then {step}; rm {wishes}/{wish}; fi; "
        for wish, step in steps.items()
    )
    script = (
        f"cp -r {indexed} {tmp_path}/copy && mount -t tmpfs -o size=3m tmpfs {indexed} && "
        f"cp -r {tmp_path}/copy/. {indexed} && {{ until [ -e {wishes}/end ]; do {loop} sleep 0.05; "
        f"done </dev/null >/dev/null 2>&1 & }} && {{ {first}; true; }}"
    )
    wire = dial(within=_apart(script), prelude=HASTE)

    def on_the_disk(wish: str) -> None:
        (wishes / wish).touch()
        _until(lambda: not (wishes / wish).exists())

    try:
        wire.greet()
        assert _names(wire, TUNE) == ["tune-piano"]
        if not already:
            on_the_disk("fill")
        write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n" * 5_000)
        time.sleep(1)
        assert _names(wire, TUNE) == ["tune-piano"]
        on_the_disk("ask")
        full = f"no space is left to write {indexed}/index.db: free some, and it goes on by itself"
        assert full in (tmp_path / "told").read_text(encoding="utf-8")
        if already:
            assert f"{full}; until then skills are found as they were last read" in wire.errors
        assert "Traceback" not in wire.errors
        on_the_disk("free")
        wire.find_until("knead the dough", lambda r: r["index"] == {"skills": 2, "pending": 0})
    finally:
        (wishes / "end").touch()
