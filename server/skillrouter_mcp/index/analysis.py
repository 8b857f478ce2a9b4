"""Text made ready for the word index: what its tokenizer cannot see by itself is spelled out."""

from __future__ import annotations

import re

from skillrouter_mcp.index.glossary import load_glossary

CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

_CAMEL_CASE = re.compile(r"\b\w*[a-z][A-Z]\w*\b")
_PART_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def expand(text: str) -> str:
    """The text with the parts of camelCase words appended, writing without spaces cut into pairs
    of characters, and the English of Chinese words appended."""
    if text.isascii():
        return with_parts(text)
    glosses = load_glossary().glosses(text)
    english = " ".join(word for gloss in glosses for word in gloss.english or ())
    return f"{with_parts(CJK.sub(_spaced_pairs, text))}\n{english}"


def with_parts(text: str) -> str:
    """The text with `get User Name` appended where it holds `getUserName`."""
    words = dict.fromkeys(_CAMEL_CASE.findall(text))
    return " ".join([text, *(_PART_BORDER.sub(" ", word) for word in words)])


def pairs(run: str) -> list[str]:
    """The neighbouring characters of a run without spaces, two by two."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _spaced_pairs(run: re.Match[str]) -> str:
    return f" {' '.join(pairs(run.group()))} "
