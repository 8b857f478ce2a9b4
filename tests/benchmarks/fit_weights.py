"""Fits how the router's signals add up, and writes `weights.json` with `--write`.

    python -m tests.benchmarks.fit_weights --data FOLDER --home HOME [--profile NAME] [--write]

The weights of the profile `embedded` are the package's; those of another one are written to
`SKILLROUTER_HOME/weights`, where the router finds them, with those of its reranker, if it has one:
see `tests.benchmarks.blending`. `FOLDER` holds `dev.jsonl`, `skills.jsonl.gz` and
`abstain-dev.json`; `HOME` keeps the indexes of both libraries, the whole pool and the 300 skills
that can't answer every request.

The weights are those of a conditional logit: the chance that a candidate is the right one is the
softmax of its weighted signals over all candidates of the request. Reported figures come from
8-fold cross-validation, three times over, in which the requests for one skill stay together; what
is written is fitted on all requests. The scores are calibrated on both libraries, with small
talk that no skill answers besides.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from tests.benchmarks import blending, calibration
from tests.benchmarks.cases import Case, gather_cases, small_pool, small_talk
from tests.benchmarks.logit import fit, report

from skillrouter_mcp.evaluation.records import pool_folder, read_requests
from skillrouter_mcp.routing.fusion import weights_file
from skillrouter_mcp.routing.models import encoder_of, reranker_of
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS
from skillrouter_mcp.settings import Settings, load_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--profile", default="embedded")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    settings = load_settings(profile=arguments.profile)
    requests = read_requests(arguments.data / "dev.jsonl")
    pool = pool_folder(arguments.data / "skills.jsonl.gz", arguments.home / "eval")
    few_pool = pool_folder(small_pool(arguments.data, arguments.home), arguments.home / "eval")
    cases = gather_cases(requests, pool, settings)
    few = gather_cases(requests, few_pool, settings)
    print(f"{len(cases)} requests, {np.mean([len(case.right) for case in cases]):.0f} candidates")
    columns = list(range(len(SIGNALS)))
    figures = report("all signals", cases, columns)
    for left_out in columns:
        report(f"without {SIGNALS[left_out]}", cases, [c for c in columns if c != left_out])
    report("words only", cases, [c for c in columns if SIGNALS[c] not in ("label", "window")])
    report("vectors only", cases, [c for c in columns if SIGNALS[c] in ("label", "window")])
    weights = fit(cases, columns)
    print(json.dumps(dict(zip(SIGNALS, weights.round(2).tolist(), strict=True))))
    usual, spreads = typical(cases + few), spread(cases + few)
    cases += gather_cases(small_talk(), pool, settings)
    few += gather_cases(small_talk(), few_pool, settings)
    judged = [case for case in cases + few if len(case.right)]
    usual_signals = np.array([usual.get(name, 0.0) for name in SIGNALS])
    outcomes = [case.outcome(weights, usual_signals) for case in judged]
    verdict = calibration.report(outcomes)
    content: dict[str, Any] = {
        "provenance": provenance(arguments.profile, figures | verdict),
        "encoder": encoder_of(settings).sha256,
        "weights": dict(zip(SIGNALS, weights.round(2).tolist(), strict=True)),
        "typical": usual,
        "spread": spreads,
        **calibration.fitted(outcomes),
    }
    reranker = reranker_of(settings)
    if reranker is not None:
        content["blends"] = {
            reranker.sha256: blending.fit_blend(judged, outcomes, weights, settings)
        }
    print(json.dumps(content, indent=2))
    if arguments.write:
        write(content, settings)


def provenance(profile: str, figures: dict[str, float]) -> str:
    """What made the weights, and how good they are."""
    option = "" if profile == "embedded" else f" --profile {profile}"
    told = ", ".join(f"{name} {figure:.1f}" for name, figure in figures.items())
    return f"python -m tests.benchmarks.fit_weights{option}; cross-validated in percent: {told}"


def typical(cases: Sequence[Case]) -> dict[str, float]:
    """How near candidates are by the encoder's signals, where it can read all of a request."""
    read = np.concatenate([case.signals for case in cases if case.readable == 1])
    means = read.mean(axis=0).round(3).tolist()
    return {name: means[n] for n, name in enumerate(SIGNALS) if name not in LEXICAL}


def spread(cases: Sequence[Case]) -> dict[str, float]:
    """By how much the candidates of a request differ in the encoder's signals, on average."""
    read = [case.signals.std(axis=0) for case in cases if case.readable == 1 and len(case.right)]
    means = np.mean(read, axis=0).round(3).tolist()
    return {name: means[n] for n, name in enumerate(SIGNALS) if name not in LEXICAL}


def write(content: dict[str, Any], settings: Settings) -> None:
    """Replaces the weights that the router ships, or those of the profile on this machine."""
    path = Path(str(files("skillrouter_mcp.routing").joinpath("weights.json")))
    if settings.profile != "embedded":
        path = weights_file(settings.home, encoder_of(settings))
        path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
