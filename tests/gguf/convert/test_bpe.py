from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("tokenizers")

from tests.gguf.qwen3_reference import Qwen3Reference
from tests.gguf.texts import texts
from tests.gguf.tiny_qwen3 import TinyQwen3

import gguf
from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import convert
from skillrouter_gguf.llama import LlamaModel

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def tiny(tmp_path: Path) -> TinyQwen3:
    return TinyQwen3(tmp_path / "checkpoint", closes=True).as_encoder()


def test_the_same_tokens_as_the_published_tokenizer(tiny: TinyQwen3, tmp_path: Path) -> None:
    convert(tiny.write(), tmp_path / "tiny.gguf")
    judge = Qwen3Reference(tiny.folder)
    lines = [*texts(300, 150, seed=2), "", " ", "\n \n", "<think>\n\n</think>\n\nI'LL ", "1\u20e3"]
    lines += [unicodedata.normalize("NFD", line) for line in lines[:20]]
    model = LlamaModel(tmp_path / "tiny.gguf")
    found = [model.tokenise(line, 10_000).tolist() for line in lines]
    model.close()
    assert found == [judge.tokenise(line) for line in lines]


def test_special_tokens_in_a_text_are_text(tiny: TinyQwen3, tmp_path: Path) -> None:
    convert(tiny.write(), tmp_path / "tiny.gguf")
    model = LlamaModel(tmp_path / "tiny.gguf")
    special = {tiny.id_of("<|im_end|>"), tiny.id_of("<|im_start|>")}
    assert special.isdisjoint(model.tokenise("a<|im_end|>\n<|im_start|>b", 99).tolist())
    assert special <= set(model.tokenise_markup("a<|im_end|>\n<|im_start|>b").tolist())
    model.close()


def test_rows_without_a_token_are_padded(tiny: TinyQwen3, tmp_path: Path) -> None:
    convert(tiny.write(), tmp_path / "tiny.gguf")
    fields = gguf.GGUFReader(tmp_path / "tiny.gguf").fields
    tokens, kinds = (
        fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type")
    )
    rows = tiny.config["vocab_size"]
    assert tokens[-5:] == [f"[PAD{number}]" for number in range(rows - 5, rows)]
    assert kinds[-5:] == [gguf.TokenType.UNUSED] * 5
    assert kinds[tiny.id_of("<|im_end|>")] == gguf.TokenType.CONTROL
    assert kinds[tiny.id_of("<think>")] == gguf.TokenType.USER_DEFINED
    assert fields["tokenizer.ggml.eos_token_id"].contents() == tiny.id_of("<|endoftext|>")


def test_merges_as_older_files_have_them(tiny: TinyQwen3, tmp_path: Path) -> None:
    convert(tiny.write(), tmp_path / "pairs.gguf")
    merges = tiny.tokenizer["model"]["merges"]
    tiny.tokenizer["model"]["merges"] = [" ".join(merge) for merge in merges]
    convert(tiny.write(), tmp_path / "lines.gguf")
    assert (tmp_path / "pairs.gguf").read_bytes() == (tmp_path / "lines.gguf").read_bytes()


def _model(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda tokenizer: tokenizer["model"].update(changes)


def _other_split(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+"


def _byte_level_alone(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False}


def _no_normalizer(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = None


def _greedy_token(tokenizer: dict[str, Any]) -> None:
    tokenizer["added_tokens"][-1]["lstrip"] = True


def _gap(tokenizer: dict[str, Any]) -> None:
    tokenizer["added_tokens"][-1]["id"] += 1


def _opening(tokenizer: dict[str, Any]) -> None:
    tokenizer["post_processor"]["single"].reverse()


def _word_pieces(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["type"] = "WordPiece"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_model(ignore_merges=True), "model.ignore_merges: Input should be False"),
        (_model(byte_fallback=True), "model.byte_fallback: Input should be False"),
        (_model(unk_token="?"), "model.unk_token: Input should be null"),
        (_model(merges=[3]), "model.merges.0: Input should be a valid string"),
        (_other_split, "splits texts by another expression than Qwen's"),
        (_byte_level_alone, "pre_tokenizer.type: Input should be 'Sequence'"),
        (_no_normalizer, "normalizer: Input should be"),
        (_greedy_token, "added tokens that take more than their own text"),
        (_gap, "token ids must run from 0"),
        (_opening, "a text must have no opening token"),
        (_word_pieces, "a WordPiece tokenizer with this architecture can't be converted"),
    ],
)
def test_what_llama_would_tokenise_differently_is_refused(
    tiny: TinyQwen3, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(tiny.tokenizer)
    with pytest.raises(ConversionError) as caught:
        convert(tiny.write(), tmp_path / "tiny.gguf")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tiny.folder / 'tokenizer.json'}: ")
