"""How the signals of a candidate add up: fitted weights, kept with where they came from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from pydantic import BaseModel

from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, Candidates


class Calibration(BaseModel, frozen=True):
    """From a sum of signals to the chance that the candidate is right: a logistic curve."""

    bias: float
    slope: float


class Thresholds(BaseModel, frozen=True):
    """The least score of the best candidate for each verdict."""

    match: float
    weak: float


class Weights(BaseModel, frozen=True):
    """What `weights.json` holds; `provenance` names the command that made it and its figures."""

    provenance: str
    weights: dict[str, float]
    calibration: Calibration
    verdict: Thresholds

    def parts(self, candidates: Candidates) -> Floats:
        """What each signal contributes to each candidate, shape (candidates, signals).

        A candidate without vectors is taken to be as near to the request as the others are on
        average.
        """
        signals = candidates.signals
        if candidates.embedded.any() and not candidates.embedded.all():
            signals = signals.copy()
            dense = slice(len(LEXICAL), None)
            signals[~candidates.embedded, dense] = signals[candidates.embedded, dense].mean(axis=0)
        return signals * np.array([self.weights[name] for name in SIGNALS], np.float32)


@cache
def load_weights() -> Weights:
    """The weights that come with the package."""
    text = files(__package__).joinpath("weights.json").read_text(encoding="utf-8")
    return Weights.model_validate_json(text)
