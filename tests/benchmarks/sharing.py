"""What it costs to share one index: see `faults`, which runs this after its kills."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
from tests.benchmarks.wire import Wire

from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import load_settings
from skillrouter_mcp.sharing.remote import RemoteRouter

SERVERS = 8
TAKE_OVERS = 20
CHANGES = 60
REQUESTS = 300
PATIENCE = 120.0

SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
TASKS = ("rotate the logs of", "write a report about", "review the code of", "deploy", "translate")


def measure(folder: Path, skills: int) -> None:
    """Prints a table of the figures."""
    home, root = folder / "home", folder / "skills"
    for number in range(skills):
        write(root, number)
    embedded = index(home, root)
    print(f"\n{skills:,} skills were read and embedded in {embedded:.0f} s.\n")
    print("| what | measured | at least | better |")
    print("|---|---|---|---|", flush=True)
    direct, forwarded, bare = map(statistics.median, forwarding(home, root, skills))
    print(
        f"| a forwarded request against one to the owner itself (medians {1000 * direct:.2f} and "
        f"{1000 * forwarded:.2f} ms; one that searches nothing is forwarded in {1000 * bare:.2f} "
        f"ms) | + {1000 * (forwarded - direct):.2f} ms | + 3 ms | + 1 ms |",
        flush=True,
    )
    found = changes(home, root, skills)
    print(
        f"| change to findable, p50 / p95 of {CHANGES}, {skills:,} skills | "
        f"{percentile(found, 50):.2f} / {percentile(found, 95):.2f} s | p95 2 s | p95 0.7 s |",
        flush=True,
    )
    taken = take_overs(home, root)
    print(
        f"| SIGKILL of the owner until the next answer, median / longest of {TAKE_OVERS} | "
        f"{statistics.median(taken):.2f} / {max(taken):.2f} s | 3 s | 1 s |",
        flush=True,
    )
    for kind in ("pss", "rss"):
        one, all_of_them = (memory(home, root, servers, kind) for servers in (1, SERVERS))
        most = 1.6 * one + (SERVERS - 1) * 70e6
        print(
            f"| {kind.upper()} of {SERVERS} servers with their owner (of one with its owner: "
            f"{one / 1e6:.0f} MB) | {all_of_them / 1e6:.0f} MB | {most / 1e6:.0f} MB | |",
            flush=True,
        )


def percentile(seconds: Sequence[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def word(number: int) -> str:
    """A word of its own for each number."""
    letters = []
    for _ in range(4):
        number, rest = divmod(number, len(SYLLABLES))
        letters.append(SYLLABLES[rest])
    return "".join(letters)


def write(root: Path, number: int) -> Path:
    """Writes a skill with a word that no other has; its folder."""
    skill = root / f"skill-{number:06}"
    skill.mkdir(parents=True, exist_ok=True)
    task = f"{TASKS[number % len(TASKS)]} {word(number)}"
    (skill / "SKILL.md").write_text(
        f"---\nname: {skill.name}\ndescription: How to {task}.\n---\nFirst {task}, then stop.\n",
        encoding="utf-8",
    )
    return skill


def index(home: Path, root: Path) -> float:
    """Seconds to read and embed all skills."""
    began = time.perf_counter()
    with Router.open(load_settings(home=home, roots=(root,)), keep=False) as router:
        router.bring_in_step()
    return time.perf_counter() - began


def forwarding(home: Path, root: Path, skills: int) -> Sequence[Sequence[float]]:
    """Seconds of requests to a router of this process, and to the owner's, in turns; and of such
    to the owner's that search nothing."""
    settings = load_settings(home=home, roots=(root,))
    direct: list[float] = []
    forwarded: list[float] = []
    bare: list[float] = []
    with Router.open(settings, keep=False) as router, Wire(home, root) as wire:
        wire.initialize()
        wire.find("warm up")
        with RemoteRouter(settings) as remote:
            for turn in range(-20, REQUESTS):
                query = f"how do I write a report about {word(turn * 31 % skills)}"
                times = [_seconds(finder.find, query) for finder in (router, remote)]
                times.append(_seconds(partial(remote.skill_at, "nowhere"), "nothing"))
                if turn >= 0:  # both are warm
                    for kind, seconds in zip((direct, forwarded, bare), times, strict=True):
                        kind.append(seconds)
    return direct, forwarded, bare


def _seconds(run: Callable[[str], object], query: str) -> float:
    time.sleep(0.05)  # after a request, llama.cpp's threads go on for a moment waiting for more
    began = time.perf_counter()
    run(query)
    return time.perf_counter() - began


def changes(home: Path, root: Path, skills: int) -> Sequence[float]:
    """Seconds from a new skill's last byte until `find_skill` gives it."""
    seconds = []
    with Wire(home, root) as wire:
        wire.initialize()
        _until(lambda: wire.find("warm up")["index"]["pending"] == 0)
        for number in range(skills, skills + CHANGES):
            time.sleep(0.2)
            name = write(root, number).name
            began = time.perf_counter()
            query = f"{TASKS[number % len(TASKS)]} {word(number)}"
            _until(lambda query=query, name=name: name in str(wire.find(query)["matches"]))  # type: ignore[misc]
            seconds.append(time.perf_counter() - began)
    return seconds


def take_overs(home: Path, root: Path) -> Sequence[float]:
    """Seconds from the end of an owner until its server's next answer."""
    seconds = []
    with Wire(home, root) as wire:
        wire.initialize()
        wire.find("warm up")
        for _ in range(TAKE_OVERS):
            time.sleep(1)
            (owner,) = _owners(wire)
            os.kill(owner.pid, signal.SIGKILL)
            began = time.perf_counter()
            wire.find("write a report")
            seconds.append(time.perf_counter() - began)
    return seconds


def memory(home: Path, root: Path, servers: int, kind: str) -> float:
    """Bytes that so many servers and their owner hold after some requests."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(home, root)) for _ in range(servers)]
        for wire in wires:
            wire.initialize()
        for _ in range(20):
            for wire in wires:
                wire.find("write a report")
        processes = [psutil.Process(wire.pid) for wire in wires]
        processes += [owner for wire in wires for owner in _owners(wire)]
        return float(sum(getattr(process.memory_full_info(), kind) for process in processes))


def _owners(wire: Wire) -> list[psutil.Process]:
    return psutil.Process(wire.pid).children()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)
