"""Measure how well an encoder's vectors alone find the skills that requests ask for.

    python -m training.evaluate MODEL SKILLS.jsonl.gz REQUESTS.jsonl SCRATCH
    python -m training.evaluate ... --validation EXAMPLES.jsonl NEIGHBOURS.jsonl

The second form takes the held-out skills of the training data, with the nearest neighbours of each
as distractors: for choosing settings. Prints a line of JSON for each view and kind of request:
`label`, `window` (the best of a skill's), `both` (the sum of those two) and, with --full, `full`
(label and the beginning of the body as one text). SCRATCH keeps what is embedded: the same command
again goes on from there.
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

_TOKENS = 256
_FULL_CHARACTERS = 2_000
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
    parser.add_argument("--full", action="store_true", help="the view `full` too")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    skills = list(corpus.read_skills(options.skills))
    requests = [each for each in corpus.read_requests(options.requests) if each.lang == "en"]
    if options.validation:
        examples, neighbours = options.validation
        asked_for, pool = validation(examples, neighbours, options.near)
        skills = [skill for skill in skills if skill.skill_id in pool]
        requests = [each for each in requests if asked_for.issuperset(each.relevant)]
    logging.info("%d requests, %d skills", len(requests), len(skills))
    scores = compare(Encoder(options.model, _TOKENS), skills, requests, options)
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


def compare(
    encoder: Encoder,
    skills: Sequence[Skill],
    requests: Sequence[Request],
    options: argparse.Namespace,
) -> dict[str, Floats]:
    """The cosines by view, each of shape (requests, skills)."""
    asked = encoder.encode([request.query for request in requests])
    labels = [views.label(skill.name, skill.description) for skill in skills]
    windows = [views.windows(skill.name, skill.body) for skill in skills]
    scratch = options.scratch
    label = asked @ _embed(encoder, labels, scratch).T
    every = asked @ _embed(encoder, [text for row in windows for text in row], scratch).T
    window = np.zeros_like(label)
    start = 0
    for place, row in enumerate(windows):
        if row:
            window[:, place] = every[:, start : start + len(row)].max(axis=1)
        start += len(row)
    scores = {"label": label, "window": window, "both": label + window}
    if options.full:
        full = [
            f"{text}\n{skill.body[:_FULL_CHARACTERS]}"
            for text, skill in zip(labels, skills, strict=True)
        ]
        scores["full"] = asked @ _embed(encoder, full, scratch).T
    return scores


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
