"""How the signals of a candidate add up: fitted weights, kept with where they came from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from pydantic import BaseModel

from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, Candidates


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


class Weights(BaseModel, frozen=True):
    """What `weights.json` holds; `provenance` names the command that made it and its figures.

    `typical` is how near a candidate is to a request on average, by each signal of the encoder.
    """

    provenance: str
    weights: dict[str, float]
    typical: dict[str, float]
    calibration: Calibration
    verdict: Thresholds

    @property
    def floor(self) -> float:
        """What a skill that has nothing to do with a request sums up to on average."""
        return sum(self.weights[name] * cosine for name, cosine in self.typical.items())

    def parts(self, candidates: Candidates) -> Floats:
        """What each signal contributes to each candidate, shape (candidates, signals).

        A candidate without vectors is taken to be as near to the request as the others are on
        average.
        """
        signals = candidates.signals
        if not candidates.embedded.all():
            signals = signals.copy()
            dense = slice(len(LEXICAL), None)
            if candidates.embedded.any():
                expected = signals[candidates.embedded, dense].mean(axis=0)
            else:
                typical = [self.typical[name] for name in SIGNALS[dense]]
                expected = candidates.readable * np.array(typical, np.float32)
            signals[~candidates.embedded, dense] = expected
        return signals * np.array([self.weights[name] for name in SIGNALS], np.float32)


@cache
def load_weights() -> Weights:
    """The weights that come with the package."""
    text = files(__package__).joinpath("weights.json").read_text(encoding="utf-8")
    return Weights.model_validate_json(text)
