"""Strangers' text made safe for a terminal and for an agent.

A skill's name, its path and anything quoted from it may carry ANSI escapes, line breaks, bidi
overrides (https://trojansource.codes) or invisible characters that hide words from people but not
from a model. Ordinary writing in any script passes unchanged.
"""

from __future__ import annotations

import re
import unicodedata

_ANSI = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erasing
    "|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\\\|\x9c)"  # OSC: titles, links, clipboard
    "|\x1b[@-Z\\\\^_]"
)

# Controls, separators of lines, bidi marks and overrides, surrogates, non-characters, and what
# Unicode calls Default_Ignorable_Code_Point; but for tabs and line feeds.
_INVISIBLE_IN_LINES = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Persian, Hindi and emoji need joiners between two letters, and emoji a presentation selector
# after one: nowhere else are they more than a hiding place. None of what these stand beside is
# ever left out itself, so leaving out the others puts none of them out of place.
_JOINERS, _SELECTORS = "\u200c\u200d", "\ufe0e\ufe0f"
_SEEN = f"[^\\s{_JOINERS}{_SELECTORS}{_INVISIBLE_IN_LINES}]"
_LETTER = f"[^\\s\x00-\x7f{_JOINERS}{_SELECTORS}{_INVISIBLE_IN_LINES}]"
_MISPLACED = (
    f"(?<!{_LETTER})(?<!{_SEEN}\ufe0f)[{_JOINERS}]|[{_JOINERS}](?!{_LETTER})"
    f"|(?<!{_SEEN})[{_SELECTORS}]"
)
_UNSAFE = re.compile(f"[\t\n{_INVISIBLE_IN_LINES}]|{_MISPLACED}")
_UNSAFE_IN_LINES = re.compile(f"[{_INVISIBLE_IN_LINES}]|{_MISPLACED}")

_MOST_MARKS = 30
"""Combining marks in a row, as in the Stream-Safe Text Format of Unicode's UAX 15. More of them
cover the lines around, and putting them in order takes time that grows with their square."""

_MARKS = re.compile(f"[^\\w\\s\x00-\x7f]{{{_MOST_MARKS + 1},}}")  # and other signs


def is_plain(text: str) -> bool:
    """Whether `text` can be shown as it is."""
    if text.isascii():
        return text.isprintable()
    return _UNSAFE.search(text) is None


def plain(text: str, limit: int) -> str:
    """One line of at most `limit` characters, with all that is unsafe left out; may be empty."""
    line = " ".join(text.split())
    if line.isascii() and line.isprintable():
        return _cut(line, limit)
    text = " ".join(_ANSI.sub("", text).split())
    if not is_plain(text):
        text = " ".join(_UNSAFE.sub("", text).split())
    text = unicodedata.normalize("NFC", _MARKS.sub(_thin, text))
    if not is_plain(text):  # a joiner stood beside what is an ASCII letter in NFC
        text = unicodedata.normalize("NFC", _UNSAFE.sub("", text))
    return _cut(text, limit)


def legible(text: str) -> str:
    """The text as it was written, in lines, with all that is unsafe left out."""
    return text if is_plain(text) else _UNSAFE_IN_LINES.sub("", _ANSI.sub("", text))


def printable(text: str, limit: int) -> str:
    """One line of at most `limit` characters, with all that is unsafe shown as an escape.

    For paths and quotations in messages: what was escaped can still be told apart. A byte of a
    path that is no UTF-8 shows as `\\xNN`. The result can always be encoded as UTF-8.
    """
    text = text[: limit + 1]
    if not is_plain(text):
        text = _UNSAFE.sub(_escape, text)
    return _cut(text, limit)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # how os.fsdecode carries a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return match.group().encode("unicode_escape").decode("ascii")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _thin(signs: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for sign in signs.group():
        marks = marks + 1 if unicodedata.combining(sign) else 0
        if marks <= _MOST_MARKS:
            kept.append(sign)
    return "".join(kept)
