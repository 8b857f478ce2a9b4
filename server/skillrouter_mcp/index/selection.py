"""The documents among which a search is to choose, where the index holds more than those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Selection:
    """Some documents of an index.

    Attributes:
        ids: sorted, shape (documents,).
        of: how many documents the index holds.
    """

    ids: NDArray[np.int64]
    of: int

    @property
    def one_in(self) -> float:
        """Of how many documents of the index one is selected; at least 1."""
        return max(1.0, self.of / max(len(self.ids), 1))

    def holds(self, ids: Sequence[int]) -> NDArray[np.bool_]:
        """Which of these are selected."""
        if not len(self.ids):
            return np.zeros(len(ids), np.bool_)
        wanted = np.array(ids, np.int64)
        rows = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        found: NDArray[np.bool_] = self.ids[rows] == wanted
        return found
