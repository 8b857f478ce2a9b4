"""What models are worth for which nothing was fitted, as far as that shows without them.

    python -m tests.benchmarks.unfitted --data FOLDER --home HOME

Folders are those of `tests.benchmarks.fit_weights`. Two tables of Hit@1 in percent over all
requests. First, the embedded model's cosines as they are and taken relative to the request's other
candidates, as an encoder's are whose scale is not known; and how many of the requests that a
library of 300 skills can answer, and of those that it can't, are told by the verdict. Second,
rerankers that are made up: log odds at random, higher by so many standard deviations for what is
right; ordering the first stage's best 20 alone, and blended by several weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.benchmarks.cases import Case, gather_cases, small_pool

from skillrouter_mcp.evaluation.records import pool_folder, read_requests
from skillrouter_mcp.index.mirror import Floats, Integers
from skillrouter_mcp.routing import rerank
from skillrouter_mcp.routing.fusion import Weights, load_weights
from skillrouter_mcp.routing.rerank import Reading, blended
from skillrouter_mcp.routing.signals import LEXICAL, Candidates
from skillrouter_mcp.settings import load_settings

GAPS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
SHARES = (0.25, 0.5, 0.75, 1.0, 1.5)
READ, REPEATS = 20, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    arguments = parser.parse_args()
    requests = read_requests(arguments.data / "dev.jsonl")
    pools = (arguments.data / "skills.jsonl.gz", small_pool(arguments.data, arguments.home))
    cases, few = (
        gather_cases(requests, pool_folder(pool, arguments.home / "eval"), load_settings())
        for pool in pools
    )
    weights = load_weights()
    for title, asked in (
        ("as they are", weights),
        ("relative", weights.model_copy(update={"relative": True})),
    ):
        told = [verdict(case, asked) != "none" for case in few]
        answerable = np.array([case.answerable for case in few])
        right = [bool(case.right[order(case, asked)[:1]].any()) for case in cases]
        print(
            f"cosines {title}: Hit@1 {_percent(right)}, answerable told "
            f"{_percent(np.array(told)[answerable])}, unanswerable told "
            f"{_percent(~np.array(told)[~answerable])}"
        )
    for gap in GAPS:
        told_by = {share: _percent(simulate(cases, weights, gap, share)) for share in SHARES}
        print(
            f"reranker {gap} apart: alone {_percent(simulate(cases, weights, gap, 1e6))}, ", told_by
        )


def order(case: Case, weights: Weights) -> Integers:
    return np.argsort(-parts(case, weights).sum(axis=1))


def parts(case: Case, weights: Weights) -> Floats:
    embedded = np.ones(len(case.right), np.bool_)
    signals = case.signals.astype(np.float32)
    return weights.parts(Candidates(case.document_ids, signals, embedded, case.readable))


def verdict(case: Case, weights: Weights) -> str:
    """As `Ranker.rank` gives it."""
    if not len(case.right):
        return "none"
    found = parts(case, weights)[order(case, weights)]
    scores = weights.calibration.scores(
        found.sum(axis=1),
        float(found[:1, len(LEXICAL) :].sum()),
        weights.floor * case.readable,
        case.size,
    )
    return "none" if scores[0] < weights.verdict.weak else "some"


def simulate(cases: Sequence[Case], weights: Weights, gap: float, share: float) -> list[bool]:
    """Whether the best is right, for each request several times over."""
    source = np.random.default_rng(0)
    rerank.UNFITTED_WEIGHT = share
    right = []
    for case in cases:
        rows = order(case, weights)[:READ]
        sums = parts(case, weights).sum(axis=1)[rows]
        for _ in range(REPEATS):
            log_odds = source.normal(gap * case.right[rows], 1).astype(np.float32)
            best = blended(sums, Reading(log_odds), None).order[:1]
            right.append(bool(case.right[rows][best].any()))
    return right


def _percent(values: Sequence[bool] | NDArray[np.bool_]) -> float:
    return round(100 * float(np.mean(values)), 1)


if __name__ == "__main__":
    main()
