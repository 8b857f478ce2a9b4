"""Measures the product against its targets and prints the table that README quotes; `make bench`.

Takes a folder with `skills.jsonl.gz` and `dev.jsonl` (see `--data`). The index is kept between
runs in `--home`; making it the first time embeds every skill of the pool.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from tests.benchmarks.encoder_throughput import compare
from tests.benchmarks.wire import COMMAND, Wire

from skillrouter_mcp.evaluation.records import pool_folder

DATA = Path(__file__).parents[3] / "shared" / "bench"
HOME = Path.home() / ".cache" / "skillrouter-bench"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of pool and requests")
    parser.add_argument("--home", type=Path, default=HOME, help="where the index is kept")
    parser.add_argument("--runs", type=int, default=7, help="repetitions of what is timed")
    arguments = parser.parse_args()
    queries, pool = arguments.data / "dev.jsonl", arguments.data / "skills.jsonl.gz"
    if not queries.exists() or not pool.exists():
        sys.exit(f"{arguments.data} holds no benchmark; name its folder with --data")

    print(machine())
    report = evaluate(queries, pool, arguments.home)
    index = pool_folder(pool, arguments.home / "eval").parent
    requests = [json.loads(line)["query"] for line in queries.open(encoding="utf-8")]
    rows = [
        *quality(report),
        *served(index, requests, arguments.runs),
        row("re-index of unchanged skills", reindex(index, arguments.runs), "s"),
        row("indexing against a bare loop", compare(pool, arguments.runs), "×"),
    ]
    print(
        f"{report['index']['skills']} skills, {report['n']} requests, medians of {arguments.runs}"
    )
    for line in rows:
        print(line)


def machine() -> str:
    """What the figures were measured on, and how busy it was."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}, "
        f"load {load:.1f} at the start"
    )


def row(what: str, value: float, unit: str) -> str:
    return f"| {what} | {value:.3g} {unit} |"


def evaluate(queries: Path, pool: Path, home: Path) -> dict[str, Any]:
    """What `skillrouter-mcp eval` reports."""
    done = subprocess.run(
        [COMMAND, "eval", str(queries), "--skills", str(pool), "--json"],
        env={**os.environ, "SKILLROUTER_HOME": str(home)},
        stdout=subprocess.PIPE,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def quality(report: dict[str, Any]) -> list[str]:
    lines = []
    for measure in ("hit@1", "mrr@10", "recall@10", "recall@50"):
        for group, figures in report["groups"].items():
            lines.append(row(f"{measure}, {group}", 100 * figures[measure], "%"))
    return lines


def served(index: Path, requests: list[str], runs: int) -> list[str]:
    """Start-up, latency and memory of a server over stdio."""
    to_initialize, to_answer, latencies, memory = [], [], [], 0.0
    for _ in range(runs):
        with Wire(index, index / "skills") as wire:
            wire.initialize()
            to_initialize.append(time.perf_counter() - wire.spawned)
            wire.find(requests[0])
            to_answer.append(time.perf_counter() - wire.spawned)
    with Wire(index, index / "skills") as wire:
        wire.initialize()
        for query in requests[:20]:
            wire.find(query)
        for query in requests:
            latencies.append(_seconds(partial(wire.find, query)))
        memory = psutil.Process(wire.pid).memory_info().rss / 1e6
    cuts = statistics.quantiles(latencies, n=100)
    return [
        row("spawn to initialize answered", statistics.median(to_initialize), "s"),
        row("spawn to first answer, index in place", statistics.median(to_answer), "s"),
        row("find_skill over stdio, warm, p50", 1000 * cuts[49], "ms"),
        row("find_skill over stdio, warm, p95", 1000 * cuts[94], "ms"),
        row("memory of the server", memory, "MB"),
    ]


def reindex(index: Path, runs: int) -> float:
    """Seconds of `skillrouter-mcp index` where nothing changed, median."""
    command = [COMMAND, "index", "--root", str(index / "skills")]
    environment = {**os.environ, "SKILLROUTER_HOME": str(index)}

    def once() -> None:
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)

    once()
    return statistics.median(_seconds(once) for _ in range(runs))


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
