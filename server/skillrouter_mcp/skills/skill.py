"""A skill as the rest of the product sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Skill:
    """One loaded `SKILL.md`.

    `name` and `description` are one line each, free of control, bidi and invisible characters.
    So is all text in `front_matter`, but for tabs and line feeds. `body` is the author's own text:
    data, to be cleaned before it is shown.
    """

    name: str
    """From the front matter, else the folder's name; never empty."""

    description: str
    """From the front matter; empty when there is none."""

    body: str
    """The Markdown after the front matter, with `\\n` line ends."""

    front_matter: Mapping[str, object]
    """What JSON can hold: text, booleans, null, lists and mappings. Numbers and dates are kept as
    they were written."""

    warnings: tuple[str, ...]
    """What the author should put right, as plain sentences that are safe to print."""

    hidden: bool
    """The author asked that no model should call on this skill (`disable-model-invocation`)."""


class SkillError(Exception):
    """A `SKILL.md` that can't be loaded. `reason` says why and what to do; it is safe to print."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
