"""Skills that say the same, found as SkillRouter (arXiv 2603.22455) filters false negatives: same
name, trigrams of the bodies with a Jaccard similarity over 0.6, vectors with a cosine over 0.92."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skillrouter_mcp.index.mirror import Floats, Mirror

JACCARD = 0.6
COSINE = 0.92

Trigrams = NDArray[np.uint32]

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))

# MinHash with banding (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4): of pairs at
# the threshold 1 in 1,500 is missed, of nearer ones fewer still.
_BANDS, _ROWS = 30, 3
_MOST_COMPARED = 32
_BLOCK = 1_024


@dataclass(frozen=True, slots=True)
class Group:
    """Skills that are near-copies of one another, by position, with how near they come.

    `jaccard` and `cosine` are the highest of those links that made the group, 0 for none.
    """

    members: tuple[int, ...]
    same_name: bool
    jaccard: float
    cosine: float


class Shingler:
    """Turns bodies into sets of trigrams: three words in a row, or three ideographs.

    The same in every process, so that the work can be shared among several.
    """

    def __init__(self) -> None:
        self._vocabulary = _Vocabulary()

    def trigrams(self, body: str) -> Trigrams:
        """Hashes of the trigrams of a body, sorted and each once; none of under three words."""
        words = map(self._vocabulary.__getitem__, _WORD.findall(body.lower()))
        ids = np.fromiter(words, np.uint64)
        if len(ids) < 3:
            return np.zeros(0, np.uint32)
        hashes = (ids[:-2] * _MIX[0] + ids[1:-1]) * _MIX[1] + ids[2:]
        found: Trigrams = (hashes * _MIX[2] >> np.uint64(32)).astype(np.uint32)
        found.sort()
        distinct: Trigrams = found[np.append(True, found[1:] != found[:-1])]
        return distinct


class _Vocabulary(dict[str, int]):
    """Hashes of words, each made once."""

    def __missing__(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        self[word] = value = int.from_bytes(digest, "little")
        return value


def near_copies(
    names: Sequence[str], trigrams: Sequence[Trigrams], vectors: Floats | None
) -> list[Group]:
    """Groups of near-copies, the largest first; those that share a name alone are left out.

    A skill belongs to a group if it is a near-copy of any in it.

    Args:
        vectors: a unit vector for each skill, zeros where there is none; None without vectors.
    """
    groups = _Groups(len(names))
    _join_by_trigrams(groups, trigrams)
    if vectors is not None:
        for one, other, cosine in _near(vectors):
            groups.join(one, other, cosine=cosine)
    linked = groups.members()
    return sorted(
        (
            Group(
                tuple(members),
                len({names[member] for member in members}) < len(members),
                *groups.nearest(members[0]),
            )
            for members in linked
        ),
        key=lambda group: (-len(group.members), group.members),
    )


def jaccard(one: Trigrams, other: Trigrams) -> float:
    """The share of all trigrams of two bodies that both have; 0 if their sizes forbid `JACCARD`."""
    if min(len(one), len(other)) <= JACCARD * max(len(one), len(other)):
        return 0.0
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def unit_windows(mirror: Mirror) -> Floats:
    """The windows of a mirror, each of length 1, shape (windows, dimensions)."""
    windows: Floats = mirror.windows.astype(np.float32)
    windows /= np.maximum(np.linalg.norm(windows, axis=1, keepdims=True), 1e-12)
    return windows


def skill_vectors(mirror: Mirror) -> Floats:
    """One unit vector a document of the mirror: the mean of its label and its windows."""
    windows = unit_windows(mirror)
    owners = np.repeat(np.arange(len(mirror.document_ids)), np.diff(mirror.starts))
    vectors: Floats = mirror.labels.copy()
    np.add.at(vectors, owners, windows)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def _join_by_trigrams(groups: _Groups, trigrams: Sequence[Trigrams]) -> None:
    """Joins those whose bodies are near. Of a bucket full of skills each is compared with some of
    every group in it only, as they meet in other buckets again."""
    tested: set[tuple[int, int]] = set()
    for bucket in _buckets(trigrams):
        met: list[int] = []
        heads: set[int] = set()
        for member in bucket:
            if groups.head(member) in heads:
                continue
            for other in met[-_MOST_COMPARED:]:
                pair = (min(member, other), max(member, other))
                if groups.head(member) == groups.head(other) or pair in tested:
                    continue
                tested.add(pair)
                similarity = jaccard(trigrams[member], trigrams[other])
                if similarity > JACCARD:
                    groups.join(member, other, jaccard=similarity)
            met.append(member)
            heads = {groups.head(other) for other in met}


def _buckets(trigrams: Sequence[Trigrams]) -> Iterator[list[int]]:
    """Skills that are likely to be near: alike in all rows of a band of their signatures."""
    keep = [number for number, found in enumerate(trigrams) if len(found)]
    if len(keep) < 2:
        return
    everything = np.concatenate([trigrams[number] for number in keep])
    starts = np.cumsum([0, *(len(trigrams[number]) for number in keep[:-1])])
    numbers = np.array(keep)
    random = np.random.default_rng(0)
    for _ in range(_BANDS):
        rows = [np.minimum.reduceat(_rehash(everything, random), starts) for _ in range(_ROWS)]
        order = np.lexsort(rows)
        differs = np.any([row[order][1:] != row[order][:-1] for row in rows], axis=0)
        for bucket in np.split(numbers[order], np.flatnonzero(differs) + 1):
            if len(bucket) > 1:
                yield sorted(bucket.tolist())


def _rehash(values: Trigrams, random: np.random.Generator) -> Trigrams:
    """Another hash of each value: multiply and shift, twice."""
    first, second = (np.uint32(odd | 1) for odd in random.integers(0, 2**32, 2).tolist())
    mixed: Trigrams = values * first
    mixed ^= mixed >> np.uint32(15)
    mixed *= second
    mixed ^= mixed >> np.uint32(13)
    return mixed


def _near(vectors: Floats) -> Iterator[tuple[int, int, float]]:
    for start in range(0, len(vectors), _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors[start:].T
        ones, others = np.nonzero(cosines > COSINE)
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            if one < other:
                yield start + one, start + other, float(cosines[one, other])


class _Groups:
    """Disjoint sets, with the nearest link of each kind within them."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))
        self._jaccard = [0.0] * count
        self._cosine = [0.0] * count

    def head(self, member: int) -> int:
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: int, other: int, *, jaccard: float = 0.0, cosine: float = 0.0) -> None:
        head, tail = self.head(one), self.head(other)
        self._parents[tail] = head
        self._jaccard[head] = max(self._jaccard[head], self._jaccard[tail], jaccard)
        self._cosine[head] = max(self._cosine[head], self._cosine[tail], cosine)

    def nearest(self, member: int) -> tuple[float, float]:
        head = self.head(member)
        return self._jaccard[head], self._cosine[head]

    def members(self) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for member in range(len(self._parents)):
            groups.setdefault(self.head(member), []).append(member)
        return [members for members in groups.values() if len(members) > 1]
