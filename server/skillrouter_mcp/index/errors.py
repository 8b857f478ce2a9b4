"""What can go wrong with the index, in words for the person who has to act on it."""

from __future__ import annotations

from skillrouter_mcp.errors import SkillRouterError


class DatabaseError(SkillRouterError):
    """The database file cannot be used; the text says what is wrong, where, and what to do."""


class DamagedWordsError(SkillRouterError):
    """The word index cannot be read or written: only making it anew helps."""


class DamagedDatabaseError(DatabaseError):
    """The file is not a database of ours, or is damaged: only making it anew helps."""


class QuarantinedError(SkillRouterError):
    """A text that has ended llama.cpp before is kept from it."""


class UnwritableDatabaseError(DatabaseError):
    """The file cannot be written; it may be that it can be read."""


class NotKeptError(SkillRouterError):
    """Nothing can be found, since the folders cannot be brought into the index; says why."""
