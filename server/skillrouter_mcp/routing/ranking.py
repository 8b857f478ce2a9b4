"""From a request to a ranking of documents and a verdict on it."""

from __future__ import annotations

import time
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
from skillrouter_mcp.routing.calibration import Thresholds
from skillrouter_mcp.routing.fusion import Weights, load_weights
from skillrouter_mcp.routing.request import Request, read_request
from skillrouter_mcp.routing.rerank import RERANKER, Reading, SecondStage, blended
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, gather

_CAUSAL_CHARACTERS = 2_000  # of a request are read by causal models, whose training had no gists


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
        reading: what the second stage said, None where there is none.
    """

    ranked: tuple[Ranked, ...]
    verdict: Verdict
    unembedded: tuple[int, ...] = ()
    reading: Reading | None = None


class QueryEncoder(Protocol):
    """What turns requests into unit vectors, shape (texts, dimensions)."""

    @property
    def model(self) -> Model: ...

    def encode_queries(self, texts: Sequence[str]) -> Floats: ...


class Ranker:
    """Ranks the documents of a snapshot."""

    def __init__(
        self, weights: Weights | None = None, second_stage: SecondStage | None = None
    ) -> None:
        self._weights = weights or load_weights()
        self._second_stage = second_stage

    def rank(
        self, query: str, snapshot: Snapshot, words: WordIndex, encoder: QueryEncoder, limit: int
    ) -> Ranking:
        """The best `limit` documents."""
        began = time.monotonic()
        request = request_for(encoder.model, query, words)
        vector = _vector(request.gist, encoder)
        candidates = gather(request, vector, snapshot, words)
        parts = self._weights.parts(candidates)
        sums = parts.sum(axis=1)
        order = np.lexsort((candidates.document_ids, -sums))
        sums = sums[order]
        calibration, thresholds = self._weights.calibration, self._weights.verdict
        reading = said = None
        if self._second_stage is not None and len(order):
            ids = candidates.document_ids[order].tolist()
            reading = self._second_stage.read(query, ids, began)
            blend = self._weights.blends.get(reading.reranker)
            if blend is not None and reading.read:
                calibration, thresholds = blend.calibration, blend.verdict
            mixed = blended(sums, reading, blend)
            order, sums, said = order[mixed.order], mixed.sums, mixed.said.tolist()
        scores = calibration.scores(
            sums,
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
        if reading is not None and said is not None:
            for document, contribution in zip(ranked[: reading.read], said, strict=False):
                document.parts[RERANKER] = contribution
        unembedded = candidates.document_ids[order][~candidates.embedded[order]]
        verdict = _verdict(ranked, thresholds)
        return Ranking(ranked, verdict, tuple(unembedded.tolist()), reading)


def request_for(model: Model, query: str, words: WordIndex) -> Request:
    """A request as an encoder reads it: up to so many characters as it was trained with, or the
    gist."""
    whole = model.query_characters
    if whole is None and model.pooling == "last":
        whole = _CAUSAL_CHARACTERS
    return read_request(query, words, model.languages, whole)


def _verdict(ranked: Sequence[Ranked], thresholds: Thresholds) -> Verdict:
    best = ranked[0].score if ranked else 0.0
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
