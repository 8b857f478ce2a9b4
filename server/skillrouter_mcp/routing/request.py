"""What a request asks for: terms for the word index, and a text for the encoder."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from skillrouter_mcp.index.analysis import CJK, pairs, with_parts
from skillrouter_mcp.index.clauses import Clause, Neighbours
from skillrouter_mcp.index.glossary import Reading, load_glossary, readable
from skillrouter_mcp.index.words import WordIndex

_MOST_CHARACTERS = 20_000  # of a request are read; more is pasted matter
_MOST_CLAUSES = 32
_MOST_NEIGHBOURS = 64
_MOST_LOOKED_INTO = 10_000  # documents, for where in them two terms stand; rare terms come first
_FEW_WORDS = 8  # are embedded as they are
_LEAST_TOLD, _SHARE_TOLD, _MOST_TOLD = 12, 0.75, 28  # of a longer request's words are embedded
_LONGEST_TOLD = 200  # characters of a word
_PAIR_WEIGHT = 0.1
_GLOSS_WEIGHT = 0.7


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the signals read it.

    Attributes:
        clauses: what to look for in the word index, the most telling first.
        neighbours: terms that stand together in it, those first that fewest documents hold.
        mass: what a text that holds everything asked for would be worth: weight times idf.
        reading: what the encoder can read of it.
        gist: of what it can read, what it is given; empty if it can read nothing.
    """

    clauses: tuple[Clause, ...]
    neighbours: tuple[Neighbours, ...]
    mass: float
    reading: Reading
    gist: str


def read_request(
    query: str, words: WordIndex, languages: Sequence[str], whole: int | None = None
) -> Request:
    """Reads a request.

    Args:
        languages: what the encoder reads, as ISO 639-1 codes or "multilingual".
        whole: so many characters of it the encoder is given as they are; by default, the gist.
    """
    query = query[:_MOST_CHARACTERS].encode(errors="replace").decode()
    counts = _clauses(query, words)
    worth = {
        clause: clause.weight * max(words.idf(term) for term in clause.terms) for clause in counts
    }
    # What is said often is meant; a term that no skill holds cannot be found, but was asked for.
    order = sorted(counts, key=lambda clause: -worth[clause] * (1 + math.log(counts[clause])))
    known = [clause for clause in order if any(words.frequency(term) for term in clause.terms)]
    reading = readable(query, languages)
    return Request(
        tuple(known[:_MOST_CLAUSES]),
        _neighbours(query, words),
        sum(worth[clause] for clause in order[:_MOST_CLAUSES]),
        reading,
        _gist(reading.english, words) if whole is None else reading.english[:whole],
    )


def _neighbours(query: str, words: WordIndex) -> tuple[Neighbours, ...]:
    """Terms that stand together in a request, as many as can be looked for in little time."""
    found = dict.fromkeys(pair for part in CJK.split(query) for pair in words.neighbours(part))
    holding = {
        pair: min(words.frequency(pair.first), words.frequency(pair.second))
        for pair in itertools.islice(found, _MOST_NEIGHBOURS)
    }
    known = sorted((pair for pair in holding if holding[pair]), key=holding.__getitem__)
    looked_into = itertools.accumulate(holding[pair] for pair in known)
    return tuple(
        pair for pair, total in zip(known, looked_into, strict=True) if total <= _MOST_LOOKED_INTO
    )


def _gist(text: str, words: WordIndex) -> str:
    """A short text as it is; of a longer one the words that tell most, in their order.

    Embedding takes time with every word, and the mean over hundreds of words is near everything.
    """
    said = text.split()
    if len(said) <= _FEW_WORDS:
        return text
    worth: dict[int, float] = {}
    unknown = []
    for place, terms in _first_said(said, words).items():
        known = [words.idf(term) for term in terms if words.frequency(term)]
        if known:
            worth[place] = max(known)
        else:
            unknown.append(place)
    # A word that no skill holds may be what matters, or noise.
    middle = statistics.median(worth.values()) if worth else 0.0
    worth |= dict.fromkeys(unknown, middle)
    most = min(max(_LEAST_TOLD, round(_SHARE_TOLD * len(worth))), _MOST_TOLD)
    told = sorted(worth, key=lambda place: (-worth[place], place))[:most]
    return " ".join(said[place][:_LONGEST_TOLD] for place in sorted(told)) or text


def _first_said(said: Sequence[str], words: WordIndex) -> dict[int, tuple[str, ...]]:
    """Where each word stands first that says something, with its terms."""
    first: dict[tuple[str, ...], int] = {}
    for place, word in enumerate(said):
        # The word index knows Chinese by pairs of characters, and no longer runs of it.
        if terms := tuple(words.analyze(word)) or tuple(CJK.findall(word)):
            first.setdefault(terms, place)
    return {place: terms for terms, place in first.items()}


def _clauses(query: str, words: WordIndex) -> Counter[Clause]:
    """What is asked for, and how often."""
    latin = Counter(words.analyze(with_parts(CJK.sub(" ", query))))
    clauses = Counter({Clause((term,)): count for term, count in latin.items()})
    if query.isascii():
        return clauses
    runs = " ".join(pair for run in CJK.findall(query) for pair in pairs(run))
    for term, count in Counter(words.analyze(runs)).items():
        clauses[Clause((term,), _PAIR_WEIGHT)] = count
    seen = set(latin)
    for gloss in load_glossary().glosses(query):
        terms = dict.fromkeys(words.analyze(" ".join(gloss.english or ())))
        fresh = tuple(term for term in terms if term not in seen)
        if fresh:
            seen.update(fresh)
            clauses[Clause(fresh, _GLOSS_WEIGHT)] = 1
    return clauses
