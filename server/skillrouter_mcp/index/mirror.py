"""The vectors of one encoding in memory, where a request is compared with them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skillrouter_mcp.index.encoding import Encoding
from skillrouter_mcp.index.passages import LABEL, WINDOW
from skillrouter_mcp.index.sketch import Sketch

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Bytes = NDArray[np.int8]

_COPYING = 4  # times as long as comparing a vector takes copying it, for an array of a few
_MANY = 20_000  # labels are worth a sketch
_LIKELY = 2_000  # labels that are near by their sketch are compared as a whole: of 1,500 requests
# to 32,607 real texts' vectors, these held 99.99 % of the 50 nearest


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
        sketch: of the labels, where there are many.
    """

    document_ids: Integers
    labels: Floats
    windows: Bytes
    starts: Integers
    sketch: Sketch | None = None

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
    def read(cls, encoding: Encoding, earlier: Mirror | None = None) -> Mirror:
        """All vectors of the encoding as committed.

        Args:
            earlier: a snapshot of the same encoding of the same file, from which the vectors of
                documents that it holds are taken. (A document's text never changes.)
        """
        if earlier is None or not len(earlier.document_ids):
            return cls._of(encoding, None)._sketched()
        document_ids = np.array(encoding.documents(), np.int64)
        rows, known = earlier.rows(document_ids)
        mirror = earlier._taken(rows[known])
        if not known.all():
            mirror = mirror._with(cls._of(encoding, document_ids[~known].tolist()))
        return mirror._sketched()

    @classmethod
    def _of(cls, encoding: Encoding, documents: Sequence[int] | None) -> Mirror:
        label_owners, label_passages = _columns(encoding.layout(LABEL, documents))
        window_owners, window_passages = _columns(encoding.layout(WINDOW, documents))
        wanted = None
        if documents is not None:
            wanted = [*label_passages.tolist(), *window_passages.tolist()]
        passage_ids, packed = encoding.vectors(wanted)
        vectors = np.frombuffer(packed, np.int8).reshape(-1, encoding.dimensions)
        order = np.frombuffer(passage_ids, np.int64)
        return cls(
            label_owners,
            _unit(vectors[np.searchsorted(order, label_passages)]),
            vectors[np.searchsorted(order, window_passages)],
            np.append(np.searchsorted(window_owners, label_owners), len(window_owners)),
        )

    def _taken(self, rows: Integers) -> Mirror:
        """These rows, in their order."""
        if np.array_equal(rows, np.arange(len(self.document_ids))):
            return replace(self)
        counts = self.starts[rows + 1] - self.starts[rows]
        return Mirror(
            self.document_ids[rows],
            self.labels[rows],
            self.windows[self._windows_of(rows)],
            np.append(0, np.cumsum(counts)),
            self.sketch and self.sketch.taken(rows),
        )

    def _with(self, other: Mirror) -> Mirror:
        """All rows of both, by document."""
        both = Mirror(
            np.concatenate([self.document_ids, other.document_ids]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.windows, other.windows]),
            np.concatenate([self.starts, self.starts[-1] + other.starts[1:]]),
            self.sketch and self.sketch.extended(other.labels),
        )
        return both._taken(np.argsort(both.document_ids, kind="stable"))

    def _sketched(self) -> Mirror:
        """With a sketch where that is worth it."""
        if len(self.labels) < _MANY:
            return replace(self, sketch=None)
        if self.sketch is not None and not self.sketch.outgrown():
            return self
        return replace(self, sketch=Sketch.of(self.labels))

    def _windows_of(self, rows: Integers) -> Integers:
        """Where the windows of some documents stand, document by document."""
        counts = self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(counts)
        places: Integers = np.repeat(self.starts[rows] - ends + counts, counts)
        return places + np.arange(counts.sum())

    def rows(self, document_ids: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Where each of these ids stands in `document_ids`, and whether it does."""
        if not len(self.document_ids):
            return np.zeros(len(document_ids), np.int64), np.zeros(len(document_ids), np.bool_)
        rows = np.searchsorted(self.document_ids, document_ids)
        rows = np.minimum(rows, len(self.document_ids) - 1)
        return rows, self.document_ids[rows] == document_ids

    def nearest(self, query: Floats, among: Integers, count: int) -> Integers:
        """Rows of the documents whose labels are nearest to a request, at most `count`, in any
        order. Among many documents, one of the last may be missing.

        Args:
            query: unit vector, shape (dimensions,).
            among: sorted ids of the documents that count, shape (documents,).
        """
        if np.array_equal(among, self.document_ids):
            rows = np.arange(len(among))
        else:
            rows, known = self.rows(among)
            rows = rows[known]
        if len(rows) * _COPYING < len(self.document_ids):
            cosines = self.label_cosines(query, rows)
        elif self.sketch is not None:
            rows = rows[_highest(self.sketch.cosines(query)[rows], _LIKELY)]
            cosines = self.label_cosines(query, rows)
        else:
            cosines = self.label_cosines(query)[rows]
        return rows[_highest(cosines, count)]

    def label_cosines(self, query: Floats, rows: Integers | None = None) -> Floats:
        """Labels compared with a request, shape (rows,) or (documents,).

        Args:
            query: unit vector, shape (dimensions,).
            rows: positions in `document_ids`; all by default.
        """
        labels = self.labels if rows is None else self.labels[rows]
        # Not `@`: a BLAS splits even this between threads that wait for each other, and takes ten
        # times as long where another process has the core of one of them.
        cosines: Floats = np.einsum("ij,j->i", labels, query)
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
        cosines = np.einsum("ij,j->i", _unit(self.windows[self._windows_of(rows)]), query)
        best = np.zeros(len(rows), np.float32)
        has = counts > 0
        if has.any():
            best[has] = np.maximum.reduceat(cosines, (ends - counts)[has])
        return best


def _highest(scores: Floats, count: int) -> Integers:
    if len(scores) <= count:
        return np.arange(len(scores))
    return np.argpartition(-scores, count)[:count]


def _columns(rows: list[tuple[int, int]]) -> tuple[Integers, Integers]:
    table = np.array(rows, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def _unit(quantised: Bytes) -> Floats:
    vectors = quantised.astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # without a copy of them all
    vectors /= np.maximum(lengths, 1e-12)[:, None]
    return vectors
