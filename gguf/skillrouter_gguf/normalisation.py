"""What tokenizers do to a text before all else, where llama.cpp leaves it out or does it by halves.

Qwen's compose characters (Unicode annex 15, form C), which llama.cpp leaves out. BERT's decompose
them and drop accents; llama.cpp keeps of each character the first part alone, which reduces Korean
to consonants, and drops all marks, also those that stand for themselves, as in keycap emoji.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STRIP_ACCENTS = "tokenizer.ggml.normalizer.strip_accents"
_LOWERCASE = "tokenizer.ggml.normalizer.lowercase"


def normaliser(metadata: Callable[[str], str | None]) -> Callable[[str], str]:
    """The first step of the tokenizer that a GGUF file's `metadata` describes."""
    if metadata("tokenizer.ggml.pre") == "qwen2":
        return compose
    if metadata("tokenizer.ggml.model") == "bert":
        strips = metadata(STRIP_ACCENTS) or metadata(_LOWERCASE)
        return keep if strips == "false" else strip_accents
    return keep


def keep(text: str) -> str:
    """`text` as it is."""
    return text


def compose(text: str) -> str:
    """`text` in form C."""
    return unicodedata.normalize("NFC", text)


def strip_accents(text: str) -> str:
    """`text` in form D, without the marks that take no room."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFD", text).translate(_WITHOUT_ACCENTS)


class _WithoutAccents(dict[int, int | None]):
    """What becomes of a character, found out when it is first met."""

    def __missing__(self, character: int) -> int | None:
        kept = None if unicodedata.category(chr(character)) == "Mn" else character
        self[character] = kept
        return kept


_WITHOUT_ACCENTS = _WithoutAccents()
