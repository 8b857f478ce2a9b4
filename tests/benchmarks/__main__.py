"""Measures the product against its targets and prints the table that README quotes.

    make bench ARGS='--data FOLDER --home HOME --runs 7'

FOLDER holds a pool of skills, `skills.jsonl.gz`, and labelled requests, `dev.jsonl`. The pool's
index is kept between runs in HOME; making it the first time embeds every skill of the pool. Each
figure but the scores of `eval`, which are the same every time, is the median of that many runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import indexing_throughput, stages
from tests.benchmarks.machine import Others, describe, load
from tests.benchmarks.wire import COMMAND, Wire

from skillrouter_mcp.evaluation.records import pool_folder, read_requests

DATA = Path(__file__).parents[3] / "shared" / "bench"
HOME = Path.home() / ".cache" / "skillrouter-bench"
GROUPS = {"en/short": "en short", "en/task": "en task", "zh/short": "zh"}
WARMING = 20  # requests before latencies count


def main() -> None:
    usage, _, text = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks",
        description=usage,
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder of pool and requests")
    parser.add_argument("--home", type=Path, default=HOME, help="where the index is kept")
    parser.add_argument("--runs", type=int, default=7, help="of all that is timed")
    arguments = parser.parse_args()
    queries, pool = arguments.data / "dev.jsonl", arguments.data / "skills.jsonl.gz"
    if not queries.exists() or not pool.exists():
        sys.exit(f"{arguments.data} holds no benchmark; name its folder with --data")
    if arguments.runs < 1:
        sys.exit("--runs must be at least 1")

    before, others = load(), Others()
    report = evaluate(queries, pool, arguments.home)
    index = pool_folder(pool, arguments.home / "eval").parent
    requests = [json.loads(line)["query"] for line in queries.open(encoding="utf-8")]
    runs = [served(index, requests) for _ in range(arguments.runs)]
    reindexed = reindex(index, arguments.runs)
    throughput = indexing_throughput.measure(pool)
    worth = stages.measure(read_requests(queries), pool_folder(pool, arguments.home / "eval"))

    print(f"{describe()}.")
    print(
        f"Load over 1 / 5 / 15 minutes {before} before and {load()} after; other processes took "
        f"{others.share():.0%} of the processors meanwhile."
    )
    print(
        f"{report['index']['skills']:,} skills, {len(requests)} requests; medians of "
        f"{arguments.runs} runs, each with a server of its own that is asked all requests. "
        f"Indexing and the bare loop embedded the same {throughput['texts']} texts of "
        f"{throughput['skills']} skills in this run, batch by batch in turns, while others took "
        f"{throughput['others']:.0%} of the processors; the median of {len(throughput['ratios'])} "
        "ratios.\n"
    )
    print("| what | measured | at least | better |")
    print("|---|---|---|---|")
    for row in rows(report, runs, reindexed, throughput["ratio"]):
        print(f"| {row.what} | {row.measured} | {row.least} | {row.better} |")
    print(f"\nThe same requests in one process, each way in turn:\n\n{stages.table(worth)}")


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, and the two marks it is held against."""

    what: str
    measured: str
    least: str
    better: str


@dataclass(frozen=True)
class Run:
    """One server from its start on; seconds, and bytes of memory that it held in the end."""

    to_initialize: float
    to_answer: float
    latencies: Sequence[float]
    memory: int

    def latency(self, percent: int) -> float:
        """A percentile over all requests."""
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def rows(
    report: dict[str, Any], runs: Sequence[Run], reindexed: float, ratio: float
) -> Iterator[Row]:
    """The table's lines."""
    skills = f"{report['index']['skills']:,} skills"
    groups = " / ".join(GROUPS.values())

    def median(figure: Callable[[Run], float]) -> float:
        return statistics.median(figure(run) for run in runs)

    def percent(measure: str) -> str:
        shares = [report["groups"][group][measure] for group in GROUPS]
        return " / ".join(f"{100 * share:.1f}" for share in shares) + " %"

    p50 = 1000 * median(lambda run: run.latency(50))
    p95 = 1000 * median(lambda run: run.latency(95))
    yield Row(
        f"`eval` on dev.jsonl, Hit@1: {groups}",
        percent("hit@1"),
        "72 / 74 / 43 %",
        "76 / 80 / 50 %",
    )
    yield Row("the same, Recall@10", percent("recall@10"), "92 / 92 / 66 %", "95 / 95 / 75 %")
    yield Row(
        f"`find_skill` over stdio, {skills}, warm, p50 / p95",
        f"{p50:.1f} / {p95:.1f} ms",
        "20 / 40 ms",
        "8 / 16 ms",
    )
    yield Row(
        "spawn to `initialize` answered",
        f"{median(lambda run: run.to_initialize):.2f} s",
        "1.0 s",
        "0.7 s",
    )
    yield Row(
        "spawn to first answer, index in place",
        f"{median(lambda run: run.to_answer):.2f} s",
        "2.5 s",
        "1.5 s",
    )
    yield Row(
        "indexing throughput against a bare loop of llama.cpp calls",
        f"{ratio:.2f} ×",
        "0.95 ×",
        "1.2 ×",
    )
    yield Row(f"re-index of {skills}, unchanged", f"{reindexed:.2f} s", "2 s", "0.5 s")
    yield Row(
        f"memory of a server with {skills}, its owner's included",
        f"{median(lambda run: run.memory) / 1e6:.0f} MB",
        "400 MB",
        "250 MB",
    )


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


def served(index: Path, requests: Sequence[str]) -> Run:
    """Start-up, latency and memory of a server over stdio."""
    with Wire(index, index / "skills") as wire:
        wire.initialize()
        to_initialize = time.perf_counter() - wire.spawned
        wire.find(requests[0])
        to_answer = time.perf_counter() - wire.spawned
        for query in requests[1 : WARMING + 1]:
            wire.find(f"please {query}")  # an answer to the very same request would be kept
        latencies = [_seconds(partial(wire.find, query)) for query in requests[1:]]
        memory = wire.memory()
    return Run(to_initialize, to_answer, latencies, memory)


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
