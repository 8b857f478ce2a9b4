"""Text made ready for the word index: what its tokenizer cannot see by itself is spelled out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skillrouter_mcp.index.glossary import load_glossary

CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]+")

_BEFORE_CJK = re.compile("[\0-\u303f]*")  # quicker to find than what follows it
_FROM_BORDER = re.compile(r"[A-Z](?<=[a-z][A-Z])\w*")  # capitals are quicker to find than others
_PART_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Expanded:
    """A text, and what is to be appended to it so that it is found by that too.

    Attributes:
        text: with writing without spaces cut into pairs of characters.
        camel_case: its words of such a kind.
        english: the English of its Chinese words.
    """

    text: str
    camel_case: tuple[str, ...]
    english: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Expanded:
        if text.isascii() or _BEFORE_CJK.fullmatch(text):
            return cls(text, tuple(_camel_case(text)), ())
        glosses = load_glossary().glosses(text)
        text = CJK.sub(_spaced_pairs, text)
        english = tuple(word for gloss in glosses for word in gloss.english or ())
        return cls(text, tuple(_camel_case(text)), english)


def joined(parts: Sequence[Expanded]) -> str:
    """The lines of these texts, with what they hold appended: `get User Name` for `getUserName`,
    each word once, and English."""
    words = dict.fromkeys(word for part in parts for word in part.camel_case)
    return " ".join(
        [
            "\n".join(part.text for part in parts),
            *(_PART_BORDER.sub(" ", word) for word in words),
            *(word for part in parts for word in part.english),
        ]
    )


def expand(text: str) -> str:
    """The text with the parts of camelCase words appended, writing without spaces cut into pairs
    of characters, and the English of Chinese words appended."""
    return joined([Expanded.of(text)])


def with_parts(text: str) -> str:
    """The text with `get User Name` appended where it holds `getUserName`."""
    return joined([Expanded(text, tuple(_camel_case(text)), ())])


def _camel_case(text: str) -> Iterator[str]:
    """The words in which a capital follows a small letter."""
    for rest in _FROM_BORDER.finditer(text):
        start = rest.start()
        while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
            start -= 1
        yield text[start : rest.end()]


def pairs(run: str) -> list[str]:
    """The neighbouring characters of a run without spaces, two by two."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


def _spaced_pairs(run: re.Match[str]) -> str:
    return f" {' '.join(pairs(run.group()))} "
