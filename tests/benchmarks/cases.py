"""Requests with their candidates, through the router's own code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.benchmarks import calibration

from skillrouter_mcp.evaluation.records import Request
from skillrouter_mcp.routing.ranking import request_for
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import LEXICAL, gather
from skillrouter_mcp.settings import Settings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A request with its candidates in one library.

    Attributes:
        pool: what the library was made of.
        document_ids: of the candidates, shape (candidates,).
        signals: shape (candidates, signals).
        right: which candidates are right.
        readable: the share of the request that the encoder reads.
        size: of the library, in documents.
        answerable: whether the library holds a right skill.
    """

    request: Request
    pool: Path
    document_ids: NDArray[np.int64]
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


def open_router(pool: Path, settings: Settings) -> Router:
    """A router over a library, with its index beside it."""
    here = settings.model_copy(update={"roots": (pool,), "project": None})
    return Router.open(here, keep=False, index=pool.parent)


def gather_cases(requests: Sequence[Request], pool: Path, settings: Settings) -> list[Case]:
    """Every request with its candidates, through the router's own code."""
    here = {path.name for path in pool.iterdir()}
    cases = []
    with open_router(pool, settings) as router:
        router.bring_in_step()
        encoder, library = router.encoder(), router.library
        for request in requests:
            read = request_for(encoder.model, request.query, library.words)
            vector = encoder.encode_queries([read.gist])[0] if read.gist else None
            candidates = gather(read, vector, library.snapshot, library.words)
            places = library.locate(candidates.document_ids.tolist())
            ids = [Path(places[i].path).parent.name for i in candidates.document_ids.tolist()]
            cases.append(
                Case(
                    request,
                    pool,
                    candidates.document_ids,
                    candidates.signals.astype(np.float64),
                    np.array([skill_id in request.relevant for skill_id in ids]),
                    candidates.readable,
                    len(library.snapshot.visible),
                    bool(request.relevant & here),
                )
            )
    return cases
