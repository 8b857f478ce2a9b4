"""Unigram tokenizers of XLM-RoBERTa: `tokenizer.json` as llama.cpp's `t5` vocabulary."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

import gguf
from skillrouter_gguf.convert.tokenizer import FILE, AddedToken, padded, read_frame
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_gguf.convert.checkpoint import Checkpoint

_SPACE = "\u2581"
_NEVER = -10_000.0


class _Unigram(BaseModel):
    type: Literal["Unigram"]
    vocab: list[tuple[str, float]]
    unk_id: int
    byte_fallback: Literal[False] = False


class _Metaspace(BaseModel):
    type: Literal["Metaspace"]
    replacement: Literal["\u2581"]
    prepend_scheme: Literal["always"] = "always"
    add_prefix_space: Literal[True] = True
    split: Literal[True] = True


class _WhitespaceSplit(BaseModel):
    type: Literal["WhitespaceSplit"]


class _PreTokenizers(BaseModel):
    type: Literal["Sequence"]
    pretokenizers: tuple[_WhitespaceSplit, _Metaspace]


class _Tokenizer(BaseModel):
    """The part of `tokenizer.json` that llama.cpp can follow."""

    added_tokens: list[AddedToken]
    normalizer: dict[str, Any]
    pre_tokenizer: _Metaspace | _PreTokenizers
    model: _Unigram


def add_unigram(writer: gguf.GGUFWriter, checkpoint: Checkpoint, vocab_size: int) -> None:
    """Write the checkpoint's tokenizer as GGUF metadata, padded to `vocab_size` tokens.

    Raises:
        ConversionError: if the tokenizer is not one that llama.cpp would follow.
    """
    path = checkpoint.folder / FILE
    tokenizer = checkpoint.read(FILE, _Tokenizer)
    charsmap = _charsmap(path, tokenizer.normalizer)
    pieces = dict(enumerate(tokenizer.model.vocab))
    for token in tokenizer.added_tokens:
        pieces.setdefault(token.id, (token.content, 0.0))
    if sorted(pieces) != list(range(len(pieces))) or len(pieces) > vocab_size:
        raise ConversionError(
            f"{path}: token ids must run from 0 to at most {vocab_size - 1} without gaps."
        )
    names = [pieces[number][0] for number in range(len(pieces))]
    ids = {name: number for number, name in enumerate(names)}
    opening, closing = read_frame(checkpoint)
    if opening is None or closing is None or not {opening, closing} <= ids.keys():
        raise ConversionError(
            f"{path}: a text is not put between one opening and one closing token of the "
            "vocabulary."
        )
    if len(ids) < len(names) or not 0 <= tokenizer.model.unk_id < len(names):
        raise ConversionError(f"{path}: a token stands there twice, or the unknown one nowhere.")
    if plain := [token.content for token in tokenizer.added_tokens if not token.special]:
        raise ConversionError(f"{path}: added tokens that are not special: {plain[:5]}.")

    special = {token.id for token in tokenizer.added_tokens}
    scores, kinds = [], []
    for number, name in enumerate(names):
        kind, score = gguf.TokenType.NORMAL, pieces[number][1]
        if number == tokenizer.model.unk_id:
            kind = gguf.TokenType.UNKNOWN
        elif number in special:
            kind = gguf.TokenType.CONTROL
        elif _SPACE in name[1:]:
            # It reaches over a space, at which texts are split first: it can never be found.
            kind, score = gguf.TokenType.UNUSED, _NEVER
        kinds.append(kind)
        scores.append(score)
    names, kinds = padded(names, kinds, vocab_size)

    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(names)
    writer.add_token_scores([*scores, *[_NEVER] * (vocab_size - len(scores))])
    writer.add_token_types(kinds)
    writer.add_add_space_prefix(True)
    writer.add_remove_extra_whitespaces(True)
    writer.add_precompiled_charsmap(charsmap)
    writer.add_bos_token_id(ids[opening])
    writer.add_eos_token_id(ids[closing])
    writer.add_sep_token_id(ids[closing])
    writer.add_unk_token_id(tokenizer.model.unk_id)
    if "<pad>" in ids:
        writer.add_pad_token_id(ids["<pad>"])
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _charsmap(path: Path, normalizer: dict[str, Any]) -> bytes:
    """SentencePiece's table of normalised characters.

    Besides it a normalizer may only drop and merge spaces, which llama.cpp does anyway.
    """
    steps = normalizer.get("normalizers", [normalizer])
    try:
        tables = [
            b64decode(step["precompiled_charsmap"], validate=True)
            for step in steps
            if not _is_about_spaces(step)
        ]
        (table,) = tables
    except (KeyError, TypeError, ValueError, AttributeError, Base64Error):
        raise ConversionError(
            f"{path}: normalizer: expected one Precompiled, and about spaces Strip and Replace."
        ) from None
    # An array of characters with its length in front, and behind it the replacements.
    if len(table) < 4 or int.from_bytes(table[:4], "little") > len(table) - 4:
        raise ConversionError(f"{path}: normalizer: its table of characters is cut short.")
    return table


def _is_about_spaces(step: dict[str, Any]) -> bool:
    if step["type"] == "Strip":
        return True
    spaces = {"Regex": " {2,}"}
    return (
        step["type"] == "Replace"
        and step["pattern"] == spaces
        and step["content"]
        in {
            " ",
            _SPACE,
        }
    )
