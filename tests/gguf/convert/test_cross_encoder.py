"""BERT that reads a request and a text together, converted and run by llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")

import gguf
from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import WeightType, convert

if TYPE_CHECKING:
    from tests.gguf.bert_reference import BertReference
    from tests.gguf.tiny_bert import TinyBert

QUERY = "merge the pdf"
DOCUMENTS = ("merging files", "page 42", "文 file", "", " ".join(["number the pages:"] * 20))


@pytest.fixture
def cross_encoder(tiny_bert: TinyBert) -> TinyBert:
    return tiny_bert.as_cross_encoder()


def _scores(bert: TinyBert, target: Path) -> Any:
    with bert.open_reranker(target) as reranker:
        return reranker.score(QUERY, DOCUMENTS)


@pytest.mark.parametrize(("weights", "most"), [("F32", 0.01), ("F16", 0.01), ("Q8_0", 0.1)])
def test_scores_agree(
    cross_encoder: TinyBert,
    reference: type[BertReference],
    tmp_path: Path,
    weights: WeightType,
    most: float,
) -> None:
    target = tmp_path / "tiny.gguf"
    assert convert(cross_encoder.write(), target, weights) == "reranker"
    judge = reference(cross_encoder.folder)
    expected = [judge.classify(QUERY, document, 48) for document in DOCUMENTS]
    assert np.abs(_scores(cross_encoder, target) - expected).max() < most
    assert np.ptp(expected) > 0.2


def test_segments_matter(cross_encoder: TinyBert, tmp_path: Path) -> None:
    convert(cross_encoder.write(), tmp_path / "tiny.gguf", "F32")
    told_apart = _scores(cross_encoder, tmp_path / "tiny.gguf")
    segments = cross_encoder.tensors["bert.embeddings.token_type_embeddings.weight"]
    segments[1] = segments[0]
    convert(cross_encoder.write(), tmp_path / "tiny.gguf", "F32")
    assert np.abs(_scores(cross_encoder, tmp_path / "tiny.gguf") - told_apart).max() > 0.05


def test_metadata_and_tensors(cross_encoder: TinyBert, tmp_path: Path) -> None:
    rows = cross_encoder.config["vocab_size"]
    convert(cross_encoder.write(), tmp_path / "tiny.gguf")
    reader = gguf.GGUFReader(tmp_path / "tiny.gguf")
    expected = {
        "bert.pooling_type": gguf.PoolingType.RANK,
        "bert.vocab_size": 2 * rows,
        "bert.classifier.output_labels": ["relevance"],
        "skillrouter.second_segment": rows,
    }
    assert {name: reader.fields[name].contents() for name in expected} == expected
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert shapes["token_embd.weight"] == [64, 2 * rows]
    assert shapes["cls.weight"] == [64, 64]
    assert shapes["cls.output.weight"] == [64, 1]
    assert shapes["cls.output.bias"] == [1]


def test_one_segment_needs_no_second_embeddings(cross_encoder: TinyBert, tmp_path: Path) -> None:
    name = "bert.embeddings.token_type_embeddings.weight"
    cross_encoder.config["type_vocab_size"] = 1
    cross_encoder.tensors[name] = cross_encoder.tensors[name][:1].copy()
    convert(cross_encoder.write(), tmp_path / "tiny.gguf")
    fields = gguf.GGUFReader(tmp_path / "tiny.gguf").fields
    assert fields["bert.vocab_size"].contents() == cross_encoder.config["vocab_size"]
    assert "skillrouter.second_segment" not in fields
    assert _scores(cross_encoder, tmp_path / "tiny.gguf").shape == (len(DOCUMENTS),)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("bert.pooler.dense.weight", None, "there is no tensor 'bert.pooler.dense.weight'"),
        ("classifier.weight", (3, 64), "'classifier.weight' has shape (3, 64)"),
        ("classifier.dense.weight", (64, 64), "a BERT cross-encoder of this shape does not have"),
    ],
)
def test_another_head_is_refused(
    cross_encoder: TinyBert,
    tmp_path: Path,
    name: str,
    shape: tuple[int, ...] | None,
    said: str,
) -> None:
    if shape is None:
        del cross_encoder.tensors[name]
    else:
        cross_encoder.tensors[name] = np.ones(shape, dtype=np.float32)
    with pytest.raises(ConversionError) as caught:
        convert(cross_encoder.write(), tmp_path / "tiny.gguf")
    assert said in str(caught.value)


def test_texts_that_are_joined_otherwise_are_refused(
    cross_encoder: TinyBert, tmp_path: Path
) -> None:
    ends = [{"SpecialToken": {"id": name, "type_id": 0}} for name in ("[CLS]", "[SEP]")]
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    cross_encoder.tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [ends[0], first, ends[1]],
        "pair": [ends[0], first, second, ends[1]],
        "special_tokens": {},
    }
    with pytest.raises(ConversionError, match=r"joined as \['\[CLS\]', 'A', 'B', '\[SEP\]'\]"):
        convert(cross_encoder.write(), tmp_path / "tiny.gguf")
