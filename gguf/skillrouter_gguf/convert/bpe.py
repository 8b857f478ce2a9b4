"""Byte-level BPE tokenizers of the Qwen family: `tokenizer.json` as llama.cpp's `gpt2` vocabulary.

llama.cpp leaves out the tokenizer's first step, NFC (Unicode annex 15); `LlamaModel` does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

import gguf
from skillrouter_gguf.convert.tokenizer import FILE, AddedToken, padded, read_frame
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from skillrouter_gguf.convert.checkpoint import Checkpoint

PRE_TOKENIZER = "qwen2"
# How that splits a text before merging; llama.cpp has the same built in.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class _BPE(BaseModel):
    type: Literal["BPE"]
    vocab: dict[str, int]
    merges: list[Annotated[str, BeforeValidator(lambda merge: _joined(merge))]]
    unk_token: None = None
    dropout: None = None
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None
    byte_fallback: Literal[False] = False
    ignore_merges: Literal[False] = False


class _Normalizer(BaseModel):
    type: Literal["NFC"]


class _Pattern(BaseModel):
    Regex: str


class _Split(BaseModel):
    type: Literal["Split"]
    pattern: _Pattern
    behavior: Literal["Isolated"]
    invert: Literal[False]


class _ByteLevel(BaseModel):
    type: Literal["ByteLevel"]
    add_prefix_space: Literal[False]
    use_regex: Literal[False]


class _PreTokenizer(BaseModel):
    type: Literal["Sequence"]
    pretokenizers: tuple[_Split, _ByteLevel]


class _Tokenizer(BaseModel):
    """The part of `tokenizer.json` that llama.cpp can follow."""

    added_tokens: list[AddedToken]
    normalizer: _Normalizer
    pre_tokenizer: _PreTokenizer
    model: _BPE


class _Ends(BaseModel):
    """Special tokens of `config.json`."""

    eos_token_id: int | Annotated[list[int], Field(min_length=1)] | None = None
    pad_token_id: int | None = None


def add_bpe(writer: gguf.GGUFWriter, checkpoint: Checkpoint, vocab_size: int) -> None:
    """Write the checkpoint's tokenizer as GGUF metadata, padded to `vocab_size` tokens.

    Raises:
        ConversionError: if the tokenizer is not one that llama.cpp would follow to the letter.
    """
    path = checkpoint.folder / FILE
    tokenizer = checkpoint.read(FILE, _Tokenizer)
    if tokenizer.pre_tokenizer.pretokenizers[0].pattern.Regex != _SPLIT:
        raise ConversionError(
            f"{path}: splits texts by another expression than Qwen's, the only one that is known."
        )
    ids = tokenizer.model.vocab | {token.content: token.id for token in tokenizer.added_tokens}
    if sorted(ids.values()) != list(range(len(ids))) or len(ids) > vocab_size:
        raise ConversionError(
            f"{path}: token ids must run from 0 to at most {vocab_size - 1} without gaps."
        )
    odd = [
        token.content
        for token in tokenizer.added_tokens
        if token.single_word or token.lstrip or token.rstrip
    ]
    if odd:
        raise ConversionError(f"{path}: added tokens that take more than their own text: {odd}.")

    kinds = dict.fromkeys(ids, gguf.TokenType.NORMAL)
    for token in tokenizer.added_tokens:
        kinds[token.content] = (
            gguf.TokenType.CONTROL if token.special else gguf.TokenType.USER_DEFINED
        )
    tokens = sorted(ids, key=ids.__getitem__)
    names, types = padded(tokens, [kinds[token] for token in tokens], vocab_size)
    frame = read_frame(checkpoint)
    ends = checkpoint.read("config.json", _Ends)
    eos = ends.eos_token_id
    if isinstance(eos, list):
        eos = eos[0]
    if frame.closing is not None:
        eos = ids.get(frame.closing)
    if frame.opening is not None or eos is None or not 0 <= eos < len(ids):
        raise ConversionError(
            f"{path}: a text must have no opening token, and its closing token or config.json's "
            "eos_token_id must be of the vocabulary."
        )

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(names)
    writer.add_token_types(types)
    writer.add_token_merges(tokenizer.model.merges)
    writer.add_bos_token_id(eos)
    writer.add_eos_token_id(eos)
    writer.add_pad_token_id(eos if ends.pad_token_id is None else ends.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(frame.closing is not None)


def token_id(checkpoint: Checkpoint, token: str) -> int:
    """The id of a token of the model's own vocabulary.

    Raises:
        ConversionError: if there is no such token.
    """
    try:
        return checkpoint.read(FILE, _Tokenizer).model.vocab[token]
    except KeyError:
        raise ConversionError(
            f"{checkpoint.folder / FILE}: there is no token {token!r}, which a reranker answers "
            "with."
        ) from None


def _joined(merge: Any) -> Any:
    """A merge as llama.cpp has it, in one string; newer files keep a pair."""
    if isinstance(merge, list) and all(isinstance(part, str) for part in merge):
        return " ".join(merge)
    return merge
