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
    "|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)"  # OSC: titles, hyperlinks, clipboard
    "|\x1b[@-Z\\\\^_]"
)

# Controls, separators of lines, bidi marks and overrides, surrogates, non-characters, and what
# Unicode calls Default_Ignorable_Code_Point.
_INVISIBLE = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Persian, Hindi and emoji need joiners between two letters, and emoji a presentation selector
# after one: nowhere else are they more than a hiding place.
_LETTER = f"[^\x00-\x7f\u200c\u200d\ufe0e{_INVISIBLE}]"
_UNSAFE = re.compile(
    f"[{_INVISIBLE}]"
    f"|(?<!{_LETTER})[\u200c\u200d]|[\u200c\u200d](?!{_LETTER})"
    "|(?<![^\ufe0e\ufe0f])[\ufe0e\ufe0f]"
)


def is_plain(text: str) -> bool:
    """Whether `text` can be shown as it is."""
    if text.isascii():
        return text.isprintable()
    return _UNSAFE.search(text) is None


def plain(text: str, limit: int) -> str:
    """One line of at most `limit` characters, with all that is unsafe left out; may be empty."""
    text = " ".join(_ANSI.sub("", text).split())
    while not is_plain(text):  # what is left out may leave a selector or joiner out of place
        text = " ".join(_UNSAFE.sub("", text).split())
    return _cut(unicodedata.normalize("NFC", text), limit)


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
