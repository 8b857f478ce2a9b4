"""What a server asks for skills: a router of its own, or the owner's through a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.index.store import Location
    from skillrouter_mcp.routing.answer import Answer


class SkillFinder(Protocol):
    """Finds skills in the given roots, by default in those of the settings.

    To be used from any thread; methods raise `SkillRouterError` and `ModelError`.
    """

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        """See `Router.find`."""

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        """See `Router.skills_after`."""

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        """See `Router.skill_at`."""

    def close(self) -> None:
        """Frees what was opened."""
