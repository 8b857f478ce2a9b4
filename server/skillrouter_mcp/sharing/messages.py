"""What passes through the channel, as JSON and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.skills import Root

if TYPE_CHECKING:
    from skillrouter_mcp.index.account import Account
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.index.store import Location


class OwnerError(SkillRouterError):
    """The owner of the index could not do what it was asked for; the text is its own."""


def pack_roots(roots: Roots) -> list[list[str]]:
    return [[str(root.path), root.scope] for root in roots]


def unpack_roots(packed: Sequence[Sequence[str]]) -> Roots:
    return tuple(
        Root(Path(path), "project" if scope == "project" else "user") for path, scope in packed
    )


def pack_answer(answer: Answer) -> dict[str, Any]:
    return _fields(answer) | {"matches": [_fields(match) for match in answer.matches]}


def unpack_answer(packed: dict[str, Any]) -> Answer:
    matches = tuple(Match(**match) for match in packed.pop("matches"))
    return Answer(matches=matches, **packed)


def _fields(value: Answer | Match) -> dict[str, Any]:
    # `asdict` would copy all that is in them.
    return {field.name: getattr(value, field.name) for field in fields(value)}


def unpack_account(packed: dict[str, Any]) -> Account:
    from skillrouter_mcp.index.account import Account, Remark

    problems, warnings = (
        tuple(Remark(*remark) for remark in packed[name]) for name in ("problems", "warnings")
    )
    return Account(packed["skills"], packed["pending"], problems, warnings)


def pack_location(location: Location) -> list[Any]:
    return [location.document_id, location.name, location.path]
