"""The statements of a TOML text and where each stands.

The text has been read by a TOML parser before: here only the ends of statements are looked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import tomlkit

from skillrouter_install.formats.edits import indentation

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY_PART = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*")|'([^'\n]*)')[ \t]*""")
_VALUE_TOKEN = re.compile(
    r""""{3}(?:\\.|[^\\])*?"{3,5}"""
    r"""|'{3}.*?'{3,5}"""
    r'''|"(?:[^"\\\n]|\\.)*"'''
    r"""|'[^'\n]*'"""
    r"""|\#[^\n]*"""
    r"""|[\[{]|[\]}]|\n|[^"'\#\[\]{}\n]+""",
    re.DOTALL,
)


class Statement(NamedTuple):
    """A table header or a key with its value: `[start, end)` are whole lines.

    `path` has every key from the top of the file; `value_start` is None for a header.
    """

    kind: Literal["table", "array table", "pair"]
    path: tuple[str, ...]
    start: int
    end: int
    value_start: int | None


def statements(text: str) -> Iterator[Statement]:
    """Each statement in order; blank lines and comments lie between them."""
    header: tuple[str, ...] = ()
    position = 0
    while position < len(text):
        start = position
        first = start + len(indentation(text, start))
        if text.startswith(("#", "\n", "\r\n"), first) or first == len(text):
            position = _value_end(text, first)
        elif text[first] == "[":
            array = text.startswith("[[", first)
            header, key_end = _key(text, first + 1 + array)
            position = _value_end(text, key_end + 1 + array)
            yield Statement("array table" if array else "table", header, start, position, None)
        else:
            keys, key_end = _key(text, first)
            position = _value_end(text, key_end + 1)
            yield Statement("pair", header + keys, start, position, key_end + 1)


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    parts = []
    while found := _KEY_PART.match(text, position):
        bare, basic, literal = found.groups()
        quoted = tomlkit.parse(f"key = {basic}")["key"] if basic else None
        parts.append(next(str(part) for part in (bare, quoted, literal) if part is not None))
        position = found.end()
        if not text.startswith(".", position):
            break
        position += 1
    return tuple(parts), position


def _value_end(text: str, position: int) -> int:
    """After the line break that ends the statement, outside strings, comments and brackets."""
    depth = 0
    while found := _VALUE_TOKEN.match(text, position):
        position = found.end()
        token = found.group()
        if token in ("[", "{"):
            depth += 1
        elif token in ("]", "}"):
            depth -= 1
        elif token == "\n" and depth <= 0:
            break
    return position
