"""Fits how the router's signals add up, and writes `weights.json` with `--write`.

    python -m tests.benchmarks.fit_weights --data FOLDER --home HOME [--write]

`FOLDER` holds `dev.jsonl` and `abstain-dev.json`; `HOME` the index that
`skillrouter-mcp eval FOLDER/dev.jsonl --skills FOLDER/skills.jsonl.gz` made there.

The weights are those of a conditional logit: the chance that a candidate is the right one is the
softmax of its weighted signals over all candidates of the request. Reported figures come from
8-fold cross-validation, three times over, in which the requests for one skill stay together; what
is written is fitted on all requests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skillrouter_mcp.evaluation.records import Request, read_requests
from skillrouter_mcp.routing.request import read_request
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import SIGNALS, gather
from skillrouter_mcp.settings import load_settings

PENALTY = 1.0  # of the squared weights, each in units of its signal's deviation
FOLDS, REPEATS = 8, 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A request with the signals of its candidates, shape (candidates, signals), and which are
    right."""

    request: Request
    signals: Floats
    right: NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    cases = gather_cases(arguments.data / "dev.jsonl", arguments.home)
    print(f"{len(cases)} requests, {np.mean([len(case.right) for case in cases]):.0f} candidates")
    columns = list(range(len(SIGNALS)))
    figures = report("all signals", cases, columns)
    for left_out in columns:
        report(f"without {SIGNALS[left_out]}", cases, [c for c in columns if c != left_out])
    report("words only", cases, [c for c in columns if SIGNALS[c] not in ("label", "window")])
    report("vectors only", cases, [c for c in columns if SIGNALS[c] in ("label", "window")])
    weights = fit(cases, columns)
    print(json.dumps(dict(zip(SIGNALS, weights.round(2).tolist(), strict=True))))
    if arguments.write:
        write(weights, figures)


def gather_cases(queries: Path, home: Path) -> list[Case]:
    """Every request with its candidates, through the router's own code."""
    index = max(home.glob("eval/*/index.db"), key=os.path.getmtime, default=None)
    if index is None:
        sys.exit(f"{home} holds no index; run skillrouter-mcp eval with SKILLROUTER_HOME={home}")
    settings = load_settings(home=index.parent, roots=(index.parent / "skills",))
    cases = []
    with Router.open(settings, keep=False) as router:
        encoder, library = router.encoder(), router.library
        for request in read_requests(queries):
            read = read_request(request.query, library.words, encoder.model.languages)
            text = read.reading.english
            vector = encoder.encode_queries([text])[0] if text else None
            candidates = gather(read, vector, library.snapshot, library.words)
            places = library.locate(candidates.document_ids.tolist())
            ids = [Path(places[i].path).parent.name for i in candidates.document_ids.tolist()]
            right = np.array([skill_id in request.relevant for skill_id in ids])
            cases.append(Case(request, candidates.signals.astype(np.float64), right))
    return cases


def fit(cases: list[Case], columns: list[int]) -> Floats:
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


def report(title: str, cases: list[Case], columns: list[int]) -> dict[str, float]:
    """Prints and returns cross-validated Hit@1 and Recall@10 by kind of request, in percent."""
    ranks = defaultdict(list)
    for repeat in range(REPEATS):
        for case, rank in cross_validate(cases, columns, repeat):
            ranks[f"{case.request.lang}/{case.request.kind}"].append(rank)
    figures = {}
    for group, found in sorted(ranks.items()):
        figures[f"{group} hit@1"] = 100 * float(np.mean(np.array(found) < 1))
        figures[f"{group} recall@10"] = 100 * float(np.mean(np.array(found) < 10))
    print(f"{title}: " + ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items()))
    return figures


def cross_validate(cases: list[Case], columns: list[int], repeat: int) -> list[tuple[Case, float]]:
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


def write(weights: Floats, figures: dict[str, float]) -> None:
    """Replaces the weights that the router ships; calibration and verdict stay."""
    path = Path(str(files("skillrouter_mcp.routing").joinpath("weights.json")))
    content = json.loads(path.read_text(encoding="utf-8"))
    shown = ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items())
    content["provenance"] = (
        f"python -m tests.benchmarks.fit_weights; cross-validated in percent: {shown}"
    )
    content["weights"] = dict(zip(SIGNALS, weights.round(2).tolist(), strict=True))
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
