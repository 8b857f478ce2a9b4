from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("sentencepiece", reason="trains a unigram tokenizer, which needs sentencepiece")

from tests.gguf.texts import texts
from tests.gguf.tiny_tokenizers import xlmr_tokenizer
from tokenizers import Tokenizer

import gguf
from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import convert
from skillrouter_gguf.llama import LlamaModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gguf.tiny_bert import TinyBert


@cache
def _tokenizer() -> str:
    content: str = xlmr_tokenizer().to_str()
    return content


@pytest.fixture
def tiny(tiny_bert: TinyBert) -> TinyBert:
    """BERT with XLM-RoBERTa's kind of tokenizer."""
    tiny_bert.tokenizer = json.loads(_tokenizer())
    tiny_bert.config["vocab_size"] = len(tiny_bert.tokenizer["model"]["vocab"]) + 3
    tiny_bert.tensors = tiny_bert.random_tensors()
    return tiny_bert


def _differing(tiny: TinyBert, target: Path) -> list[str]:
    judge = Tokenizer.from_str(_tokenizer())
    model = LlamaModel(target)
    lines = [*texts(300, 150, seed=2), "", " ", "\n \n", "  two  spaces  "]
    differing = [
        line for line in lines if model.tokenise(line, 10_000).tolist() != judge.encode(line).ids
    ]
    model.close()
    return differing


def test_the_same_tokens_as_the_published_tokenizer(tiny: TinyBert, tmp_path: Path) -> None:
    convert(tiny.write(), tmp_path / "tiny.gguf")
    assert _differing(tiny, tmp_path / "tiny.gguf") == []


def test_normalizers_of_other_versions(tiny: TinyBert, tmp_path: Path) -> None:
    spaces = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    steps = [strip, tiny.tokenizer["normalizer"], spaces]
    tiny.tokenizer["normalizer"] = {"type": "Sequence", "normalizers": steps}
    metaspace = tiny.tokenizer["pre_tokenizer"]["pretokenizers"][1]
    tiny.tokenizer["pre_tokenizer"] = metaspace
    convert(tiny.write(), tmp_path / "tiny.gguf")
    assert _differing(tiny, tmp_path / "tiny.gguf") == []


def test_metadata(tiny: TinyBert, tmp_path: Path) -> None:
    pieces = tiny.tokenizer["model"]["vocab"]
    pieces[9][0] = "a\u2581b"
    convert(tiny.write(), tmp_path / "tiny.gguf")
    fields = gguf.GGUFReader(tmp_path / "tiny.gguf").fields
    names = ("tokens", "token_type", "scores", "bos_token_id", "eos_token_id", "add_eos_token")
    tokens, kinds, scores, opening, closing, closes = (
        fields[f"tokenizer.ggml.{name}"].contents() for name in names
    )
    assert (opening, closing, closes) == (0, 2, True)
    assert tokens[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert kinds[0] == gguf.TokenType.CONTROL
    assert kinds[3] == gguf.TokenType.UNKNOWN
    assert kinds[8] == gguf.TokenType.NORMAL
    # It reaches over a space, at which texts are split first.
    assert kinds[9] == kinds[-1] == gguf.TokenType.UNUSED
    assert scores[8] == pytest.approx(pieces[8][1])
    assert len(tokens) == len(scores) == tiny.config["vocab_size"]
    assert len(fields["tokenizer.ggml.precompiled_charsmap"].contents()) > 100_000


def _normalizer(content: Any) -> Callable[[dict[str, Any]], None]:
    return lambda tokenizer: tokenizer.update(normalizer=content)


def _pre_tokenizer(content: Any) -> Callable[[dict[str, Any]], None]:
    return lambda tokenizer: tokenizer.update(pre_tokenizer=content)


def _byte_fallback(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["byte_fallback"] = True


def _twice(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["vocab"][7][0] = tokenizer["model"]["vocab"][8][0]


def _no_frame(tokenizer: dict[str, Any]) -> None:
    tokenizer["post_processor"] = None


def _plain_addition(tokenizer: dict[str, Any]) -> None:
    tokenizer["added_tokens"][-1]["special"] = False


def _gap(tokenizer: dict[str, Any]) -> None:
    tokenizer["added_tokens"].append(tokenizer["added_tokens"][-1] | {"id": 10**6})


CUT = {"type": "Precompiled", "precompiled_charsmap": b64encode(b"\xff\xff\0\0").decode()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_normalizer({"type": "NFKC"}), "normalizer: expected one Precompiled"),
        (_normalizer({"type": "Precompiled"}), "normalizer: expected one Precompiled"),
        (_normalizer(CUT), "normalizer: its table of characters is cut short"),
        (_normalizer(CUT | {"precompiled_charsmap": "ü"}), "expected one Precompiled"),
        (_normalizer({"type": "Sequence", "normalizers": []}), "expected one Precompiled"),
        (_normalizer({"type": "Sequence", "normalizers": [3]}), "expected one Precompiled"),
        (_normalizer(None), "normalizer: Input should be"),
        (_pre_tokenizer({"type": "ByteLevel"}), "pre_tokenizer."),
        (_byte_fallback, "model.byte_fallback: Input should be False"),
        (_twice, "a token stands there twice"),
        (_no_frame, "not put between one opening and one closing token"),
        (_plain_addition, "added tokens that are not special: ['<mask>']"),
        (_gap, "token ids must run from 0"),
    ],
)
def test_what_llama_would_tokenise_differently_is_refused(
    tiny: TinyBert, tmp_path: Path, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(tiny.tokenizer)
    with pytest.raises(ConversionError) as caught:
        convert(tiny.write(), tmp_path / "tiny.gguf")
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tiny.folder / 'tokenizer.json'}: ")


def test_xlm_roberta_leaves_out_its_first_positions(tiny: TinyBert, tmp_path: Path) -> None:
    tiny.config |= {"model_type": "xlm-roberta", "pad_token_id": 1, "type_vocab_size": 1}
    tiny.tensors = tiny.random_tensors()
    convert(tiny.write(), tmp_path / "tiny.gguf", "F32")
    reader = gguf.GGUFReader(tmp_path / "tiny.gguf")
    (positions,) = (each for each in reader.tensors if each.name == "position_embd.weight")
    given = tiny.tensors["embeddings.position_embeddings.weight"]
    assert reader.fields["bert.context_length"].contents() == 46
    assert (positions.data == given[2:]).all()
