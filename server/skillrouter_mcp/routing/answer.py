"""What comes out of a router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["match", "weak", "none", "empty"]


@dataclass(frozen=True, slots=True)
class Match:
    """A skill that was found.

    Attributes:
        path: absolute path of its `SKILL.md`.
        score: between 0 and 1, comparable between requests.
        parts: what each signal contributed to its rank, by the signal's name.
    """

    name: str
    path: str
    score: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """The matches of a request, best first.

    Attributes:
        verdict: how well the best match fits; "empty" only where it is known that there are no
            skills.
        skills: how many skills could have been found.
        pending: how many of them could be found by their words alone.
        candidates: how many skills a reranker was to read, 0 where there is none.
        read: how many of them it has read.
        unread_because: what was in its way, if it was more than the time.
    """

    matches: tuple[Match, ...]
    verdict: Verdict
    skills: int
    pending: int
    candidates: int = 0
    read: int = 0
    unread_because: str = ""
