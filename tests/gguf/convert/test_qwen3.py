from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from tests.gguf.qwen3_reference import Qwen3Reference
from tests.gguf.tiny_qwen3 import TEMPLATE, TinyQwen3

import gguf
from skillrouter_gguf import ConversionError, Encoder, Reranker
from skillrouter_gguf.convert import WeightType, convert

if TYPE_CHECKING:
    from collections.abc import Callable

QUERY = "Merge the report's pages and number them"
DOCUMENTS = (
    "merge | Merge files | def merge(files): return sum(files, [])",
    "chart | Draw charts | 把表格转换成图表 🚀",
    "",
    "deploy | Deploy a container | " + "commit the branch and deploy. " * 30,
)


@pytest.fixture
def encoder(tmp_path: Path) -> TinyQwen3:
    return TinyQwen3(tmp_path / "encoder", closes=True).as_encoder()


@pytest.fixture
def reranker(tmp_path: Path) -> TinyQwen3:
    return TinyQwen3(tmp_path / "reranker", closes=False)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf"


def _scores(tiny: TinyQwen3, target: Path) -> Any:
    with Reranker.open(tiny.entry("reranker"), path=target, threads=1) as reranker:
        return reranker.score(QUERY, DOCUMENTS)


def _expected(folder: Path, template: str = TEMPLATE) -> list[float]:
    judge = Qwen3Reference(folder).judge
    asked = template.replace("{query}", QUERY)
    return [judge(asked.replace("{document}", document)) for document in DOCUMENTS]


@pytest.mark.parametrize(
    ("weights", "least"), [("F32", 0.9999), ("F16", 0.9999), ("BF16", 0.999), ("Q8_0", 0.998)]
)
def test_vectors_agree(encoder: TinyQwen3, target: Path, weights: WeightType, least: float) -> None:
    assert convert(encoder.write(), target, weights) == "encoder"
    judge = Qwen3Reference(encoder.folder)
    texts = [*DOCUMENTS, QUERY, "report " * 600]
    expected = np.array([judge.encode(judge.tokenise(text)) for text in texts])
    with Encoder.open(encoder.entry("encoder"), path=target, threads=2) as model:
        documents, queries = model.encode_documents(texts), model.encode_queries(texts)
    assert (documents * expected).sum(axis=1).min() >= least
    assert (queries * expected).sum(axis=1).min() >= least
    # The texts are told apart, so that the lines above mean something.
    assert (expected @ expected.T)[np.triu_indices(len(texts), 1)].max() < 0.9


@pytest.mark.parametrize(("weights", "most"), [("F32", 0.005), ("F16", 0.01), ("Q8_0", 0.1)])
def test_scores_agree(reranker: TinyQwen3, target: Path, weights: WeightType, most: float) -> None:
    kind = convert(reranker.write(), target, weights, kind="reranker", template=TEMPLATE)
    assert kind == "reranker"
    expected = _expected(reranker.folder)
    assert np.abs(_scores(reranker, target) - expected).max() < most
    assert np.ptp(expected) > 0.2


def test_a_reranker_s_own_output_layer(reranker: TinyQwen3, target: Path) -> None:
    reranker.config["tie_word_embeddings"] = False
    words = reranker.tensors["model.embed_tokens.weight"]
    reranker.tensors["lm_head.weight"] = np.ascontiguousarray(words[::-1])
    convert(reranker.write(), target, "F32", kind="reranker", template=TEMPLATE)
    assert np.abs(_scores(reranker, target) - _expected(reranker.folder)).max() < 0.005
    assert "output.weight" not in {tensor.name for tensor in gguf.GGUFReader(target).tensors}


def test_a_classifier_of_one_row(reranker: TinyQwen3, target: Path) -> None:
    words = reranker.tensors["model.embed_tokens.weight"]
    yes, no = reranker.id_of("yes"), reranker.id_of("no")
    expected = _expected(reranker.write())
    reranker.config["architectures"] = ["Qwen3ForSequenceClassification"]
    reranker.tensors["score.weight"] = words[yes : yes + 1] - words[no : no + 1]
    assert convert(reranker.write(), target, "F32", template=TEMPLATE) == "reranker"
    assert np.abs(_scores(reranker, target) - expected).max() < 0.005


def test_answers_that_the_modules_name(reranker: TinyQwen3, target: Path) -> None:
    expected = _expected(reranker.write())
    reranker.files |= {
        "modules.json": [
            {"type": "sentence_transformers.base.modules.transformer.Transformer", "path": ""},
            {"type": "sentence_transformers.cross_encoder.modules.LogitScore", "path": "1_Score"},
        ],
        "1_Score/config.json": {
            "true_token_id": reranker.id_of("no"),
            "false_token_id": reranker.id_of("yes"),
        },
    }
    assert convert(reranker.write(), target, "F32", template=TEMPLATE) == "reranker"
    assert np.abs(_scores(reranker, target) + expected).max() < 0.005


def test_qwen_s_own_template_is_the_default(reranker: TinyQwen3, target: Path) -> None:
    convert(reranker.write(), target, "F32", kind="reranker")
    fields = gguf.GGUFReader(target).fields
    template = fields["tokenizer.chat_template.rerank"].contents()
    assert "<Instruct>: Given a web search query, retrieve relevant passages" in template
    expected = _expected(reranker.folder, template)
    assert np.abs(_scores(reranker, target) - expected).max() < 0.005


def test_metadata(reranker: TinyQwen3, target: Path) -> None:
    convert(reranker.write(), target, kind="reranker", template=TEMPLATE)
    fields = gguf.GGUFReader(target).fields
    expected = {
        "general.architecture": "qwen3",
        "qwen3.context_length": 2048,
        "qwen3.attention.head_count": 4,
        "qwen3.attention.head_count_kv": 2,
        "qwen3.attention.key_length": 32,
        "qwen3.rope.freq_base": 1e6,
        "qwen3.pooling_type": gguf.PoolingType.RANK,
        "qwen3.classifier.output_labels": ["yes", "no"],
        "tokenizer.chat_template.rerank": TEMPLATE,
        "tokenizer.ggml.add_eos_token": False,
    }
    assert {name: fields[name].contents() for name in expected} == expected


def test_rope_as_newer_configs_have_it(encoder: TinyQwen3, target: Path) -> None:
    del encoder.config["rope_theta"]
    encoder.config["rope_parameters"] = {"rope_type": "default", "rope_theta": 5000.0}
    convert(encoder.write(), target)
    assert gguf.GGUFReader(target).fields["qwen3.rope.freq_base"].contents() == 5000.0


def test_weights_in_several_files(encoder: TinyQwen3, target: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    convert(encoder.write(), target)
    (encoder.folder / "model.safetensors").unlink()
    names = sorted(encoder.tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: encoder.tensors[name] for name in part}, encoder.folder / file)
    index = encoder.folder / "model.safetensors.index.json"
    places = {name: file for file, part in shards.items() for name in part}
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    convert(encoder.folder, tmp_path / "sharded.gguf")
    assert (tmp_path / "sharded.gguf").read_bytes() == target.read_bytes()

    index.write_text(json.dumps({"weight_map": {**places, "more": "b.safetensors"}}))
    with pytest.raises(ConversionError, match="names tensors that its files don't hold: more"):
        convert(encoder.folder, target)
    index.write_text(json.dumps({"weight_map": {"a": "../b.safetensors"}}))
    with pytest.raises(ConversionError, match=r"weight_map\.a: String should match"):
        convert(encoder.folder, target)
    index.write_text(json.dumps({"weight_map": {"a": "c.safetensors"}}))
    with pytest.raises(ConversionError, match=r"c\.safetensors: there is no such file"):
        convert(encoder.folder, target)


def _no_modules(tiny: TinyQwen3) -> None:
    tiny.files.clear()


def _mean_pooling(tiny: TinyQwen3) -> None:
    tiny.files["1_Pooling/config.json"] = {"pooling_mode": "mean"}


def _config(**changes: Any) -> Callable[[TinyQwen3], None]:
    return lambda tiny: tiny.config.update(changes)


def _strange_tensor(tiny: TinyQwen3) -> None:
    tiny.tensors["model.layers.0.self_attn.q_proj.bias"] = np.ones(128, dtype=np.float32)


def _missing_tensor(tiny: TinyQwen3) -> None:
    del tiny.tensors["model.layers.1.mlp.up_proj.weight"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_modules, "no modules.json to say whether this is an encoder or a reranker"),
        (_mean_pooling, "a Qwen3 encoder must pool the last token"),
        (_config(model_type="qwen3_moe"), "models of the type 'qwen3_moe' can't be converted"),
        (_config(rope_scaling={"rope_type": "yarn", "factor": 4.0}), "rope_scaling: Input should"),
        (_config(use_sliding_window=True), "use_sliding_window: Input should be False"),
        (_config(attention_bias=True), "attention_bias: Input should be False"),
        (_config(hidden_act="gelu"), "hidden_act: Input should be 'silu'"),
        (_config(num_key_value_heads=3), "can't share 3 keys and values"),
        (_config(vocab_size=10**9), "config.json asks for (1000000000, 64)"),
        (_strange_tensor, "does not have: layers.0.self_attn.q_proj.bias"),
        (_missing_tensor, "there is no tensor 'model.layers.1.mlp.up_proj.weight'"),
    ],
)
def test_what_cannot_be_converted_is_refused(
    encoder: TinyQwen3, target: Path, change: Callable[[TinyQwen3], None], said: str
) -> None:
    change(encoder)
    with pytest.raises(ConversionError) as caught:
        convert(encoder.write(), target)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(encoder.folder))
    assert not target.exists()


def test_a_reranker_without_its_answers(reranker: TinyQwen3, target: Path) -> None:
    vocabulary = reranker.tokenizer["model"]["vocab"]
    vocabulary["never"] = vocabulary.pop("yes")
    reranker.tokenizer["model"]["merges"] = [
        merge for merge in reranker.tokenizer["model"]["merges"] if "".join(merge) != "yes"
    ]
    with pytest.raises(ConversionError, match="there is no token 'yes'"):
        convert(reranker.write(), target, kind="reranker")


@pytest.mark.parametrize(
    "template", ["", "{query}", "{document} {query}", "{query} {document} {document}"]
)
def test_templates_that_cannot_be_filled(reranker: TinyQwen3, target: Path, template: str) -> None:
    with pytest.raises(ConversionError, match="the template must hold"):
        convert(reranker.write(), target, kind="reranker", template=template)


def test_only_a_reranker_has_a_template(encoder: TinyQwen3, target: Path) -> None:
    with pytest.raises(ConversionError, match="only a Qwen3 reranker has a template"):
        convert(encoder.write(), target, template=TEMPLATE)
