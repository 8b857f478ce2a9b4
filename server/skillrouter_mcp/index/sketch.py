"""Labels in few dimensions, so that a request is compared with less of each at first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

_AXES = 128
_SAMPLE = 8_192  # labels that tell the axes
_GROWTH = 2  # times as many labels, and the axes are looked for anew


@dataclass(frozen=True, slots=True)
class Sketch:
    """Where labels lie along the axes on which they differ most (principal component analysis of
    what is not centred: those of the second moment).

    Attributes:
        axes: orthonormal, shape (dimensions, axes).
        coordinates: shape (labels, axes).
        known: how many labels there were when the axes were looked for.
    """

    axes: Floats
    coordinates: Floats
    known: int

    @classmethod
    def of(cls, labels: Floats) -> Sketch:
        """The sketch of these labels, shape (labels, dimensions)."""
        sample = labels[:: max(1, len(labels) // _SAMPLE)]
        with _one_thread():
            _, directions = np.linalg.eigh(sample.T @ sample)
            axes = np.ascontiguousarray(directions[:, ::-1][:, :_AXES])
            return cls(axes, labels @ axes, len(labels))

    def taken(self, rows: Integers) -> Sketch:
        """Of these labels, in their order."""
        return replace(self, coordinates=self.coordinates[rows])

    def extended(self, labels: Floats) -> Sketch:
        """Of these labels too, behind the others."""
        with _one_thread():
            more = labels @ self.axes
        return replace(self, coordinates=np.concatenate([self.coordinates, more]))

    def outgrown(self) -> bool:
        """Whether the axes should be looked for anew."""
        return len(self.coordinates) > _GROWTH * self.known

    def cosines(self, query: Floats) -> Floats:
        """Roughly the cosines of all labels with a request, shape (labels,).

        Args:
            query: unit vector, shape (dimensions,).
        """
        along = np.einsum("ij,i->j", self.axes, query)
        cosines: Floats = np.einsum("ij,j->i", self.coordinates, along)
        return cosines


def _one_thread() -> threadpool_limits:
    """Threads of a BLAS wait for each other by spinning: where another process has the core of one
    of them, they take a hundred times as long as one alone."""
    return threadpool_limits(1, "blas")
