"""What stands in an index, and what does not."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from skillrouter_mcp.index.attendance import Roots
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Problem


class Remark(NamedTuple):
    """Something about the file or folder at a path."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """How many skills there are, and what is to be said of others.

    Attributes:
        pending: how many of them have no vectors yet.
        problems: what could not be loaded; roots that are not there, which is fine for a
            project's, first.
        warnings: what was loaded with reservations.
    """

    skills: int
    pending: int
    problems: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


def account_of(library: Library, roots: Roots | None = None) -> Account:
    """The account of these roots, by default of the library's own."""
    roots = library.roots if roots is None else roots
    library.refresh()
    snapshot = library.view(roots)
    problems = library.problems(roots)
    known = {problem.path for problem in problems}
    missing = (
        Remark(str(root.path), "is not there yet")
        for root in roots
        if root.scope == "user"
        and not os.path.exists(root.path)  # noqa: PTH110 (never raises)
        and str(root.path) not in known
    )
    return Account(
        len(snapshot.visible),
        snapshot.pending,
        (*missing, *_remarks(problems)),
        _remarks(library.warnings(roots)),
    )


def _remarks(problems: Iterable[Problem]) -> tuple[Remark, ...]:
    return tuple(Remark(problem.path, problem.reason) for problem in problems)
