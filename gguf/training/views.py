"""The texts that stand for a skill, cut as the router cuts them before it embeds them.

What an encoder sees in training has to look like what it is given in use. The same rules stand in
`skillrouter_mcp.index.passages` and `skillrouter_mcp.routing.request`, which a test holds these
against.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right

_DESCRIPTION_CHARACTERS = 1_000
_FULL_CHARACTERS = 2_000  # of the body
_WINDOW_CHARACTERS = 600
_MOST_WINDOWS = 3
_LEAST_CHARACTERS = 200
_NEAR_CHARACTERS = 40
_FEW_WORDS = 8  # of a request are read as they are
_LEAST_TOLD, _SHARE_TOLD, _MOST_TOLD = 12, 0.75, 28
_STOP_WORDS = set(
    re.findall(
        r"\w+",
        "a an and are as at be but by for if in into is it no not of on or such that the their "
        "then there these they this to was will with",
    )
)
_TERM = re.compile(r"[^\W_]+")

_FENCED_CODE = re.compile(
    r"^[ \t]*(```|~~~)[^\n]*\n.*?(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_RULE = re.compile(r"^[\s|:\-=*_#>+]*$")
_LINK = re.compile(r"\[([^\[\]\n]{0,200})\]\([^)\n]{0,500}\)")
_ADDRESS = re.compile(r"https?://\S+")
_MARKS = re.compile(r"[ \t|`*]+")


def label(name: str, description: str) -> str:
    """Name and description, as one text."""
    return f"{re.sub('[-_]', ' ', name)}. {description[:_DESCRIPTION_CHARACTERS]}"


def full(label: str, body: str) -> str:
    """The label and the beginning of the body as one text. The router embeds none such."""
    return f"{label}\n{body[:_FULL_CHARACTERS]}"


def windows(name: str, body: str) -> list[str]:
    """Up to three pieces of the body's prose, in order, each under the name."""
    return [f"{name}\n{text}" for text in _windows(_lines(_prose(body)))]


def request(text: str) -> str:
    """A request as the router reads it: of a longer one, so many words that say something, each
    once. The router takes the rarest of them, here the first ones stand for those."""
    words = text.split()
    if len(words) <= _FEW_WORDS:
        return text
    first: dict[tuple[str, ...], str] = {}
    for word in words:
        terms = _TERM.findall(word.casefold())
        if telling := tuple(term for term in terms if term not in _STOP_WORDS):
            first.setdefault(telling, word)
    most = min(max(_LEAST_TOLD, round(_SHARE_TOLD * len(first))), _MOST_TOLD)
    return " ".join(itertools.islice(first.values(), most)) or text


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
    found: list[str] = []
    first = 0
    for n in range(_MOST_WINDOWS):
        if spread and n:
            offset = (total - _WINDOW_CHARACTERS) * n / (_MOST_WINDOWS - 1)
            first = bisect_right(starts, offset + _NEAR_CHARACTERS) - 1
        if first >= len(lines) or (n and total - starts[first] < _LEAST_CHARACTERS):
            break
        text, first = _cut(lines, first)
        found.append(text)
    return found


def _cut(lines: list[str], first: int) -> tuple[str, int]:
    """Whole lines from `first` on, as many as a window takes, and the index of the next line."""
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
