"""Text made ready for the word index: what its tokenizer cannot see by itself is spelled out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrouter_mcp.index.glossary import load_glossary

CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

_BEFORE_CJK = re.compile("[\0-\u303f]*")  # quicker to find than what follows it
_PART_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD, _SMALL, _CAPITAL, _OTHER = b" ", b"a", b"A", b"_"


def _kind(letter: str) -> bytes:
    if not (letter.isalnum() or letter == "_"):
        return _NO_WORD
    if not letter.isascii():
        return _OTHER
    return _SMALL if letter.islower() else _CAPITAL if letter.isupper() else _OTHER


_KINDS = b"".join(_kind(chr(code)) for code in range(256))  # as `bytes.translate` takes them


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
    """The words in which a capital follows a small letter; Latin-1 has the letters of a word."""
    kinds = text.encode("latin-1", "replace").translate(_KINDS)
    end = 0
    while (border := kinds.find(_SMALL + _CAPITAL, end)) >= 0:
        start = kinds.rfind(_NO_WORD, end, border) + 1 or end
        end = kinds.find(_NO_WORD, border)
        if end < 0:
            end = len(text)
        yield text[start:end]


def pairs(run: str) -> list[str]:
    """The neighbouring characters of a run without spaces, two by two."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _spaced_pairs(run: re.Match[str]) -> str:
    return f" {' '.join(pairs(run.group()))} "
