"""What words, vectors and both together are worth, and what they cost.

    python -m tests.benchmarks.stages --data FOLDER --home HOME

Over the whole pool, in one process, with the weights that the package ships: words alone (BM25 over
names, descriptions and bodies), vectors alone (label and best window), and both fused. Every
request is asked in every way before the next one is. `make bench` prints it too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.benchmarks.cases import open_router
from tests.benchmarks.machine import describe

from skillrouter_mcp.evaluation.records import Request, pool_folder, read_requests
from skillrouter_mcp.index.words import TEXT
from skillrouter_mcp.routing.fusion import load_weights
from skillrouter_mcp.routing.ranking import Ranker, request_for
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import load_settings

GROUPS = ("en/short", "en/task", "zh/short")
_LIMIT = 50
_WARMING = 20
_CANDIDATES = 50  # that the vectors alone put first by their labels, to be compared by windows too

Way = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class Stage:
    """What came of asking all requests in one way.

    Attributes:
        milliseconds: of each request.
        ranks: by kind of request: where the first right skill stood, from 0; infinite if nowhere.
    """

    milliseconds: list[float]
    ranks: dict[str, list[float]]

    def hit(self, group: str) -> float:
        """Hit@1 in percent."""
        return 100 * statistics.mean(rank < 1 for rank in self.ranks[group])

    def reciprocal(self, group: str) -> float:
        """MRR@10 in percent."""
        ranks = self.ranks[group]
        return 100 * statistics.mean(1 / (1 + rank) if rank < 10 else 0 for rank in ranks)

    def percentile(self, percent: int) -> float:
        """Of the latency, in milliseconds."""
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


def ways(router: Router) -> dict[str, Way]:
    """From a request to the ids of the documents it finds, best first."""
    encoder, library = router.encoder(), router.library
    snapshot, words, weights = library.snapshot, library.words, load_weights()
    first = Ranker(weights)

    def by_words(query: str) -> list[int]:
        clauses = request_for(encoder.model, query, words).clauses
        return list(words.search(TEXT, clauses, _LIMIT, snapshot.visible))

    def by_vectors(query: str) -> list[int]:
        gist = request_for(encoder.model, query, words).gist
        if not gist:
            return []
        vector, mirror = encoder.encode_queries([gist])[0], snapshot.mirror
        rows = mirror.nearest(vector, snapshot.visible, _CANDIDATES)
        near = mirror.label_cosines(vector, rows) + mirror.window_cosines(vector, rows)
        found: list[int] = mirror.document_ids[rows[np.argsort(-near)]].tolist()
        return found

    def fused(query: str) -> list[int]:
        ranking = first.rank(query, snapshot, words, encoder, _LIMIT)
        return [ranked.document_id for ranked in ranking.ranked]

    return {
        "words (BM25)": by_words,
        "vectors": by_vectors,
        "fused": fused,
    }


def measure(requests: Sequence[Request], pool: Path) -> dict[str, Stage]:
    """All requests, asked in every way."""
    stages: dict[str, Stage] = defaultdict(lambda: Stage([], defaultdict(list)))
    with open_router(pool, load_settings()) as router:
        router.bring_in_step()
        known = ways(router)
        for request in requests[:_WARMING]:
            for way in known.values():
                way(request.query)
        for request in requests:
            for name, way in known.items():
                began = time.perf_counter()
                found = way(request.query)
                stages[name].milliseconds.append(1000 * (time.perf_counter() - began))
                places = router.library.locate(found)
                ids = [Path(places[n].path).parent.name for n in found]
                hits = (n for n, each in enumerate(ids) if each in request.relevant)
                rank = float(next(hits, float("inf")))
                stages[name].ranks[f"{request.lang}/{request.kind}"].append(rank)
    return dict(stages)


def table(stages: dict[str, Stage]) -> str:
    """A line for each way, in Markdown."""
    lines = [
        f"| | Hit@1: {' / '.join(GROUPS)} | MRR@10 | p50 / p95 |",
        "|---|---|---|---|",
    ]
    for name, stage in stages.items():
        hits = " / ".join(f"{stage.hit(group):.1f}" for group in GROUPS)
        reciprocal = " / ".join(f"{stage.reciprocal(group):.1f}" for group in GROUPS)
        latency = f"{stage.percentile(50):.1f} / {stage.percentile(95):.1f} ms"
        lines.append(f"| {name} | {hits} | {reciprocal} | {latency} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    requests = read_requests(arguments.data / "dev.jsonl")
    pool = pool_folder(arguments.data / "skills.jsonl.gz", arguments.home / "eval")
    stages = measure(requests, pool)
    print(f"{describe()}.\n\n{table(stages)}")


if __name__ == "__main__":
    main()
