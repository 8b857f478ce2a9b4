"""Chinese words and the English ones that technical documents use for them.

For an encoder and a library that read English only. The words stand in `glossary.tsv`, one entry a
line: the Chinese word, a tab, and its English words, the likeliest first; none for words that
carry no meaning of their own, so that they are passed over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_LAST_LATIN = "\u024f"
_DENSITY = 4  # Latin letters that say as much as one of other writing
_CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Gloss:
    """A piece of a Chinese text.

    Attributes:
        english: its English words, the likeliest first; None if the glossary does not know it.
    """

    word: str
    english: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A text put into English as far as that goes.

    Attributes:
        share: of the text's letters that the English stands for, between 0 and 1; a letter of
            unknown writing counts as four Latin ones.
    """

    english: str
    share: float


class Glossary:
    """Looks words up by the longest match."""

    def __init__(self, entries: dict[str, tuple[str, ...]]) -> None:
        self._entries = entries
        self._longest = max(map(len, entries), default=0)

    def glosses(self, text: str) -> Iterator[Gloss]:
        """The words of the Chinese parts of a text, from left to right."""
        for run in _CHINESE.finditer(text):
            yield from self._split(run.group())

    def read(self, text: str) -> Reading:
        """What an encoder that knows no other writing than Latin can make of a text."""
        if text.isascii():
            return Reading(text, 1.0)
        english, unknown = self._translate(text)
        known = sum(letter.isalpha() and letter <= _LAST_LATIN for letter in english)
        unknown += sum(letter.isalpha() and letter > _LAST_LATIN for letter in english)
        share = known / (known + _DENSITY * unknown) if known or unknown else 1.0
        return Reading(" ".join(english.split()), share)

    def _translate(self, text: str) -> tuple[str, int]:
        """The text with each Chinese part replaced by the likeliest English of its words, and how
        many Chinese characters the glossary knows nothing of."""
        unknown = 0

        def english(run: re.Match[str]) -> str:
            nonlocal unknown
            glosses = list(self._split(run.group()))
            unknown += sum(len(gloss.word) for gloss in glosses if gloss.english is None)
            return f" {' '.join(gloss.english[0] for gloss in glosses if gloss.english)} "

        return _CHINESE.sub(english, text), unknown

    def _split(self, run: str) -> Iterator[Gloss]:
        known = start = 0
        while start < len(run):
            for length in range(min(self._longest, len(run) - start), 0, -1):
                word = run[start : start + length]
                english = self._entries.get(word)
                if english is not None:
                    if known < start:
                        yield Gloss(run[known:start], None)
                    yield Gloss(word, english)
                    start += length
                    known = start
                    break
            else:
                start += 1
        if known < start:
            yield Gloss(run[known:start], None)


@cache
def load_glossary() -> Glossary:
    """The glossary that comes with the package, read at the first call."""
    entries = (line.split("\t") for line in _content().decode().splitlines())
    return Glossary({word: tuple(english.split()) for word, english in entries})


@cache
def glossary_digest() -> str:
    """SHA-256 of the glossary that comes with the package."""
    return hashlib.sha256(_content()).hexdigest()


def _content() -> bytes:
    return files(__package__).joinpath("glossary.tsv").read_bytes()


def needs_glossary(languages: Sequence[str]) -> bool:
    """Whether an encoder of these languages reads texts that were put into English."""
    return list(languages) == ["en"]


def readable(text: str, languages: Sequence[str]) -> Reading:
    """What an encoder can read of a text.

    Args:
        languages: what it reads, as ISO 639-1 codes or "multilingual".
    """
    return load_glossary().read(text) if needs_glossary(languages) else Reading(text, 1.0)
