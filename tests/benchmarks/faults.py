"""Kills the owner of an index again and again, counts what is lost, and times what sharing costs.

    python -m tests.benchmarks.faults --rounds 200

Every round changes skills and kills the owner at a random moment, of indexing or of take-over;
the index must pass SQLite's integrity check each time and be in step with the folders in the end.
Then 1,000 requests go to 8 servers while the owner is killed 20 times: each must be answered once.
The figures of sharing follow, over --skills skills that are written for it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import apsw
import psutil
import sqlite_vec
from tests.benchmarks import sharing
from tests.benchmarks.machine import describe, load
from tests.benchmarks.wire import Wire

SKILLS = 200  # that rounds change and requests ask for
REQUESTS, SERVERS, KILLS = 1_000, 8, 20
PATIENCE = 300.0


def main() -> None:
    usage, _, text = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.faults",
        description=usage,
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=200, help="kills while indexing; 0 for none")
    parser.add_argument("--skills", type=int, default=10_000, help="for the figures; 0 for none")
    parser.add_argument("--seed", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{describe()}. Load over 1 / 5 / 15 minutes: {load()}.\n", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        if arguments.rounds:
            failed |= survive(Path(scratch, "kills"), arguments.rounds, arguments.seed)
        failed |= lose_nothing(Path(scratch, "requests"))
        if arguments.skills:
            sharing.measure(Path(scratch, "sharing"), arguments.skills)
    print(f"\nLoad in the end: {load()}.")
    sys.exit(failed)


def survive(folder: Path, rounds: int, seed: int) -> bool:
    """Kills owners over changing skills; whether anything was wrong."""
    chance = random.Random(seed)
    home, root = folder / "home", folder / "skills"
    for number in range(SKILLS):
        write(root, number, 0)
    damaged = 0
    began = time.perf_counter()
    with Wire(home, root) as wire:
        wire.initialize()
        for turn in range(1, rounds + 1):
            time.sleep(chance.uniform(0, 1))
            for number in chance.sample(range(SKILLS), 30):
                skill = write(root, number, turn)
                if chance.random() < 0.2:
                    shutil.rmtree(skill)
            time.sleep(chance.uniform(0, 1))
            kill_owners(home)
            damaged += integrity(home) != "ok"
            if turn % 20 == 0:
                print(f"{turn} rounds, {damaged} damaged", file=sys.stderr, flush=True)
        left = converge(wire, root)
    kept, bodies = remembered(home)
    lost = left ^ kept
    set_aside = list(home.glob("index.db.damaged-*"))
    print(
        f"{rounds} kills of the owner at random moments in {time.perf_counter() - began:.0f} s: "
        f"{damaged} times the integrity check failed, {len(set_aside)} times the index was set "
        f"aside; in the end {len(lost)} of {len(left)} skills differ from the folders, "
        f"{len(bodies ^ {body_of(Path(path)) for path in left})} texts.",
        flush=True,
    )
    return bool(damaged or set_aside or lost or bodies ^ {body_of(Path(path)) for path in left})


def write(root: Path, number: int, turn: int) -> Path:
    """Writes a skill; its folder."""
    skill = root / f"notes-{number:05}"
    skill.mkdir(parents=True, exist_ok=True)
    text = f"Take note number {number} of meeting {turn}, then file it under {number * 7919}.\n"
    (skill / "SKILL.md").write_text(
        f"---\nname: {skill.name}\ndescription: Notes {number}.\n---\n{text}", encoding="utf-8"
    )
    return skill


def body_of(path: Path) -> str:
    return path.read_text(encoding="utf-8").rpartition("---\n")[2].strip()


def owners_of(home: Path) -> list[psutil.Process]:
    """The processes that own the index of this home, or are about to."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if "skillrouter_mcp.sharing.owner" in command and str(home) in command:
                found.append(process)
    return found


def kill_owners(home: Path) -> None:
    for owner in owners_of(home):
        with suppress(ProcessLookupError):
            os.kill(owner.pid, signal.SIGKILL)


def integrity(home: Path) -> str:
    """What SQLite's check says."""
    connection = _connection(home)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchall()[0][0])
    finally:
        connection.close()


def remembered(home: Path) -> tuple[set[str], set[str]]:
    """Paths and bodies of the skills in the index."""
    connection = _connection(home)
    try:
        paths = {row[0] for row in connection.execute("SELECT path FROM skill")}
        return paths, {row[0].strip() for row in connection.execute("SELECT body FROM document")}
    finally:
        connection.close()


def _connection(home: Path) -> apsw.Connection:
    connection = apsw.Connection(str(home / "index.db"))
    connection.set_busy_timeout(60_000)
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    return connection


def converge(wire: Wire, root: Path) -> set[str]:
    """Waits until as many skills can be found as the folders hold, all embedded; their paths."""
    left = {str(path) for path in root.glob("*/SKILL.md")}
    deadline = time.monotonic() + PATIENCE
    while wire.find("take note number 7")["index"] != {"skills": len(left), "pending": 0}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return left


def lose_nothing(folder: Path) -> bool:
    """Kills the owner under requests of many servers; whether anything was lost or doubled."""
    home, root = folder / "home", folder / "skills"
    for number in range(SKILLS):
        write(root, number, 0)
    answered = threading.Semaphore(0)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(home, root)) for _ in range(SERVERS)]
        wires[0].initialize()
        converge(wires[0], root)
        for wire in wires[1:]:
            wire.initialize()
        before = [wire.heard.total() for wire in wires]
        with ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask, wire, REQUESTS // SERVERS, answered) for wire in wires]
            for _ in range(KILLS):
                for _ in range(REQUESTS // (KILLS + 1)):
                    answered.acquire()
                kill_owners(home)
            outcomes = [outcome for asked in asking for outcome in asked.result()]
    heard = [times for wire in wires for times in wire.heard.values()]
    lost = sum(not good for good, _ in outcomes)
    doubled = sum(times > 1 for times in heard)
    seconds = [spent for _, spent in outcomes]
    surplus = sum(wire.heard.total() for wire in wires) - sum(before) - len(outcomes)
    print(
        f"{len(outcomes):,} requests over {SERVERS} servers with {KILLS} kills of the owner: "
        f"{lost} lost or wrong, {doubled} answered twice, {surplus} answers too many; median "
        f"{1000 * statistics.median(seconds):.0f} ms, longest {max(seconds):.2f} s.",
        flush=True,
    )
    return bool(lost or doubled or surplus)


def ask(wire: Wire, count: int, answered: threading.Semaphore) -> Sequence[tuple[bool, float]]:
    """Whether each request was answered rightly, and after how many seconds."""
    outcomes = []
    for turn in range(count):
        number = turn * 7 % SKILLS
        began = time.perf_counter()
        try:
            found = wire.find(f"take note number {number} and file it under {number * 7919}")
            good = found["matches"][0]["name"] == f"notes-{number:05}"
        except (RuntimeError, IndexError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            good = False
        outcomes.append((good, time.perf_counter() - began))
        answered.release()
    return outcomes


if __name__ == "__main__":
    main()
