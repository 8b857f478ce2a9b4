"""The views of a document: which of its texts models read, and where long ones are cut."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrouter_mcp.index.glossary import readable
from skillrouter_mcp.index.store import Document

if TYPE_CHECKING:
    from skillrouter_gguf import Model

LABEL = "label"
WINDOW = "window"

_DESCRIPTION_CHARACTERS = 1_000
_WINDOW_CHARACTERS = 600
_MOST_WINDOWS = 3
_LEAST_CHARACTERS = 200  # are worth a window of their own
_NEAR_CHARACTERS = 40  # a window may begin so much later, to begin with a line
_FULL_TEXT = "{name} | {description} | {body}"

# Part of the fingerprint of the vectors: raise the version whenever passages come out differently.
LAYOUT: dict[str, object] = {
    "version": 1,
    "description": _DESCRIPTION_CHARACTERS,
    "window": _WINDOW_CHARACTERS,
    "windows": _MOST_WINDOWS,
}

_FENCED_CODE = re.compile(
    r"^[ \t]*(```|~~~)[^\n]*\n.*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_RULE = re.compile(r"^[\s|:\-=*_#>+]*$")
_LINK = re.compile(r"\[([^\[\]\n]{0,200})\]\([^)\n]{0,500}\)")
_ADDRESS = re.compile(r"https?://\S+")
_MARKS = re.compile(r"[ \t|`*]+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to embed, as the n-th of a view."""

    view: str
    ordinal: int
    text: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Which texts of a document a model reads.

    Attributes:
        languages: what it reads, as ISO 639-1 codes or "multilingual".
        template: makes one text of name, description and body, and ends with the body, so that
            nothing else is ever cut; empty for label and windows.
        description_characters, body_characters: so much of them goes into that text.
    """

    languages: tuple[str, ...]
    template: str = ""
    description_characters: int | None = None
    body_characters: int | None = None

    @classmethod
    def of(cls, model: Model) -> Layout:
        """The layout that a model was trained with."""
        return cls(
            model.languages,
            model.document_template,
            model.description_characters,
            model.body_characters,
        )

    def settings(self) -> dict[str, object]:
        """What decides which texts these are, languages aside."""
        if not self.template:
            return LAYOUT
        return {
            "version": 1,
            "template": self.template,
            "description": self.description_characters,
            "body": self.body_characters,
        }

    def passages(self, document: Document) -> list[Passage]:
        """What is embedded of a document; its full text stands for label and window at once."""
        if not self.template:
            return passages(document, self.languages)
        text = self.full_text(document)
        return [Passage(view, 0, text) for view in (LABEL, WINDOW)]

    def full_text(self, document: Document) -> str:
        """Name, description and body in one text."""
        text = (self.template or _FULL_TEXT).format(
            name=document.name,
            description=document.description[: self.description_characters],
            body=document.body[: self.body_characters],
        )
        return readable(text, self.languages).english


def passages(document: Document, languages: Sequence[str]) -> list[Passage]:
    """The label, and up to three windows spread evenly over the prose of the body.

    Args:
        languages: what the encoder reads; for one that reads English only, Chinese words are put
            into English.
    """
    name = re.sub("[-_]", " ", document.name)
    label = f"{name}. {document.description[:_DESCRIPTION_CHARACTERS]}"
    windows = _windows(_lines(_prose(document.body)))
    found = [
        (LABEL, 0, label),
        *((WINDOW, n, f"{document.name}\n{text}") for n, text in enumerate(windows)),
    ]
    return [Passage(view, n, readable(text, languages).english) for view, n, text in found]


def _prose(body: str) -> str:
    """The body without code, unless little else is in it."""
    prose = _FENCED_CODE.sub("\n", _COMMENT.sub("", body))
    return prose if len(prose) >= min(300, len(body) // 4) else body


def _lines(text: str) -> list[str]:
    """The lines that say something, without marks, links and addresses."""
    told = "\n".join(line for line in text.split("\n") if not _RULE.match(line))
    tidied = _MARKS.sub(" ", _ADDRESS.sub("", _LINK.sub(r"\1", told)))
    return [line for each in tidied.split("\n") if (line := each.strip())]


def _windows(lines: list[str]) -> list[str]:
    """One after the other where that covers all lines, else evenly spread over them."""
    starts = list(itertools.accumulate((len(line) + 1 for line in lines), initial=0))
    total = starts[-1]
    spread = total > _MOST_WINDOWS * _WINDOW_CHARACTERS
    windows: list[str] = []
    first = 0
    for n in range(_MOST_WINDOWS):
        if spread and n:
            offset = (total - _WINDOW_CHARACTERS) * n / (_MOST_WINDOWS - 1)
            first = bisect_right(starts, offset + _NEAR_CHARACTERS) - 1
        if first >= len(lines) or (n and total - starts[first] < _LEAST_CHARACTERS):
            break
        text, first = _cut(lines, first)
        windows.append(text)
    return windows


def _cut(lines: list[str], first: int) -> tuple[str, int]:
    """Whole lines from `first` on, as many as a window takes, and the index of the next line.

    Where they fill little of it, a part of the next line comes with them.
    """
    kept: list[str] = []
    left = _WINDOW_CHARACTERS
    while first < len(lines) and len(lines[first]) < left:
        kept.append(lines[first])
        left -= len(lines[first]) + 1
        first += 1
    if first < len(lines) and left > _WINDOW_CHARACTERS * 0.4:
        kept.append(lines[first][:left])
        first += 1
    return "\n".join(kept), first
