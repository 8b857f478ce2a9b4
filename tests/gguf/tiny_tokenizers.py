"""Small tokenizers of the kinds that published models have, trained on made-up texts."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.gguf.texts import texts
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_ADDED = ("<think>", "</think>", "<tool_call>")
_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_XLMR_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_LINES = 300


def qwen_tokenizer(*, closes: bool, also: Sequence[str] = ()) -> Tokenizer:
    """Byte-level BPE with Qwen's added tokens, trained on `also` too.

    With `closes`, a text ends in `<|endoftext|>`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_QWEN_SPLIT), behavior="isolated", invert=False)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts(_LINES, 200), *["yes", "no"] * 500, *also], trainer)
    tokenizer.add_special_tokens(list(QWEN_SPECIAL))
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in QWEN_ADDED])
    if closes:
        end = QWEN_SPECIAL[0]
        tokenizer.post_processor = TemplateProcessing(
            single=f"$A {end}", special_tokens=[(end, tokenizer.token_to_id(end))]
        )
    return tokenizer


def bert_tokenizer() -> Tokenizer:
    """Uncased WordPiece."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=list(_BERT_SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts(_LINES, 200), trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def xlmr_tokenizer() -> Tokenizer:
    """Unigram with SentencePiece's own table of characters, which needs `sentencepiece`."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts(_LINES, 200)),
        model_writer=model,
        model_type="unigram",
        vocab_size=700,
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocabulary = [(token, 0.0) for token in _XLMR_SPECIAL] + [
        (pieces.IdToPiece(number), pieces.GetScore(number))
        for number in range(3, pieces.GetPieceSize())
    ]
    vocabulary.append(("<mask>", 0.0))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    split, spaces = pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, spaces])
    tokenizer.add_special_tokens([*_XLMR_SPECIAL, "<mask>"])
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    table = b64encode(_field(_field(model.getvalue(), 3), 2)).decode()
    content["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": table}
    return Tokenizer.from_str(json.dumps(content))


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json` as published folders have it."""
    tokenizer.save(str(folder / "tokenizer.json"))


def _field(message: bytes, wanted: int) -> bytes:
    """The first field of this number, of those with a length, in a protocol buffer."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 2:
            length = varint()
            if number == wanted:
                return message[place : place + length]
            place += length
        elif kind == 0:
            varint()
        else:
            place += 4 if kind == 5 else 8
    raise AssertionError(f"no field {wanted}")
