"""The second stage: a reranker reads the request together with the best candidates' full texts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skillrouter_gguf import ModelError
from skillrouter_mcp.index.errors import QuarantinedError
from skillrouter_mcp.index.glossary import readable
from skillrouter_mcp.index.mirror import Floats, Integers
from skillrouter_mcp.index.passages import Layout
from skillrouter_mcp.routing.signals import CAUTION

if TYPE_CHECKING:
    from skillrouter_mcp.index.store import Document
    from skillrouter_mcp.routing.fusion import Blend
    from skillrouter_mcp.routing.guarded_reranker import GuardedReranker

_LOG = logging.getLogger(__name__)
RERANKER = "reranker"
_RETRY_SECONDS = 60.0  # after a reranker has failed
_LEAST_SPREAD = 0.5  # of log odds; smaller differences are noise
UNFITTED_WEIGHT = 0.75
"""Of a reranker's evidence beside the first stage's, where no blend was fitted: see
`tests.benchmarks.unfitted`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reranker said of the best candidates.

    Attributes:
        log_odds: that a candidate is right, best candidate of the first stage first, shape
            (candidates,); NaN of those that were not read.
        readable: how far it can be trusted to have read the request, 0 to 1.
        trouble: why none was read, if something is in the way; else empty.
        reranker: SHA-256 of its file, empty where there was trouble.
    """

    log_odds: Floats
    readable: float = 1.0
    trouble: str = ""
    reranker: str = ""

    @property
    def read(self) -> int:
        """How many candidates were read."""
        return int((~np.isnan(self.log_odds)).sum())


class SecondStage:
    """Has the reranker read as many of the candidates as the time allows."""

    def __init__(
        self,
        reranker: Callable[[], GuardedReranker],
        documents: Callable[[Sequence[int]], Mapping[int, Document]],
        candidates: int,
        budget: float,
    ) -> None:
        """
        Args:
            reranker: gives it, and blocks while it loads, which does not count.
            documents: gives the texts of documents, by id.
            candidates: at most so many are read.
            budget: seconds that a request may take, its first stage included.
        """
        self._reranker = reranker
        self._documents = documents
        self._candidates = candidates
        self._budget = budget
        self._trouble = ""
        self._resting_until = 0.0

    def read(self, query: str, document_ids: Sequence[int], began: float) -> Reading:
        """What the reranker says of the first of these documents; nothing of any if it fails.

        Args:
            document_ids: best first.
            began: when work on the request did, as `time.monotonic` tells it.
        """
        wanted = list(document_ids[: self._candidates])
        asked = time.monotonic()
        reranker = self.prepare()
        if reranker is None:
            return Reading(_unread(wanted), trouble=self._trouble)
        deadline = began + self._budget + (time.monotonic() - asked)
        try:
            return self._read(reranker, query, wanted, deadline)
        except QuarantinedError as error:
            return Reading(_unread(wanted), trouble=str(error))
        except ModelError as error:
            self._rest(error)
            return Reading(_unread(wanted), trouble=self._trouble)

    def prepare(self) -> GuardedReranker | None:
        """The reranker, loaded; None for a while after it has failed."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            return self._reranker()
        except ModelError as error:
            self._rest(error)
            return None

    def _rest(self, error: ModelError) -> None:
        if str(error) != self._trouble:
            _LOG.warning("skills are found without the reranker: %s", error)
        self._trouble = str(error)
        self._resting_until = time.monotonic() + _RETRY_SECONDS

    def _read(
        self, reranker: GuardedReranker, query: str, wanted: Sequence[int], deadline: float
    ) -> Reading:
        model = reranker.model
        request = readable(query[: model.query_characters], model.languages)
        if not request.share:
            return Reading(_unread(wanted), trouble=f"{model.name} cannot read the request")
        layout, documents = Layout.of(model), self._documents(wanted)
        rows = [row for row, document_id in enumerate(wanted) if document_id in documents]
        texts = [layout.full_text(documents[wanted[row]]) for row in rows]
        log_odds = _unread(wanted)
        log_odds[rows] = reranker.score(request.english, texts, deadline)
        return Reading(log_odds, request.share**CAUTION, reranker=model.sha256 or "")


def _unread(wanted: Sequence[int]) -> Floats:
    return np.full(len(wanted), np.nan, np.float32)


@dataclass(frozen=True, slots=True)
class Blended:
    """Candidates in the order of both stages.

    Attributes:
        order: where each stood after the first stage, shape (candidates,).
        sums: of both stages' evidence; they fall from rank to rank, shape (candidates,).
        said: what the reranker contributed, 0 for those that it has not read, shape (candidates,).
    """

    order: Integers
    sums: Floats
    said: Floats


def blended(sums: Floats, reading: Reading, blend: Blend | None) -> Blended:
    """Candidates that were read in the order of both stages' evidence, then the others as they
    were.

    Without a blend that was fitted for the reranker, its log odds count as they compare within the
    request, since their scale is anyone's guess, and for somewhat less than the first stage's
    evidence: an untuned reranker may order worse than that does.

    Args:
        sums: the first stage's evidence, best first, shape (candidates,).
    """
    seen = np.zeros(len(sums), np.bool_)
    seen[: len(reading.log_odds)] = ~np.isnan(reading.log_odds)
    said = np.zeros(len(sums), np.float32)
    if seen.any():
        log_odds = reading.log_odds[~np.isnan(reading.log_odds)]
        if blend is None:
            distances = (log_odds - log_odds.mean()) / max(log_odds.std(), _LEAST_SPREAD)
            said[seen] = UNFITTED_WEIGHT * distances * sums[seen].std()
        else:
            said[seen] = blend.weight * (log_odds - blend.usual)
    said *= reading.readable
    totals = np.where(seen, sums + said, sums)
    order = np.lexsort((np.arange(len(sums)), np.where(seen, -totals, 0), ~seen))
    return Blended(order, np.minimum.accumulate(totals[order]), said[order])
