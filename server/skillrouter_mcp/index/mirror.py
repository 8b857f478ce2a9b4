"""The vectors of one encoding in memory, where a request is compared with them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skillrouter_mcp.index.encoding import Encoding
from skillrouter_mcp.index.passages import LABEL, WINDOW

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Bytes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Mirror:
    """A snapshot of an encoding's vectors.

    Labels are compared with every request, windows only where a document is a candidate; so the
    former are kept ready to multiply and the latter small.

    Attributes:
        document_ids: sorted ids of the documents that have vectors, shape (documents,).
        labels: unit vectors, shape (documents, dimensions).
        windows: vectors of any length, grouped by document, shape (windows, dimensions).
        starts: where each document's windows begin, and the last ones end, shape (documents + 1,).
    """

    document_ids: Integers
    labels: Floats
    windows: Bytes
    starts: Integers

    @classmethod
    def empty(cls, dimensions: int) -> Mirror:
        """No vectors at all."""
        return cls(
            np.zeros(0, np.int64),
            np.zeros((0, dimensions), np.float32),
            np.zeros((0, dimensions), np.int8),
            np.zeros(1, np.int64),
        )

    @classmethod
    def read(cls, encoding: Encoding) -> Mirror:
        """All vectors of the encoding as committed."""
        passage_ids, packed = encoding.vectors()
        vectors = np.frombuffer(packed, np.int8).reshape(-1, encoding.dimensions)
        order = np.array(passage_ids, np.int64)
        label_owners, label_passages = _columns(encoding.layout(LABEL))
        window_owners, window_passages = _columns(encoding.layout(WINDOW))
        return cls(
            label_owners,
            _unit(vectors[np.searchsorted(order, label_passages)]),
            vectors[np.searchsorted(order, window_passages)],
            np.append(np.searchsorted(window_owners, label_owners), len(window_owners)),
        )

    def label_cosines(self, query: Floats) -> Floats:
        """Every document's label compared with a request, shape (documents,).

        Args:
            query: unit vector, shape (dimensions,).
        """
        cosines: Floats = self.labels @ query
        return cosines

    def window_cosines(self, query: Floats, rows: Integers) -> Floats:
        """The cosine of the best window of some documents, 0 where one has none.

        Args:
            query: unit vector, shape (dimensions,).
            rows: positions in `document_ids`, shape (some,).

        Returns: shape (some,).
        """
        counts = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(counts)
        chosen = np.repeat(self.starts[rows] - ends + counts, counts) + np.arange(counts.sum())
        cosines = _unit(self.windows[chosen]) @ query
        best = np.zeros(len(rows), np.float32)
        has = counts > 0
        if has.any():
            best[has] = np.maximum.reduceat(cosines, (ends - counts)[has])
        return best


def _columns(rows: list[tuple[int, int]]) -> tuple[Integers, Integers]:
    table = np.array(rows, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _unit(quantised: Bytes) -> Floats:
    vectors = quantised.astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors
