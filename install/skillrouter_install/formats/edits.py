"""Changes to a text by position, so that every other character stays as it was."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Edit(NamedTuple):
    """Replace `text[start:end]` by `new`; positions count characters of the original text."""

    start: int
    end: int
    new: str


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Apply edits that do not overlap; of two at one place the first given comes first."""
    parts = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += [text[position : edit.start], edit.new]
        position = edit.end
    return "".join([*parts, text[position:]])


def newline_of(text: str) -> str:
    """The line ending that a text uses: that of its first line, `\\n` where it has none."""
    found = re.search(r"\r?\n", text)
    return found.group() if found else "\n"


def line_and_column(text: str, position: int) -> tuple[int, int]:
    """The line and column, both from 1, of a position."""
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def line_start(text: str, position: int) -> int:
    """Where the line of `position` begins."""
    return text.rfind("\n", 0, position) + 1


def line_end(text: str, position: int) -> int:
    """Just after the line break that ends the line of `position`, or the end of the text."""
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def indentation(text: str, position: int) -> str:
    """The blanks that begin the line of `position`."""
    start = line_start(text, position)
    end = start
    while end < len(text) and text[end] in " \t":
        end += 1
    return text[start:end]


def indent_lines(block: str, prefix: str, newline: str) -> str:
    """A block of `\\n` lines with `prefix` before each and `newline` between them."""
    return newline.join(prefix + line if line else line for line in block.split("\n"))
