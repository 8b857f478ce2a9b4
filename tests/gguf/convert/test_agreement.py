"""Converted checkpoints, run by llama.cpp, against BERT in plain numpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from skillrouter_gguf.convert import WeightType, convert
from skillrouter_gguf.llama import LlamaModel

if TYPE_CHECKING:
    from tests.gguf.bert_reference import BertReference
    from tests.gguf.tiny_bert import TinyBert

TEXTS = (
    "merge the pdf files",
    "numbering pages",
    "The PAGE",
    "A cab, 42 dogs & naïve (really?) café-goers...",
    "文 file 件",
    "nul\0 tab\t and a soft\u00adhyphen\u200b",
    "",
    " ".join(["merging the files, page by page:"] * 6),
)


def _check(
    bert: TinyBert, reference: type[BertReference], target: Path, weights: WeightType, least: float
) -> None:
    """Both give the same tokens, and vectors of at least this cosine."""
    judge = reference(bert.write())
    convert(bert.folder, target, weights)
    ids = [judge.tokenise(text, bert.config["max_position_embeddings"]) for text in TEXTS]
    tokenizer = LlamaModel(target)
    assert [tokenizer.tokenise(text, tokenizer.context).tolist() for text in TEXTS] == ids
    tokenizer.close()
    expected = np.array([judge.encode(row) for row in ids])
    with bert.open(target) as encoder:
        vectors = encoder.encode_documents(TEXTS)
    assert ((vectors * expected).sum(axis=1) >= least).all()
    # The texts are told apart, so that the line above means something.
    assert (expected @ expected.T)[np.triu_indices(len(TEXTS), 1)].min() < 0.9


@pytest.mark.parametrize(("weights", "least"), [("F32", 0.99999), ("F16", 0.9999), ("Q8_0", 0.999)])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_every_number_format_and_pooling(
    tiny_bert: TinyBert,
    reference: type[BertReference],
    tmp_path: Path,
    pooling: str,
    weights: WeightType,
    least: float,
) -> None:
    tiny_bert.pooling["pooling_mode_mean_tokens"] = pooling == "mean"
    tiny_bert.pooling["pooling_mode_cls_token"] = pooling == "cls"
    _check(tiny_bert, reference, tmp_path / "tiny.gguf", weights, least)


def test_names_with_the_prefix_of_a_whole_training_checkpoint(
    tiny_bert: TinyBert, reference: type[BertReference], tmp_path: Path
) -> None:
    tiny_bert.write()
    judge = reference(tiny_bert.folder)
    width = tiny_bert.config["hidden_size"]
    tiny_bert.tensors = {f"bert.{name}": values for name, values in tiny_bert.tensors.items()}
    tiny_bert.tensors["bert.pooler.dense.weight"] = np.ones((width, width), dtype=np.float32)
    tiny_bert.tensors["cls.predictions.bias"] = np.ones(width, dtype=np.float32)
    convert(tiny_bert.write(), tmp_path / "tiny.gguf", "F32")
    with tiny_bert.open(tmp_path / "tiny.gguf") as encoder:
        (vector,) = encoder.encode_documents([TEXTS[0]])
    assert vector @ judge.encode(judge.tokenise(TEXTS[0], 48)) > 0.99999


def test_rows_that_do_not_divide_into_blocks(
    tiny_bert: TinyBert, reference: type[BertReference], tmp_path: Path
) -> None:
    tiny_bert.config["hidden_size"] = 48
    tiny_bert.tensors = tiny_bert.random_tensors()
    _check(tiny_bert, reference, tmp_path / "tiny.gguf", "Q8_0", 0.999)


def test_weights_published_as_float16(
    tiny_bert: TinyBert, reference: type[BertReference], tmp_path: Path
) -> None:
    judge = reference(tiny_bert.write())
    tiny_bert.tensors = {
        name: values.astype(np.float16) for name, values in tiny_bert.tensors.items()
    }
    convert(tiny_bert.write(), tmp_path / "tiny.gguf", "F32")
    with tiny_bert.open(tmp_path / "tiny.gguf") as encoder:
        (vector,) = encoder.encode_documents([TEXTS[0]])
    assert vector @ judge.encode(judge.tokenise(TEXTS[0], 48)) > 0.9999


def test_a_vocabulary_with_capitals_and_accents(
    tiny_bert: TinyBert, reference: type[BertReference], tmp_path: Path
) -> None:
    tiny_bert.tokenizer["normalizer"]["lowercase"] = False
    _check(tiny_bert, reference, tmp_path / "tiny.gguf", "F32", 0.99999)


def test_a_template_and_fewer_tokens_than_rows(
    tiny_bert: TinyBert, reference: type[BertReference], tmp_path: Path
) -> None:
    tiny_bert.config["vocab_size"] += 12
    tiny_bert.tensors = tiny_bert.random_tensors()
    tiny_bert.tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
        ],
        "pair": [
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {
            token: {"id": token, "ids": [number], "tokens": [token]}
            for token, number in (("[CLS]", 2), ("[SEP]", 3))
        },
    }
    _check(tiny_bert, reference, tmp_path / "tiny.gguf", "F32", 0.99999)
