"""What speaks for each candidate of a request: a number per signal, the same in any library."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from skillrouter_mcp.index.mirror import Floats, Integers
from skillrouter_mcp.index.passages import LABEL, WINDOW
from skillrouter_mcp.index.snapshot import Snapshot
from skillrouter_mcp.index.words import DESCRIPTION, SECTION, TEXT, WordIndex
from skillrouter_mcp.routing.request import Request

NEIGHBOURS = "neighbours"
LEXICAL = (TEXT, SECTION, DESCRIPTION, NEIGHBOURS)
SIGNALS = (*LEXICAL, LABEL, WINDOW)

_DEPTH = 200  # documents are scored by each kind of words; of these become candidates:
_CANDIDATES = {TEXT: 50, SECTION: 100, DESCRIPTION: 30, NEIGHBOURS: 20, LABEL: 50}
_beside = ThreadPoolExecutor(thread_name_prefix="words")  # Tantivy lets go of the interpreter
_DOUBT = 2.0  # in words: that all of a very short request is found says little
CAUTION = 4  # a request of which much cannot be read is misread as a whole


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a request is decided among.

    Attributes:
        document_ids: sorted, shape (candidates,).
        signals: shape (candidates, len(SIGNALS)): BM25 as a share of the request's mass, and
            cosines times `readable`; 0 where a signal has nothing to say of a candidate.
        embedded: whether a candidate has vectors, shape (candidates,).
        readable: how far the encoder can be trusted to have read the request, 0 to 1.
    """

    document_ids: Integers
    signals: Floats
    embedded: NDArray[np.bool_]
    readable: float


def gather(
    request: Request, vector: Floats | None, snapshot: Snapshot, words: WordIndex
) -> Candidates:
    """The visible documents that any signal ranks high, with all signals of each.

    Args:
        vector: the request's unit vector, None if the encoder can read nothing of it.
    """
    visible, mirror = snapshot.visible, snapshot.mirror

    def search(field: str) -> dict[int, float]:
        return words.search(field, request.clauses, _DEPTH, visible)

    def search_beside() -> dict[str, dict[int, float]]:
        together = words.search_together(request.neighbours, _DEPTH, visible)
        return {SECTION: search(SECTION), NEIGHBOURS: together}

    beside = _beside.submit(search_beside)
    try:
        lexical = {TEXT: search(TEXT), DESCRIPTION: search(DESCRIPTION)}
        near = np.zeros(0, np.int64)
        if vector is not None:
            near = mirror.document_ids[mirror.nearest(vector, visible, _CANDIDATES[LABEL])]
    finally:
        wait([beside])
    lexical |= beside.result()
    for document_id, score in lexical[TEXT].items():
        if document_id in words.without_sections:  # its whole text stands for its best section
            lexical[SECTION].setdefault(document_id, score)
    best = [
        np.fromiter(islice(scores, _CANDIDATES[name]), np.int64) for name, scores in lexical.items()
    ]
    document_ids = np.unique(np.concatenate([near, *best]))
    signals = np.zeros((len(document_ids), len(SIGNALS)), np.float32)
    for column, name in enumerate(LEXICAL):
        scores = lexical[name]
        signals[:, column] = [scores.get(i, 0.0) for i in document_ids.tolist()]
    signals *= _lexical_scale(request)
    rows, embedded = mirror.rows(document_ids)
    if vector is not None:
        rows = rows[embedded]
        signals[embedded, SIGNALS.index(LABEL)] = mirror.label_cosines(vector, rows)
        signals[embedded, SIGNALS.index(WINDOW)] = mirror.window_cosines(vector, rows)
    readable = 0.0 if vector is None else request.reading.share**CAUTION
    signals[:, len(LEXICAL) :] *= readable
    return Candidates(document_ids, signals, embedded, readable)


def _lexical_scale(request: Request) -> float:
    said = sum(clause.weight for clause in request.clauses)
    return said / (said + _DOUBT) / max(request.mass, 1e-9)
