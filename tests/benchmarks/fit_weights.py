"""Fits how the router's signals add up, and writes `weights.json` with `--write`.

    python -m tests.benchmarks.fit_weights --data FOLDER --home HOME [--write]

`FOLDER` holds `dev.jsonl`, `skills.jsonl.gz` and `abstain-dev.json`; `HOME` keeps the indexes of
both libraries, the whole pool and the 300 skills that can't answer every request.

The weights are those of a conditional logit: the chance that a candidate is the right one is the
softmax of its weighted signals over all candidates of the request. Reported figures come from
8-fold cross-validation, three times over, in which the requests for one skill stay together; what
is written is fitted on all requests. The scores are calibrated on both libraries, with small
talk that no skill answers besides.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from tests.benchmarks import calibration

from skillrouter_mcp.evaluation.records import Request, pool_folder, read_requests
from skillrouter_mcp.routing.request import read_request
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, gather
from skillrouter_mcp.settings import load_settings

PENALTY = 3.0  # of the squared weights, each in units of its signal's deviation
FOLDS, REPEATS = 8, 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A request with its candidates in one library.

    Attributes:
        signals: shape (candidates, signals).
        right: which candidates are right.
        readable: the share of the request that the encoder reads.
        size: of the library, in documents.
        answerable: whether the library holds a right skill.
    """

    request: Request
    signals: Floats
    right: NDArray[np.bool_]
    readable: float
    size: int
    answerable: bool

    def outcome(self, weights: Floats, usual: Floats) -> calibration.Outcome:
        """What comes of it with these weights; `usual` holds typical signals, 0 for words."""
        sums = self.signals @ weights
        order = np.argsort(-sums)
        group = min(self.request.relevant, default=self.request.id)
        dense = slice(len(LEXICAL), None)
        nearness = float((self.signals[order[:1], dense] @ weights[dense]).sum())
        floor = float(usual @ weights) * self.readable
        return calibration.Outcome(
            group, self.size, self.answerable, sums[order], nearness, floor, self.right[order]
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    requests = read_requests(arguments.data / "dev.jsonl")
    pool = arguments.data / "skills.jsonl.gz"
    cases = gather_cases(requests, pool, arguments.home)
    few = gather_cases(requests, small_pool(arguments.data, arguments.home), arguments.home)
    print(f"{len(cases)} requests, {np.mean([len(case.right) for case in cases]):.0f} candidates")
    columns = list(range(len(SIGNALS)))
    figures = report("all signals", cases, columns)
    for left_out in columns:
        report(f"without {SIGNALS[left_out]}", cases, [c for c in columns if c != left_out])
    report("words only", cases, [c for c in columns if SIGNALS[c] not in ("label", "window")])
    report("vectors only", cases, [c for c in columns if SIGNALS[c] in ("label", "window")])
    weights = fit(cases, columns)
    print(json.dumps(dict(zip(SIGNALS, weights.round(2).tolist(), strict=True))))
    usual = typical(cases + few)
    cases += gather_cases(small_talk(), pool, arguments.home)
    few += gather_cases(small_talk(), small_pool(arguments.data, arguments.home), arguments.home)
    outcomes = [
        case.outcome(weights, np.array([usual.get(name, 0.0) for name in SIGNALS]))
        for case in cases + few
        if len(case.right)
    ]
    figures |= calibration.report(outcomes)
    fitted = calibration.fit_calibration(outcomes)
    weak = calibration.fit_threshold(fitted, calibration.in_smallest(outcomes))
    print(fitted, f"weak from {weak}")
    if arguments.write:
        write(
            {
                "provenance": "python -m tests.benchmarks.fit_weights; cross-validated in percent: "
                + ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items()),
                "weights": dict(zip(SIGNALS, weights.round(2).tolist(), strict=True)),
                "typical": usual,
                "calibration": fitted.model_dump(),
                "verdict": {"match": max(calibration.SURE, weak), "weak": weak},
            }
        )


def small_pool(data: Path, home: Path) -> Path:
    """The pool of the library that can't answer every request."""
    wanted = set(json.loads((data / "abstain-dev.json").read_text(encoding="utf-8"))["library"])
    path = home / "few.jsonl"
    with gzip.open(data / "skills.jsonl.gz", "rt", encoding="utf-8") as lines:
        chosen = [line for line in lines if json.loads(line)["skill_id"] in wanted]
    path.write_text("".join(chosen), encoding="utf-8")
    return path


def small_talk() -> list[Request]:
    """What is said to an agent and needs no skill; written for this purpose."""
    lines = Path(__file__).with_name("small_talk.txt").read_text(encoding="utf-8").splitlines()
    return [
        Request(id=f"talk-{n}", query=line, relevant=frozenset()) for n, line in enumerate(lines)
    ]


def gather_cases(requests: Sequence[Request], pool: Path, home: Path) -> list[Case]:
    """Every request with its candidates, through the router's own code."""
    folder = pool_folder(pool, home / "eval")
    settings = load_settings(home=folder.parent, roots=(folder,))
    here = {path.name for path in folder.iterdir()}
    cases = []
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
        encoder, library = router.encoder(), router.library
        for request in requests:
            read = read_request(request.query, library.words, encoder.model.languages)
            vector = encoder.encode_queries([read.gist])[0] if read.gist else None
            candidates = gather(read, vector, library.snapshot, library.words)
            places = library.locate(candidates.document_ids.tolist())
            ids = [Path(places[i].path).parent.name for i in candidates.document_ids.tolist()]
            cases.append(
                Case(
                    request,
                    candidates.signals.astype(np.float64),
                    np.array([skill_id in request.relevant for skill_id in ids]),
                    candidates.readable,
                    len(library.snapshot.visible),
                    bool(request.relevant & here),
                )
            )
    return cases


def typical(cases: Sequence[Case]) -> dict[str, float]:
    """How near candidates are by the encoder's signals, where it can read all of a request."""
    read = np.concatenate([case.signals for case in cases if case.readable == 1])
    means = read.mean(axis=0).round(3).tolist()
    return {name: means[n] for n, name in enumerate(SIGNALS) if name not in LEXICAL}


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


def write(content: dict[str, object]) -> None:
    """Replaces the weights that the router ships."""
    path = Path(str(files("skillrouter_mcp.routing").joinpath("weights.json")))
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
