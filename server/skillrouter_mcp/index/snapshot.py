"""What a request sees of an index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skillrouter_mcp.index.mirror import Integers, Mirror


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The same from a request's first step to its last.

    Attributes:
        visible: sorted ids of the documents that may be found, shape (documents,).
        pending: how many of them have no vectors yet and are found by their words alone.
    """

    visible: Integers
    mirror: Mirror
    pending: int

    @classmethod
    def of(cls, visible: Integers, mirror: Mirror) -> Snapshot:
        """The snapshot in which these documents are visible."""
        pending = np.setdiff1d(visible, mirror.document_ids, assume_unique=True)
        return cls(visible, mirror, len(pending))
