"""Whether skills are found by what their own descriptions say."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from skillrouter_mcp.health.finding import Progress
from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing.router import Router

DEPTH = 10
"""So many matches an answer may have for a skill to count as found."""

_BLOCK = 1_024


@dataclass(frozen=True, slots=True)
class Reach:
    """How many descriptions were asked for, of how many, and the paths that none of them found."""

    asked: int
    of: int
    missed: tuple[str, ...]


def check_reach(
    router: Router,
    descriptions: Mapping[str, str],
    progress: Progress,
    seconds: float,
) -> Reach:
    """Asks the router for skills by their descriptions, those first that have near neighbours, as
    these are the likeliest to stand in their way.

    Args:
        descriptions: by path.
        seconds: after which no more requests are made.
    """
    documents = {place.path: place.document_id for place in router.library.locations()}
    paths = _by_crowd(router, [path for path in descriptions if path in documents], documents)
    missed: list[str] = []
    asked = 0
    deadline = time.monotonic() + seconds
    for path in paths:
        if time.monotonic() > deadline:
            break
        found = router.rank(descriptions[path], DEPTH).matches
        if documents[path] not in {documents.get(match.path) for match in found}:
            missed.append(path)
        asked += 1
        progress.checking("asking", asked, len(paths), "skills")
    return Reach(asked, len(paths), tuple(sorted(missed)))


def _by_crowd(router: Router, paths: list[str], documents: Mapping[str, int]) -> list[str]:
    mirror = router.library.snapshot.mirror
    crowd = dict(zip(mirror.document_ids.tolist(), _crowd(mirror.labels).tolist(), strict=True))
    return sorted(paths, key=lambda path: (-crowd.get(documents[path], 1.0), path))


def _crowd(labels: Floats) -> Floats:
    """How near the tenth neighbour of each label is, shape (labels,)."""
    tenth = np.zeros(len(labels), np.float32)
    if len(labels) <= DEPTH:
        return tenth
    for start in range(0, len(labels), _BLOCK):
        cosines = labels[start : start + _BLOCK] @ labels.T
        place = len(labels) - 1 - DEPTH
        tenth[start : start + _BLOCK] = np.partition(cosines, place, axis=1)[:, place]
    return tenth
