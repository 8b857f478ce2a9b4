"""What a user can put right."""

from __future__ import annotations


class SkillRouterError(Exception):
    """Something is wrong outside the program; the text says what, where, and what to do."""
