"""How the signals of a candidate add up: fitted weights, kept with where they came from."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ValidationError

from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing.calibration import Calibration, Thresholds
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, Candidates
from skillrouter_mcp.settings import SettingsError

if TYPE_CHECKING:
    from skillrouter_gguf import Model

_DENSE = slice(len(LEXICAL), None)


class Blend(BaseModel, frozen=True):
    """How what a reranker says of a candidate adds to the sum of its signals.

    Attributes:
        weight: of its log odds.
        usual: its log odds for a candidate on average.
        calibration, verdict: of the sums that come of it.
    """

    weight: float
    usual: float
    calibration: Calibration
    verdict: Thresholds


class Weights(BaseModel, frozen=True):
    """What `weights.json` holds; `provenance` names the command that made it and its figures.

    Attributes:
        encoder: SHA-256 of the model's file that the weights were fitted for.
        typical, spread: how near a candidate is to a request on average, and by how much the
            candidates of a request differ (standard deviation), by each signal of the encoder.
        blends: by the SHA-256 of the reranker's file.
        relative: whether cosines count only as they compare with those of the request's other
            candidates, as those of another encoder than the weights were fitted for do.
    """

    provenance: str
    encoder: str
    weights: dict[str, float]
    typical: dict[str, float]
    spread: dict[str, float]
    calibration: Calibration
    verdict: Thresholds
    blends: dict[str, Blend] = {}
    relative: bool = False

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
        if self.relative:
            signals = self._as_usual(candidates)
        if not candidates.embedded.all():
            signals = signals.copy()
            if candidates.embedded.any():
                expected = signals[candidates.embedded, _DENSE].mean(axis=0)
            else:
                expected = candidates.readable * self._of_dense(self.typical)
            signals[~candidates.embedded, _DENSE] = expected
        parts: Floats = signals * np.array([self.weights[name] for name in SIGNALS], np.float32)
        return parts

    def _as_usual(self, candidates: Candidates) -> Floats:
        """The signals, with the encoder's brought to the mean and the spread that those had which
        the weights were fitted on."""
        signals: Floats = candidates.signals.copy()
        if candidates.readable and candidates.embedded.any():
            dense = signals[candidates.embedded, _DENSE]
            distances = dense - dense.mean(axis=0)
            distances /= np.maximum(dense.std(axis=0), 1e-6)
            usual = self._of_dense(self.typical) + self._of_dense(self.spread) * distances
            signals[candidates.embedded, _DENSE] = candidates.readable * usual
        return signals

    @staticmethod
    def _of_dense(figures: dict[str, float]) -> Floats:
        return np.array([figures[name] for name in SIGNALS[_DENSE]], np.float32)


@cache
def load_weights() -> Weights:
    """The weights that come with the package, for its embedded model."""
    text = files(__package__).joinpath("weights.json").read_text(encoding="utf-8")
    return Weights.model_validate_json(text)


def weights_file(home: Path, model: Model) -> Path:
    """Where weights are kept that were fitted for an encoder on this machine."""
    return home / "weights" / f"{model.name}.json"


def weights_of(model: Model, home: Path) -> Weights:
    """The weights fitted for an encoder, on this machine or for the package; or else the package's,
    applied to how its cosines compare within a request.

    Raises:
        SettingsError: the file of the user's own weights is damaged.
    """
    packaged = load_weights()
    for weights in (_own_weights(weights_file(home, model)), packaged):
        if weights is not None and weights.encoder == model.sha256:
            return weights
    return packaged.model_copy(update={"relative": True})


def _own_weights(path: Path) -> Weights | None:
    try:
        return Weights.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise SettingsError(
            f"{path}: these weights cannot be used; remove the file or fit them anew ({error})"
        ) from None
