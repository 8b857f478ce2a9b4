"""Measures what requests notice while a server goes over to another profile.

    python -m tests.benchmarks.switching --data FOLDER --home HOME

FOLDER holds a pool of skills and labelled requests, HOME its index, as for `make bench`; a copy of
it is used. The profile that follows has a tiny encoder of random weights, so that embedding all
skills again takes minutes instead of half an hour; it keeps the processors as busy meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.__main__ import DATA, HOME, WARMING
from tests.benchmarks.machine import Others, describe, load
from tests.gguf.tiny_bert import TinyBert

from skillrouter_gguf.convert import convert
from skillrouter_gguf.model_file import sha256_of
from skillrouter_gguf.pins import Pin, write_pin
from skillrouter_mcp.evaluation.records import pool_folder
from skillrouter_mcp.settings import load_settings
from skillrouter_mcp.sharing.remote import RemoteRouter

USUAL = 1_000  # requests before the switch, and after it
PATIENCE = 3600.0
_ENTRY = """
[models.tiny]
kind = "encoder"
path = "{path}"
dimensions = 64
context = 48
pooling = "mean"

[profiles.tiny]
encoder = "tiny"
"""


def main() -> None:
    usage, _, text = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.switching",
        description=usage,
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of pool and requests")
    parser.add_argument("--home", type=Path, default=HOME, help="where the index is kept")
    arguments = parser.parse_args()
    pool = arguments.data / "skills.jsonl.gz"
    requests = [json.loads(line)["query"] for line in (arguments.data / "dev.jsonl").open("rb")]
    skills = pool_folder(pool, arguments.home / "eval")
    before, others = load(), Others()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        shutil.copytree(skills.parent, home, ignore=shutil.ignore_patterns("skills", "owner.*"))
        add_profile(home, Path(folder))
        usual, during, after, seconds = measure(home, skills, requests)
    print(f"{describe()}\nLoad {before} before and {load()} after.")
    print(f"Other processes took {others.share():.0%} of the processors.\n")
    p95, own = percentile(usual, 95), percentile(after, 95)
    slow = sum(each > 2 * p95 + own for each in during)
    print(f"Going over took {seconds:.0f} s; {len(during)} requests meanwhile, all answered.\n")
    print("| requests | p50 | p95 | slowest |")
    print("|---|---|---|---|")
    for name, times in (("usual", usual), ("meanwhile", during), ("of the new profile", after)):
        row = statistics.median(times), percentile(times, 95), max(times)
        print(f"| {name} | " + " | ".join(f"{1000 * each:.1f} ms" for each in row) + " |")
    print(f"\n{slow} of {len(during)} took longer than twice the usual p95 plus the new one's.")


def add_profile(home: Path, folder: Path) -> None:
    """Makes the tiny model and writes it down as one of the user's own."""
    path = folder / "tiny.gguf"
    convert(TinyBert(folder / "checkpoint").write(), path, "F32")
    (home / "models").mkdir(exist_ok=True)
    pin = Pin(path=path, size=path.stat().st_size, sha256=sha256_of(path))
    write_pin(home / "models", "tiny", pin)
    (home / "models.toml").write_text(_ENTRY.format(path=path), encoding="utf-8")


def measure(
    home: Path, skills: Path, requests: Sequence[str]
) -> tuple[list[float], list[float], list[float], float]:
    """Seconds of each request before, while and after the profile changes, and of the change."""
    os.environ["SKILLROUTER_LINGER"] = "0"
    asked = 0

    def ask(number: int) -> float:
        nonlocal asked
        asked += 1  # no request is like one before, whose answer might be kept
        query = f"{requests[number % len(requests)]} {asked}"
        began = time.perf_counter()
        answer = router.rank(query, 5)
        assert answer.matches
        return time.perf_counter() - began

    with RemoteRouter(load_settings(home=home, roots=(skills,))) as router:
        router.bring_in_step()
        for number in range(WARMING):
            ask(number)
        usual = [ask(number) for number in range(USUAL)]
        began = time.perf_counter()
        router.use("tiny")
        during: list[float] = []
        while router.status()["profile"] != "tiny":
            during.append(ask(len(during)))
            if time.perf_counter() - began > PATIENCE:
                raise TimeoutError(router.status())
        seconds = time.perf_counter() - began
        for number in range(WARMING):
            ask(number)
        after = [ask(number) for number in range(USUAL)]
    return usual, during, after, seconds


def percentile(seconds: Sequence[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
