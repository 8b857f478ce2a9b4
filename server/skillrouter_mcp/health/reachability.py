"""Whether skills are found by what their own descriptions say.

To ask for thousands takes minutes. So each is first compared with the others by the signals that
weigh most: the words of its description in descriptions and in sections of bodies, and its vector
of name and description, which is kept, with the windows of bodies. A skill with which fewer than
`DEPTH` others keep up in any of these is found. The others are asked for.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from skillrouter_mcp.health.finding import Progress
from skillrouter_mcp.health.near_copies import unit_windows
from skillrouter_mcp.health.side_by_side import side_by_side
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.index.words import DESCRIPTION, SECTION, WordIndex
from skillrouter_mcp.routing.request import read_request
from skillrouter_mcp.routing.router import Router

DEPTH = 10
"""So many matches an answer may have for a skill to count as found."""

_BLOCK = 256
_MOST_SENTENCES = 5  # of a description are asked for where the whole finds nothing
_SENTENCE = re.compile(r"[^.!?;。！？；\n]+")
_LEAST_SENTENCE = 12  # characters

# Documents that keep up with another in some signal.
_Rivals: TypeAlias = frozenset[int]


@dataclass(frozen=True, slots=True)
class Reach:
    """What came of looking at the descriptions.

    Attributes:
        of: how many skills there are, copies counted once.
        clear: how many of them stand out, and need not be asked for.
        asked: how many were asked for. What is left there was no time for.
        missed: paths of those that no request found.
    """

    of: int
    clear: int
    asked: int
    missed: tuple[str, ...]


def check_reach(
    router: Router,
    descriptions: Mapping[str, str],
    progress: Progress,
    seconds: float,
) -> Reach:
    """Looks for skills by their descriptions; where the whole finds nothing, by its sentences.

    Args:
        descriptions: by path; of those that are not in the index nothing is said.
        seconds: after which no more requests are made.
    """
    deadline = time.monotonic() + seconds
    paths: dict[int, str] = {}
    for place in router.library.locations():
        if place.path in descriptions:
            paths.setdefault(place.document_id, place.path)
    wanted = {document: descriptions[path] for document, path in paths.items()}
    rivals = _rivals(router, wanted, progress, deadline)
    unclear = [document for document in wanted if not _is_clear(rivals.get(document))]
    unclear.sort(key=lambda document: (-_crowd(rivals.get(document)), paths[document]))
    missed: list[str] = []
    asked = 0
    for document in unclear:
        if time.monotonic() > deadline:
            break
        if not _is_found(router, document, wanted[document]):
            missed.append(paths[document])
        asked += 1
        progress.checking("asking for", asked, len(unclear), "skills")
    return Reach(len(wanted), len(wanted) - len(unclear), asked, tuple(sorted(missed)))


def requests_of(description: str) -> Iterator[str]:
    """What a description may be looked for by: all of it, then its sentences."""
    yield description
    sentences = [text.strip() for text in _SENTENCE.findall(description)]
    if len(sentences) > 1:
        long = [text for text in sentences if len(text) >= _LEAST_SENTENCE]
        yield from long[:_MOST_SENTENCES]


def _is_found(router: Router, document: int, description: str) -> bool:
    """Whether a request of its description has it, or a copy, among the first matches."""
    for request in requests_of(description):
        found = {match.path for match in router.rank(request, DEPTH).matches}
        if any(place.path in found for place in router.library.locate([document]).values()):
            return True
    return False


def _is_clear(rivals: _Rivals | None) -> bool:
    return rivals is not None and len(rivals) < DEPTH


def _crowd(rivals: _Rivals | None) -> int:
    return DEPTH if rivals is None else len(rivals)


def _rivals(
    router: Router, descriptions: Mapping[int, str], progress: Progress, deadline: float
) -> dict[int, _Rivals]:
    """Those that keep up with each document, left out where they are too many to tell or there was
    no time to look."""
    by_meaning = _nearer(router.library.snapshot.mirror, descriptions.keys(), deadline)
    items = [(document, descriptions[document]) for document in by_meaning]
    languages = router.encoder().model.languages
    look = partial(_better_by_words, router.library.words.folder, languages)
    rivals: dict[int, _Rivals] = {}
    done = 0
    for part in side_by_side(look, items):
        done += len(part)
        for document, by_words in part.items():
            if by_words is not None:
                rivals[document] = by_words | by_meaning[document]
        progress.checking("looking for", done, len(items), "skills")
        if time.monotonic() > deadline:
            break
    return rivals


def _nearer(mirror: Mirror, wanted: Collection[int], deadline: float) -> dict[int, _Rivals]:
    """The documents whose windows are as near to the label of each as its own windows are, left
    out where they are `DEPTH` or more."""
    found: dict[int, _Rivals] = {}
    ids = mirror.document_ids
    rows = np.flatnonzero(np.isin(ids, list(wanted)) & (np.diff(mirror.starts) > 0))
    filled = np.flatnonzero(np.diff(mirror.starts))
    windows = unit_windows(mirror)
    for start in range(0, len(rows), _BLOCK):
        if time.monotonic() > deadline:
            break
        block = rows[start : start + _BLOCK]
        cosines = mirror.labels[block] @ windows.T
        best = np.maximum.reduceat(cosines, mirror.starts[filled], axis=1)
        own = best[np.arange(len(block)), np.searchsorted(filled, block)]
        for row, near in zip(block.tolist(), best >= own[:, None], strict=True):
            if np.count_nonzero(near) <= DEPTH:  # with itself
                found[int(ids[row])] = frozenset(ids[filled[near]].tolist()) - {int(ids[row])}
    return found


def _better_by_words(
    folder: Path, languages: Sequence[str], descriptions: Sequence[tuple[int, str]]
) -> dict[int, _Rivals | None]:
    """The documents that do as well as each when descriptions and sections are searched for the
    words of its description; None where it is not among the first."""
    words = WordIndex(folder)
    return {
        document: _better(words, document, description, languages)
        for document, description in descriptions
    }


def _better(
    words: WordIndex, document: int, description: str, languages: Sequence[str]
) -> _Rivals | None:
    clauses = read_request(description, words, languages).clauses
    rivals: set[int] = set()
    for field in (DESCRIPTION, SECTION):
        scores = words.search(field, clauses, DEPTH + 1)
        own = scores.pop(document, None)
        if own is None:
            return None
        rivals.update(other for other, score in scores.items() if score >= own)
    return frozenset(rivals)
