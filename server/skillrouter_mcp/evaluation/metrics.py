"""Measures of a ranking against the skills that are right, as in SkillRouter (arXiv 2603.22455)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

MEASURES = (
    "hit@1",
    "mrr@10",
    "recall@10",
    "recall@20",
    "recall@50",
    "ndcg@10",
    "full_coverage@10",
)


def measure(ranking: Sequence[str], relevant: Collection[str]) -> dict[str, float]:
    """Each of `MEASURES` for one request, between 0 and 1.

    Args:
        ranking: skill ids, best first, each once.
        relevant: the right ones, at least one.
    """
    hits = [skill in relevant for skill in ranking]
    found = {k: sum(hits[:k]) for k in (10, 20, 50)}
    first = next((rank for rank, hit in enumerate(hits[:10], 1) if hit), None)
    gain = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(hits[:10], 1) if hit)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(relevant), 10) + 1))
    return {
        "hit@1": float(bool(hits) and hits[0]),
        "mrr@10": 0.0 if first is None else 1 / first,
        **{f"recall@{k}": found[k] / len(relevant) for k in (10, 20, 50)},
        "ndcg@10": gain / ideal,
        "full_coverage@10": float(found[10] == len(relevant)),
    }


def mean(measured: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each measure over requests; zeros over none."""
    rows = list(measured)
    return {name: sum(row[name] for row in rows) / max(len(rows), 1) for name in MEASURES}
