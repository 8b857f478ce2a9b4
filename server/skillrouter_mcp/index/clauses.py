"""What a request asks the word index for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing a request asks for: a term, or several of which the best counts."""

    terms: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two terms of a text, `distance` words apart."""

    first: str
    second: str
    distance: int
