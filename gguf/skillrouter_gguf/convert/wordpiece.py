"""WordPiece tokenizers: `tokenizer.json` as llama.cpp's `bert` vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

import gguf
from skillrouter_gguf.convert.tokenizer import FILE, AddedToken, padded, read_frame
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from skillrouter_gguf.convert.checkpoint import Checkpoint

_CONTINUES = "##"
# llama.cpp marks the start of a word where WordPiece marks its continuation.
_STARTS = "\u2581"


class _WordPiece(BaseModel):
    type: Literal["WordPiece"]
    vocab: dict[str, int]
    unk_token: str
    continuing_subword_prefix: Literal["##"]


class _Normalizer(BaseModel):
    type: Literal["BertNormalizer"]
    clean_text: Literal[True]
    handle_chinese_chars: Literal[True]
    strip_accents: bool | None
    lowercase: bool


class _PreTokenizer(BaseModel):
    type: Literal["BertPreTokenizer"]


class _Tokenizer(BaseModel):
    """The part of `tokenizer.json` that llama.cpp can follow."""

    added_tokens: list[AddedToken]
    normalizer: _Normalizer
    pre_tokenizer: _PreTokenizer
    model: _WordPiece


def add_wordpiece(writer: gguf.GGUFWriter, checkpoint: Checkpoint, vocab_size: int) -> None:
    """Write the checkpoint's tokenizer as GGUF metadata, padded to `vocab_size` tokens.

    Raises:
        ConversionError: if the tokenizer is not one that llama.cpp would follow to the letter.
    """
    path = checkpoint.folder / FILE
    tokenizer = checkpoint.read(FILE, _Tokenizer)
    ids = tokenizer.model.vocab
    if sorted(ids.values()) != list(range(len(ids))) or len(ids) > vocab_size:
        raise ConversionError(
            f"{path}: token ids must run from 0 to at most {vocab_size - 1} without gaps."
        )
    opening, closing = read_frame(checkpoint)
    if opening is None or closing is None:
        raise ConversionError(
            f"{path}: a text is not put between one opening and one closing token."
        )
    added = {token.content for token in tokenizer.added_tokens}
    if missing := sorted({*added, opening, closing, tokenizer.model.unk_token} - ids.keys()):
        raise ConversionError(f"{path}: special tokens outside the vocabulary: {missing}.")

    special = {token.content for token in tokenizer.added_tokens if token.special}
    tokens = [
        token if token in special else _renamed(token) for token in sorted(ids, key=ids.__getitem__)
    ]
    kinds = [
        gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens
    ]
    tokens, kinds = padded(tokens, kinds, vocab_size)
    if len(set(tokens)) < len(tokens):
        raise ConversionError(f"{path}: two tokens would have the same name in GGUF.")

    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(ids[opening])
    writer.add_sep_token_id(ids[closing])
    writer.add_unk_token_id(ids[tokenizer.model.unk_token])
    for token, add in (("[PAD]", writer.add_pad_token_id), ("[MASK]", writer.add_mask_token_id)):
        if token in ids:
            add(ids[token])
    strip = tokenizer.normalizer.strip_accents
    lowercase = tokenizer.normalizer.lowercase
    writer.add_bool("tokenizer.ggml.normalizer.lowercase", lowercase)
    writer.add_bool(
        "tokenizer.ggml.normalizer.strip_accents", lowercase if strip is None else strip
    )


def _renamed(token: str) -> str:
    if token.startswith(_CONTINUES) and token != _CONTINUES:
        return token.removeprefix(_CONTINUES)
    return _STARTS + token
