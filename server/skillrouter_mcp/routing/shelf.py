"""The skills that may be found, to be paged through or looked up by what their URIs hold."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrouter_mcp.index.store import Location


def place_of(path: str) -> str:
    """What tells the skill at this path of its `SKILL.md` apart from others of its name."""
    return hashlib.sha256(path.encode()).hexdigest()[:16]


class Shelf:
    """Skills in the order of their paths, copies included."""

    def __init__(self, skills: Sequence[Location]) -> None:
        """
        Args:
            skills: sorted by path.
        """
        self._skills = skills
        self._by_place_and_name = {(place_of(skill.path), skill.name): skill for skill in skills}

    def after(self, path: str, count: int) -> Sequence[Location]:
        """The next `count` skills after this path; it need not be one of theirs."""
        start = bisect.bisect_right(self._skills, path, key=lambda skill: skill.path)
        return self._skills[start : start + count]

    def at(self, place: str, name: str) -> Location | None:
        """The skill with this place and name, None where there is none."""
        return self._by_place_and_name.get((place, name))
