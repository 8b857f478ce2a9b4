"""From a request to a ranking of documents and a verdict on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skillrouter_gguf import Model
from skillrouter_mcp.index.errors import QuarantinedError
from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.index.snapshot import Snapshot
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.routing.answer import Verdict
from skillrouter_mcp.routing.fusion import Weights, load_weights
from skillrouter_mcp.routing.request import read_request
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, gather


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document with its score between 0 and 1, and what each signal contributed to it."""

    document_id: int
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Documents, best first, and whether the best is any good.

    Attributes:
        unembedded: ids of the candidates, best first, that were found without their vectors, as
            they have none yet.
    """

    ranked: tuple[Ranked, ...]
    verdict: Verdict
    unembedded: tuple[int, ...] = ()


class QueryEncoder(Protocol):
    """What turns requests into unit vectors, shape (texts, dimensions)."""

    @property
    def model(self) -> Model: ...

    def encode_queries(self, texts: Sequence[str]) -> Floats: ...


class Ranker:
    """Ranks the documents of a snapshot."""

    def __init__(self, weights: Weights | None = None) -> None:
        self._weights = weights or load_weights()

    def rank(
        self, query: str, snapshot: Snapshot, words: WordIndex, encoder: QueryEncoder, limit: int
    ) -> Ranking:
        """The best `limit` documents."""
        request = read_request(query, words, encoder.model.languages)
        vector = _vector(request.gist, encoder)
        candidates = gather(request, vector, snapshot, words)
        parts = self._weights.parts(candidates)
        sums = parts.sum(axis=1)
        order = np.lexsort((candidates.document_ids, -sums))
        scores = self._weights.calibration.scores(
            sums[order],
            float(parts[order[:1], len(LEXICAL) :].sum()),
            self._weights.floor * candidates.readable,
            len(snapshot.visible),
        )
        ranked = tuple(
            Ranked(
                int(candidates.document_ids[row]),
                score,
                dict(zip(SIGNALS, parts[row].tolist(), strict=True)),
            )
            for row, score in zip(order.tolist()[:limit], scores.tolist(), strict=False)
        )
        unembedded = candidates.document_ids[order][~candidates.embedded[order]]
        return Ranking(ranked, self._verdict(ranked), tuple(unembedded.tolist()))

    def _verdict(self, ranked: tuple[Ranked, ...]) -> Verdict:
        best = ranked[0].score if ranked else 0.0
        thresholds = self._weights.verdict
        if best >= thresholds.match:
            return "match"
        return "weak" if best >= thresholds.weak else "none"


def _vector(gist: str, encoder: QueryEncoder) -> Floats | None:
    if not gist:
        return None
    try:
        vector: Floats = encoder.encode_queries([gist])[0]
    except QuarantinedError:
        return None
    return vector
