"""Weights for signals: a conditional logit, and what it is worth on requests it has not seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from tests.benchmarks.cases import Case, Floats

PENALTY = 3.0  # of the squared weights, each in units of its signal's deviation
FOLDS, REPEATS = 8, 3


def fit(cases: Sequence[Case], columns: list[int]) -> Floats:
    """The weights of the signals in `columns`."""
    usable = [case for case in cases if case.right.any()]
    signals = np.concatenate([case.signals[:, columns] for case in usable])
    share = np.concatenate([case.right / case.right.sum() for case in usable])
    starts = np.cumsum([0, *(len(case.right) for case in usable[:-1])])
    owner = np.repeat(np.arange(len(usable)), [len(case.right) for case in usable])
    scale = signals.std(axis=0) + 1e-9
    signals = signals / scale

    def loss(weights: Floats) -> tuple[float, Floats]:
        sums = signals @ weights
        highest = np.maximum.reduceat(sums, starts)
        powers = np.exp(sums - highest[owner])
        totals = np.add.reduceat(powers, starts)
        likelihood = share @ sums - (highest + np.log(totals)).sum()
        gradient = signals.T @ (powers / totals[owner] - share)
        return PENALTY * weights @ weights / 2 - likelihood, gradient + PENALTY * weights

    # No signal may speak against a skill: a request that avoids a skill's words proves nothing.
    bounds = [(0, None)] * len(columns)
    found = minimize(loss, np.zeros(len(columns)), jac=True, method="L-BFGS-B", bounds=bounds)
    weights: Floats = found.x / scale
    return weights


def report(title: str, cases: Sequence[Case], columns: list[int]) -> dict[str, float]:
    """Prints and returns cross-validated Hit@1, MRR@10, Recall@10 and Recall@50 by kind of request,
    in percent."""
    ranks = defaultdict(list)
    for repeat in range(REPEATS):
        for case, rank in cross_validate(cases, columns, repeat):
            ranks[f"{case.request.lang}/{case.request.kind}"].append(rank)
    figures = {}
    for group, found in sorted(ranks.items()):
        figures[f"{group} hit@1"] = 100 * float(np.mean(np.array(found) < 1))
        figures[f"{group} mrr@10"] = 100 * float(np.mean([1 / (1 + r) * (r < 10) for r in found]))
        for depth in (10, 50):
            figures[f"{group} recall@{depth}"] = 100 * float(np.mean(np.array(found) < depth))
    print(f"{title}: " + ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items()))
    return figures


def cross_validate(
    cases: Sequence[Case], columns: list[int], repeat: int
) -> list[tuple[Case, float]]:
    """Each request and the rank of its best right skill (from 0), by weights fitted without it."""
    skills = sorted({min(case.request.relevant) for case in cases})
    order = np.random.default_rng(repeat).permutation(len(skills))
    fold = {skill: order[n] % FOLDS for n, skill in enumerate(skills)}
    ranked = []
    for held_out in range(FOLDS):
        inside = [case for case in cases if fold[min(case.request.relevant)] != held_out]
        weights = fit(inside, columns)
        for case in cases:
            if fold[min(case.request.relevant)] == held_out:
                sums = case.signals[:, columns] @ weights
                best = sums[case.right].max() if case.right.any() else -np.inf
                ranked.append((case, float((sums > best).sum())))
    return ranked
