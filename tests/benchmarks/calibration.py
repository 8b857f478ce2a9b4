"""Fits what a sum of signals is worth: the chance of being right, and from when on nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skillrouter_mcp.routing.calibration import Calibration

DEPTH = 5  # candidates of a request that count
PENALTY = 0.1
SLACK = 0.01  # of balanced accuracy
SURE = 0.5  # a match is more likely right than not
FOLDS = 8
_NAMES = ("bias", "sum", "lead", "lag", "log_size", "meaning")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """A request's sums, best first, and which of them belong to a right skill.

    Attributes:
        group: what must not be on both sides of a fold.
        size: of the library, in documents.
        answerable: whether the library holds a right skill at all.
        nearness, floor: as `Calibration.scores` takes them.
    """

    group: str
    size: int
    answerable: bool
    sums: Floats
    nearness: float
    floor: float
    right: NDArray[np.bool_]


def fit_calibration(outcomes: Sequence[Outcome]) -> Calibration:
    """A logistic regression on the best candidates of all requests, every library weighing alike.

    No coefficient but the bias may be negative, so that scores fall from rank to rank.
    """
    rows = np.concatenate([_features(outcome) for outcome in outcomes])
    right = np.concatenate([outcome.right[:DEPTH] for outcome in outcomes]).astype(float)
    sizes = np.array([outcome.size for outcome in outcomes for _ in outcome.sums[:DEPTH]])
    weight = np.zeros(len(rows))
    for size in set(sizes.tolist()):
        weight[sizes == size] = len(rows) / (sizes == size).sum() / len(set(sizes.tolist()))

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        logits = rows @ coefficients
        chances = 1 / (1 + np.exp(-logits))
        likelihood = weight @ (right * logits - np.logaddexp(0, logits))
        shrunk = np.array([0.0, *coefficients[1:]])
        gradient = PENALTY * shrunk - rows.T @ (weight * (right - chances))
        return float(PENALTY / 2 * shrunk @ shrunk - likelihood), gradient

    bounds = [(None, None), *[(0, None)] * (len(_NAMES) - 1)]
    found = minimize(loss, np.zeros(len(_NAMES)), jac=True, method="L-BFGS-B", bounds=bounds).x
    fitted = dict(zip(_NAMES, found.round(4).tolist(), strict=True))
    return Calibration(**fitted, smallest_size=int(sizes.min()))


def _features(outcome: Outcome) -> Floats:
    sums = outcome.sums
    rows = np.zeros((min(DEPTH, len(sums)), len(_NAMES)))
    rows[:, 0] = 1
    rows[:, 1] = sums[:DEPTH]
    rows[:1, 2] = sums[0] - sums[1] if len(sums) > 1 else 0
    rows[:, 3] = sums[:DEPTH] - sums[0]
    rows[:, 4] = np.log(outcome.size)
    rows[:, 5] = outcome.nearness - outcome.floor
    return rows


def fitted(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`calibration` and `verdict`, as the router keeps them."""
    found = fit_calibration(outcomes)
    weak = fit_threshold(found, in_smallest(outcomes))
    return {
        "calibration": found.model_dump(),
        "verdict": {"match": max(SURE, weak), "weak": weak},
    }


def fit_threshold(calibration: Calibration, outcomes: Sequence[Outcome]) -> float:
    """The score from which on something may fit.

    The lowest one that tells requests that a library can answer from those that it can't nearly
    as well as the best: a look at a skill that doesn't fit costs less than a skill never seen.
    """
    candidates = np.linspace(0.05, 0.9, 86)
    told = np.array([balanced_accuracy(calibration, outcomes, float(t)) for t in candidates])
    return round(float(candidates[np.argmax(told >= told.max() - SLACK)]), 2)


def balanced_accuracy(
    calibration: Calibration, outcomes: Sequence[Outcome], threshold: float
) -> float:
    """Mean of the shares of answerable and of unanswerable requests that are told right."""
    scores = np.array([top_score(calibration, outcome) for outcome in outcomes])
    answerable = np.array([outcome.answerable for outcome in outcomes])
    yes, no = (scores >= threshold)[answerable], (scores < threshold)[~answerable]
    return float((yes.mean() + no.mean()) / 2)


def top_score(calibration: Calibration, outcome: Outcome) -> float:
    """The score of the best candidate."""
    sums = outcome.sums.astype(np.float32)
    return float(calibration.scores(sums, outcome.nearness, outcome.floor, outcome.size)[0])


def expected_error(scores: Sequence[float], right: Sequence[bool]) -> float:
    """Expected calibration error over ten bins of the score."""
    bins = np.minimum((np.array(scores) * 10).astype(int), 9)
    error = 0.0
    for number in set(bins.tolist()):
        inside = bins == number
        gap = np.array(scores)[inside].mean() - np.array(right)[inside].mean()
        error += inside.mean() * abs(float(gap))
    return error


def report(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Prints and returns cross-validated figures: a request is judged by a fit without it."""
    groups = sorted({outcome.group for outcome in outcomes})
    order = np.random.default_rng(0).permutation(len(groups))
    fold = {group: order[n] % FOLDS for n, group in enumerate(groups)}
    told: dict[str, list[Any]] = {"scores": [], "right": [], "yes": [], "no": []}
    for held_out in range(FOLDS):
        inside = [outcome for outcome in outcomes if fold[outcome.group] != held_out]
        calibration = fit_calibration(inside)
        threshold = fit_threshold(calibration, in_smallest(inside))
        outside = [outcome for outcome in outcomes if fold[outcome.group] == held_out]
        for outcome in outside:
            told["scores"].append(top_score(calibration, outcome))
            told["right"].append(bool(outcome.right[0]))
        for outcome in in_smallest(outside):
            nothing = top_score(calibration, outcome) < threshold
            told["yes" if outcome.answerable else "no"].append(nothing != outcome.answerable)
    figures = {
        "calibration error": 100 * expected_error(told["scores"], told["right"]),
        "answerable told": 100 * float(np.mean(told["yes"])),
        "unanswerable told": 100 * float(np.mean(told["no"])),
    }
    print("verdict: " + ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items()))
    return figures


def in_smallest(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those in the smallest library, which can't answer every request."""
    size = min(outcome.size for outcome in outcomes)
    return [outcome for outcome in outcomes if outcome.size == size]
