"""Text made ready for the word index: what its tokenizer cannot see by itself is spelled out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrouter_mcp.index.glossary import load_glossary

CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

_BEFORE_CJK = re.compile("[\0-\u303f]*")  # quicker to find than what follows it
_PART_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# As `bytes.translate` takes them: small letters, capitals, and all else.
_KINDS = bytes(
    ord("a") if "a" <= letter <= "z" else ord("A") if "A" <= letter <= "Z" else 0
    for letter in map(chr, range(256))
)
_BORDER = b"aA"
_REST = re.compile(r"\w*")


def expand(text: str) -> str:
    """The text with the parts of camelCase words appended, writing without spaces cut into pairs
    of characters, and the English of Chinese words appended."""
    if text.isascii() or _BEFORE_CJK.fullmatch(text):
        return with_parts(text)
    english = [word for gloss in load_glossary().glosses(text) for word in gloss.english or ()]
    return " ".join([with_parts(CJK.sub(_spaced_pairs, text)), *english])


def with_parts(text: str) -> str:
    """The text with `get User Name` appended where it holds `getUserName`, each word once."""
    words = dict.fromkeys(_camel_case(text))
    return " ".join([text, *(_PART_BORDER.sub(" ", word) for word in words)])


def _camel_case(text: str) -> Iterator[str]:
    """The words in which a capital follows a small letter."""
    # A byte for each letter, and so at the same place; a border is quicker to find in these.
    kinds = text.encode("latin-1", "replace").translate(_KINDS)
    end = 0
    while (border := kinds.find(_BORDER, end)) >= 0:
        start = border
        while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
            start -= 1
        rest = _REST.match(text, border)
        assert rest is not None
        end = rest.end()
        yield text[start:end]


def pairs(run: str) -> list[str]:
    """The neighbouring characters of a run without spaces, two by two."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _spaced_pairs(run: re.Match[str]) -> str:
    return f" {' '.join(pairs(run.group()))} "
