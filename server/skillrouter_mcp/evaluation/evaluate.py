"""Scores a router on labelled requests over a pool of skills."""

from __future__ import annotations

import hashlib
import logging
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrouter_mcp.evaluation.metrics import mean, measure
from skillrouter_mcp.evaluation.records import RecordError, Request, pool_folder, read_requests
from skillrouter_mcp.routing.answer import Match
from skillrouter_mcp.routing.router import IndexProgress, Router
from skillrouter_mcp.settings import Settings

_LOG = logging.getLogger(__name__)
_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        report: the figures, as `eval --json` prints them.
        run: the 50 best skill ids of each request, by its id.
    """

    report: dict[str, Any]
    run: dict[str, list[str]]


def evaluate_router(
    queries: Path, pool: Path, settings: Settings, progress: IndexProgress | None = None
) -> Evaluation:
    """Indexes the pool, where that was not done before, and asks each request once.

    Requests that no skill is right for are asked, and left out of the measures. Skills that cannot
    be loaded are left out of the pool, with a warning for each.

    Raises:
        RecordError: a file cannot be used, or no skill of the pool.
    """
    requests = read_requests(queries)
    cache = settings.home / "eval"
    folder = pool_folder(pool, cache)
    home = folder.parent
    if folder == pool:
        home = cache / hashlib.sha256(str(pool.resolve()).encode()).hexdigest()[:16]
    settings = settings.model_copy(update={"roots": (folder.absolute(),), "project": None})

    def skill_id(match: Match) -> str:
        return match.name if folder == pool else Path(match.path).parent.name

    with Router.open(settings, keep=False, index=home) as router:
        began = time.perf_counter()
        router.bring_in_step(progress)
        indexing = time.perf_counter() - began
        for problem in router.library.problems():
            _LOG.warning("left out of the pool: %s: %s", problem.path, problem.reason)
        skills = len(router.library.snapshot.visible)
        if not skills:
            raise RecordError(f"{pool} holds no skills that can be found")
        router.rank(requests[0].query, 1)
        run, seconds, read, candidates = {}, [], [], 0
        for request in requests:
            asked = time.perf_counter()
            answer = router.rank(request.query, _DEPTH)
            seconds.append(time.perf_counter() - asked)
            read.append(answer.read)
            candidates = max(candidates, answer.candidates)
            run[request.id] = [skill_id(match) for match in answer.matches]
    report = {
        **_scores(requests, run),
        "latency_ms": _percentiles(seconds),
        "index": {"skills": skills, "seconds": round(indexing, 3)},
        "profile": settings.profile,
    }
    if candidates:
        mean_read = round(statistics.mean(read), 2)
        report["reranker"] = {"candidates": candidates, "read": mean_read}
    return Evaluation(report, run)


def _scores(requests: list[Request], run: dict[str, list[str]]) -> dict[str, Any]:
    measured = defaultdict(list)
    for request in requests:
        if not request.relevant:
            continue
        row = measure(run[request.id], request.relevant)
        measured[""].append(row)
        measured[f"{request.lang}/{request.kind}"].append(row)
    overall = measured.pop("", [])
    return {
        "n": len(overall),
        **mean(overall),
        "groups": {name: {"n": len(rows), **mean(rows)} for name, rows in sorted(measured.items())},
    }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else None
    p50, p95 = (cuts[49], cuts[94]) if cuts else (seconds[0], seconds[0])
    return {"p50": round(p50 * 1000, 2), "p95": round(p95 * 1000, 2)}
