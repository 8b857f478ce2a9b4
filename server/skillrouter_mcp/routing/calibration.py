"""From sums of evidence to scores and verdicts."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel

from skillrouter_mcp.index.mirror import Floats


class Calibration(BaseModel, frozen=True):
    """From sums of signals to the chance that a candidate is right: a logistic regression.

    A sum says more where it stands out (`lead`, over the second best) and less where another
    stands above it (`lag`, negative); shared words say less where the best is not near in
    `meaning`; and the more skills there are, the likelier one is right. No library smaller than
    `smallest_size` was seen, so smaller ones are judged like it.
    """

    bias: float
    sum: float
    lead: float
    lag: float
    meaning: float
    log_size: float
    smallest_size: int

    def scores(self, sums: Floats, nearness: float, floor: float, library_size: int) -> Floats:
        """The chance of each candidate.

        Args:
            sums: best first, shape (candidates,).
            nearness: what of the best sum the encoder's signals contribute.
            floor: what a skill that has nothing to do with the request would sum up to.
            library_size: in documents.
        """
        gaps = sums - sums[:1]
        lead = np.zeros_like(sums)
        lead[:1] = sums[:1] - (sums[1] if len(sums) > 1 else floor)
        evidence = (
            self.bias
            + self.sum * sums
            + self.lead * lead
            + self.lag * gaps
            + self.meaning * (nearness - floor)
            + self.log_size * np.log(max(library_size, self.smallest_size))
        )
        scores: Floats = 1 / (1 + np.exp(-evidence))
        return scores


class Thresholds(BaseModel, frozen=True):
    """The least score of the best candidate for each verdict."""

    match: float
    weak: float
