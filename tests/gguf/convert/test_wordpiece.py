from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import gguf
from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gguf.tiny_bert import TinyBert


def _refused(bert: TinyBert, target: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        convert(bert.write(), target)
    assert not target.exists()
    assert str(caught.value).startswith(f"{bert.folder / 'tokenizer.json'}: ")
    return str(caught.value)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf"


def _fields(target: Path, *names: str) -> list[Any]:
    reader = gguf.GGUFReader(target)
    return [reader.fields[f"tokenizer.ggml.{name}"].contents() for name in names]


def test_words_are_marked_where_they_start(tiny_bert: TinyBert, target: Path) -> None:
    ids = tiny_bert.tokenizer["model"]["vocab"]
    convert(tiny_bert.write(), target)
    tokens, kinds = _fields(target, "tokens", "token_type")
    assert tokens[ids["[CLS]"]] == "[CLS]"
    assert tokens[ids["merge"]] == "\u2581merge"
    assert tokens[ids["##ing"]] == "ing"
    assert tokens[ids["#"]] == "\u2581#"
    assert tokens[ids["###"]] == "#"
    assert kinds[ids["[CLS]"]] == gguf.TokenType.CONTROL
    assert kinds[ids["merge"]] == gguf.TokenType.NORMAL


def test_rows_without_a_token_are_padded(tiny_bert: TinyBert, target: Path) -> None:
    known = tiny_bert.config["vocab_size"]
    tiny_bert.config["vocab_size"] += 2
    tiny_bert.tensors = tiny_bert.random_tensors()
    convert(tiny_bert.write(), target)
    tokens, kinds = _fields(target, "tokens", "token_type")
    assert tokens[known:] == [f"[PAD{known}]", f"[PAD{known + 1}]"]
    assert kinds[known:] == [gguf.TokenType.UNUSED] * 2


@pytest.mark.parametrize(
    ("lowercase", "strip", "expected"),
    [
        (True, None, [True, True]),
        (False, None, [False, False]),
        (True, False, [True, False]),
        (False, True, [False, True]),
    ],
)
def test_what_happens_to_capitals_and_accents(
    tiny_bert: TinyBert, target: Path, lowercase: bool, strip: bool | None, expected: list[bool]
) -> None:
    tiny_bert.tokenizer["normalizer"] |= {"lowercase": lowercase, "strip_accents": strip}
    convert(tiny_bert.write(), target)
    assert _fields(target, "normalizer.lowercase", "normalizer.strip_accents") == expected


@pytest.mark.parametrize("token", ["[CLS]", "[SEP]", "[UNK]"])
def test_a_special_token_that_the_vocabulary_lacks(
    tiny_bert: TinyBert, target: Path, token: str
) -> None:
    ids = tiny_bert.tokenizer["model"]["vocab"]
    ids["instead"] = ids.pop(token)
    assert f"special tokens outside the vocabulary: ['{token}']" in _refused(tiny_bert, target)


def test_a_mask_is_not_needed(tiny_bert: TinyBert, target: Path) -> None:
    ids = tiny_bert.tokenizer["model"]["vocab"]
    ids["instead"] = ids.pop("[MASK]")
    del tiny_bert.tokenizer["added_tokens"][-1]
    convert(tiny_bert.write(), target)
    assert "tokenizer.ggml.mask_token_id" not in gguf.GGUFReader(target).fields


@pytest.mark.parametrize("number", [-1, 2, 10**6])
def test_ids_with_gaps_or_twins(tiny_bert: TinyBert, target: Path, number: int) -> None:
    tiny_bert.tokenizer["model"]["vocab"]["merge"] = number
    assert "token ids must run from 0" in _refused(tiny_bert, target)


def test_more_tokens_than_rows(tiny_bert: TinyBert, target: Path) -> None:
    ids = tiny_bert.tokenizer["model"]["vocab"]
    ids["more"] = len(ids)
    assert f"from 0 to at most {len(ids) - 2}" in _refused(tiny_bert, target)


def test_two_tokens_that_would_share_a_name(tiny_bert: TinyBert, target: Path) -> None:
    ids = tiny_bert.tokenizer["model"]["vocab"]
    ids["##\u2581merge"] = ids.pop("page")
    assert "two tokens would have the same name" in _refused(tiny_bert, target)


def _other_continuation(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["continuing_subword_prefix"] = "@@"


def _other_normalizer(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = {"type": "NFKC"}


def _kept_control_characters(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"]["clean_text"] = False


def _other_splitter(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}


def _no_splitter(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"] = None


def _no_ids(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["vocab"] = ["a", "b"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_other_continuation, "model.continuing_subword_prefix"),
        (_other_normalizer, "normalizer.type"),
        (_kept_control_characters, "normalizer.clean_text"),
        (_other_splitter, "pre_tokenizer.type"),
        (_no_splitter, "pre_tokenizer"),
        (_no_ids, "model.vocab"),
    ],
)
def test_what_llama_would_tokenise_differently_is_refused(
    tiny_bert: TinyBert,
    target: Path,
    change: Callable[[dict[str, Any]], None],
    place: str,
) -> None:
    change(tiny_bert.tokenizer)
    assert f"tokenizer.json: {place}: Input should be" in _refused(tiny_bert, target)


@pytest.mark.parametrize("kind", ["WordLevel", "BPE"])
def test_another_kind_of_tokenizer(tiny_bert: TinyBert, target: Path, kind: str) -> None:
    tiny_bert.tokenizer["model"]["type"] = kind
    assert f"a {kind} tokenizer with this architecture can't be" in _refused(tiny_bert, target)


@pytest.mark.parametrize(
    "processor",
    [
        {},
        {"type": "ByteLevel"},
        {"type": "Sequence", "processors": []},
        {"type": "Sequence", "processors": [{"type": "BertProcessing"}] * 2},
        {"type": "BertProcessing", "cls": ["[CLS]", 2]},
        {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]},
        {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]"}}] * 3},
        {"type": "TemplateProcessing", "single": 3},
    ],
)
def test_a_text_stands_between_two_special_tokens(
    tiny_bert: TinyBert, target: Path, processor: dict[str, Any]
) -> None:
    tiny_bert.tokenizer["post_processor"] = processor
    assert "between one opening and one closing token" in _refused(tiny_bert, target)
