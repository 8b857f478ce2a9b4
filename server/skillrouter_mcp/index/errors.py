"""What can go wrong with the index, in words for the person who has to act on it."""

from __future__ import annotations

from skillrouter_mcp.errors import SkillRouterError


class DatabaseError(SkillRouterError):
    """The database file cannot be used; the text says what is wrong, where, and what to do."""


class DamagedDatabaseError(DatabaseError):
    """The file is not a database of ours, or is damaged: only making it anew helps."""
