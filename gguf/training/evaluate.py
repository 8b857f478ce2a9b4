"""Measure how well an encoder's vectors alone find the skills that requests ask for.

    python -m training.evaluate MODEL SKILLS.jsonl.gz REQUESTS.jsonl SCRATCH
    python -m training.evaluate ... --validation EXAMPLES.jsonl NEIGHBOURS.jsonl [--families]

The second form takes the held-out skills of the training data, with the nearest neighbours of each
as distractors: for choosing settings. With --families, each is to be found among the skills with
the same description, which only their bodies tell apart. Prints a line of JSON for each view and
kind of request: `label`, `window` (the best of a skill's), `both` (the sum of those two) and, where
it is asked for, `full` (label and the beginning of the body as one text). SCRATCH keeps what is
embedded: the same command again goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training import corpus, views
from training.corpus import Request, Skill
from training.encoder import Encoder

Floats = NDArray[np.float32]

VIEWS = ("label", "window", "both", "full")
_TOKENS = 256
_PART = 500  # texts that are embedded before they are kept


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("skills", type=Path)
    parser.add_argument("requests", type=Path)
    parser.add_argument("scratch", type=Path, help="folder for vectors")
    parser.add_argument(
        "--validation", type=Path, nargs=2, metavar=("EXAMPLES", "NEIGHBOURS"), default=None
    )
    parser.add_argument("--near", type=int, default=5, help="distractors a skill (%(default)s)")
    parser.add_argument("--families", action="store_true", help="tell near copies apart")
    parser.add_argument(
        "--views", nargs="+", choices=VIEWS, default=VIEWS[:-1], help="default: all but full"
    )
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args(arguments)
    if options.families and not options.validation:
        parser.error("--families needs --validation")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    skills = list(corpus.read_skills(options.skills))
    requests = [each for each in corpus.read_requests(options.requests) if each.lang == "en"]
    if options.validation:
        examples, neighbours = options.validation
        asked_for, pool = validation(examples, neighbours, options.near)
        if options.families:
            asked_for, pool = near_copies(skills, asked_for)
        skills = [skill for skill in skills if skill.skill_id in pool]
        requests = [each for each in requests if asked_for.issuperset(each.relevant)]
    logging.info("%d requests, %d skills", len(requests), len(skills))
    scores = compare(Encoder(options.model, _TOKENS), skills, requests, options)
    if options.families:
        family = {skill.skill_id: _description(skill) for skill in skills}
        found = [family[skill.skill_id] for skill in skills]
        for matrix in scores.values():
            for row, request in zip(matrix, requests, strict=True):
                row[[each != family[request.relevant[0]] for each in found]] = -np.inf
    for view, matrix in scores.items():
        for line in report(view, matrix, skills, requests):
            sys.stdout.write(f"{json.dumps(line)}\n")


def validation(examples: Path, neighbours: Path, near: int) -> tuple[set[str], set[str]]:
    """The ids of the held-out skills, and of those with the `near` nearest of each."""
    held_out = {e.skill_id for e in corpus.read_examples(examples) if e.split == "validation"}
    pool = set(held_out)
    for each in corpus.read_neighbours(neighbours):
        if each.skill_id in held_out:
            pool.update(each.near[:near])
    return held_out, pool


def near_copies(skills: Sequence[Skill], held_out: set[str]) -> tuple[set[str], set[str]]:
    """The ids of those held-out skills that share their description with others, and of all that
    have it."""
    families: dict[str, set[str]] = {}
    for skill in skills:
        families.setdefault(_description(skill), set()).add(skill.skill_id)
    shared = [
        family
        for description, family in families.items()
        if description and len(family) > 1 and family & held_out
    ]
    pool = {skill_id for family in shared for skill_id in family}
    return pool & held_out, pool


def _description(skill: Skill) -> str:
    return " ".join(skill.description.casefold().split())


def compare(
    encoder: Encoder,
    skills: Sequence[Skill],
    requests: Sequence[Request],
    options: argparse.Namespace,
) -> dict[str, Floats]:
    """The cosines by view, each of shape (requests, skills)."""
    asked = encoder.encode([request.query for request in requests])
    labels = [views.label(skill.name, skill.description) for skill in skills]
    wanted, scratch = set(options.views), options.scratch
    scores: dict[str, Floats] = {}
    if wanted & {"label", "both"}:
        scores["label"] = asked @ _embed(encoder, labels, scratch).T
    if wanted & {"window", "both"}:
        scores["window"] = _best_windows(encoder, asked, skills, scratch)
    if "both" in wanted:
        scores["both"] = scores["label"] + scores["window"]
    if "full" in wanted:
        full = [views.full(text, skill.body) for text, skill in zip(labels, skills, strict=True)]
        scores["full"] = asked @ _embed(encoder, full, scratch).T
    return {view: scores[view] for view in VIEWS if view in wanted}


def _best_windows(
    encoder: Encoder, asked: Floats, skills: Sequence[Skill], scratch: Path
) -> Floats:
    windows = [views.windows(skill.name, skill.body) for skill in skills]
    every = asked @ _embed(encoder, [text for row in windows for text in row], scratch).T
    best = np.zeros((len(asked), len(skills)), np.float32)
    start = 0
    for place, row in enumerate(windows):
        if row:
            best[:, place] = every[:, start : start + len(row)].max(axis=1)
        start += len(row)
    return best


def _embed(encoder: Encoder, texts: Sequence[str], scratch: Path) -> Floats:
    """The vectors of texts; parts already in SCRATCH, by model and content, are read from there."""
    scratch.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), _PART):
        part = texts[start : start + _PART]
        digest = hashlib.sha256("\0".join([encoder.digest, *part]).encode()).hexdigest()
        file = scratch / f"{digest[:32]}.npy"
        if not file.is_file():
            partial = scratch / f"{digest[:32]}.partial.npy"
            np.save(partial, encoder.encode(part))
            partial.replace(file)
        parts.append(np.load(file))
    return np.concatenate(parts)


def report(
    view: str, scores: Floats, skills: Sequence[Skill], requests: Sequence[Request]
) -> list[dict[str, object]]:
    """Hit@1, MRR@10 and recall of one view, for each kind of request, in percent."""
    place = {skill.skill_id: n for n, skill in enumerate(skills)}
    lines: list[dict[str, object]] = []
    for kind in sorted({request.kind for request in requests}):
        ranks = []
        for row, request in zip(scores, requests, strict=True):
            if request.kind == kind:
                best = max(row[place[skill_id]] for skill_id in request.relevant)
                ranks.append(1 + int((row > best).sum()))
        of = np.array(ranks)
        lines.append(
            {
                "view": view,
                "kind": kind,
                "requests": len(of),
                "hit@1": _percent(of <= 1),
                "mrr@10": _percent(np.where(of <= 10, 1 / of, 0)),
                "recall@10": _percent(of <= 10),
                "recall@50": _percent(of <= 50),
            }
        )
    return lines


def _percent(values: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    return round(100 * float(values.mean()), 1)


if __name__ == "__main__":
    main()
