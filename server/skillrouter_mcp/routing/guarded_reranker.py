"""A reranker that never sees a text over which the engine has ended its process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from skillrouter_mcp.index.errors import QuarantinedError

if TYPE_CHECKING:
    from skillrouter_gguf import Model, Reranker
    from skillrouter_mcp.index.mirror import Floats
    from skillrouter_mcp.index.quarantine import Quarantine


class GuardedReranker:
    """A request and the texts read with it are noted each by itself, as either may be to blame."""

    def __init__(self, reranker: Reranker, quarantine: Quarantine) -> None:
        self._reranker = reranker
        self._quarantine = quarantine

    @property
    def model(self) -> Model:
        """The catalogue's entry."""
        return self._reranker.model

    def score(self, query: str, documents: Sequence[str], deadline: float) -> Floats:
        """As `Reranker.score`, with NaN in place of scores that are missing: float32 of shape
        (len(documents),).

        Raises:
            QuarantinedError: the request would end the process.
            EngineError: see there.
        """
        quarantine = self._quarantine
        if quarantine.holds(self._note(query)):
            raise QuarantinedError("the request has ended llama.cpp before")
        notes = [self._note(text) for text in documents]
        rows = [row for row, note in enumerate(notes) if not quarantine.holds(note)]
        scores = np.full(len(documents), np.nan, np.float32)
        at_hand = [self._note(query), *(notes[row] for row in rows)]
        if not any(map(quarantine.suspects, at_hand)):
            with quarantine.noting(at_hand):
                texts = [documents[row] for row in rows]
                found = self._reranker.score(query, texts, deadline=deadline)
            scores[rows[: len(found)]] = found
            return scores
        self._read_alone(query, "", at_hand[0])
        for row, note in zip(rows, at_hand[1:], strict=True):
            if time.monotonic() > deadline:
                break
            scores[row] = self._read_alone(query, documents[row], note)
        return scores

    def _read_alone(self, query: str, document: str, note: str) -> float:
        with self._quarantine.noting([note], alone=self._quarantine.suspects(note)):
            return float(self._reranker.score(query, [document])[0])

    def _note(self, text: str) -> str:
        """What stands for a text: other models may read it without harm."""
        return f"{self.model.sha256}\n{text}"

    def close(self) -> None:
        self._reranker.close()
