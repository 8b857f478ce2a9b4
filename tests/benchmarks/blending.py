"""Fits how what a reranker says adds to the sum of a candidate's signals.

Of every request it reads the first stage's best candidates, however long that takes. The evidence
of both stages makes a conditional logit, like the signals themselves; its figures come from the
same cross-validation, in which recall counts candidates that were read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tests.benchmarks import calibration
from tests.benchmarks.cases import Case, Floats, open_router
from tests.benchmarks.logit import fit, report

from skillrouter_mcp.routing.calibration import Calibration, Thresholds
from skillrouter_mcp.routing.fusion import Blend
from skillrouter_mcp.routing.models import profile_of
from skillrouter_mcp.routing.rerank import Reading, SecondStage, blended
from skillrouter_mcp.settings import Settings

HOUR = 3600.0
FIRST, RERANKER = 0, 1
MOST = 100.0  # the reranker's weight, where the first stage tells nothing that it does not


def fit_blend(
    cases: Sequence[Case],
    outcomes: Sequence[calibration.Outcome],
    weights: Floats,
    settings: Settings,
) -> dict[str, Any]:
    """The blend, as the router keeps it.

    Args:
        outcomes: of the first stage, one for each case.
    """
    readings = [reading for pool in pools(cases) for reading in read(pool, weights, settings)]
    ordered = [case for pool in pools(cases) for case in pool]
    both = [
        evidence(case, reading, weights)
        for case, reading in zip(ordered, readings, strict=True)
        if case.request.relevant and reading.read
    ]
    for title, columns in (("first stage", [FIRST]), ("reranker", [RERANKER])):
        report(title, both, columns)
    figures = report("both stages", both, [FIRST, RERANKER])
    first, reranker = fit(both, [FIRST, RERANKER])
    said = np.concatenate([case.signals[:, RERANKER] for case in both])
    blend = Blend(
        weight=round(min(float(reranker) / max(float(first), 1e-9), MOST), 4),
        usual=round(float(said.mean()), 3),
        calibration=Calibration(
            bias=0, sum=0, lead=0, lag=0, meaning=0, log_size=0, smallest_size=1
        ),
        verdict=Thresholds(match=0, weak=0),
    )
    by_case = {id(case): outcome for case, outcome in zip(cases, outcomes, strict=True)}
    after = [
        second_outcome(by_case[id(case)], reading, blend)
        for case, reading in zip(ordered, readings, strict=True)
    ]
    calibration.report(after)
    print(figures, blend.weight, blend.usual)
    return blend.model_dump() | calibration.fitted(after)


def pools(cases: Sequence[Case]) -> list[list[Case]]:
    """The cases of each library."""
    return [
        [case for case in cases if case.pool == pool]
        for pool in dict.fromkeys(case.pool for case in cases)
    ]


def read(cases: Sequence[Case], weights: Floats, settings: Settings) -> list[Reading]:
    """What the reranker says of the best candidates of each case in one library."""
    candidates = profile_of(settings).candidates
    with open_router(cases[0].pool, settings) as router:
        second = SecondStage(router.reranker, router.library.documents, candidates, HOUR)
        readings = []
        for case in cases:
            best = case.document_ids[np.argsort(-(case.signals @ weights))].tolist()
            readings.append(second.read(case.request.query, best, time.monotonic()))
            if readings[-1].trouble:
                print(f"{case.request.id}: {readings[-1].trouble}")
    return readings


def evidence(case: Case, reading: Reading, weights: Floats) -> Case:
    """The candidates that were read, with the evidence of each stage for signals."""
    sums = case.signals @ weights
    order = np.argsort(-sums)[: len(reading.log_odds)]
    seen = ~np.isnan(reading.log_odds)
    rows = order[seen]
    signals = np.stack([sums[rows], reading.log_odds[seen] * reading.readable], axis=1)
    return replace(
        case,
        document_ids=case.document_ids[rows],
        signals=signals.astype(np.float64),
        right=case.right[rows],
    )


def second_outcome(
    outcome: calibration.Outcome, reading: Reading, blend: Blend
) -> calibration.Outcome:
    """What comes of a request after both stages."""
    mixed = blended(outcome.sums.astype(np.float32), reading, blend)
    return replace(outcome, sums=mixed.sums.astype(np.float64), right=outcome.right[mixed.order])
