from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import convert
from skillrouter_gguf.convert.bert import read_config, tensors
from skillrouter_gguf.convert.checkpoint import Checkpoint

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert


def test_reads_what_decides_the_computation(tiny_bert: TinyBert) -> None:
    tiny_bert.config |= {"transformers_version": "4.8.2", "hidden_dropout_prob": 0.1}
    with Checkpoint(tiny_bert.write()) as checkpoint:
        config = read_config(checkpoint)
    assert (config.hidden_size, config.num_hidden_layers, config.layer_norm_eps) == (64, 2, 1e-12)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model_type", "roberta", "models of the type 'roberta' can't be converted; bert, xlm-"),
        ("model_type", None, "model_type: Input should be a valid string"),
        ("hidden_act", "relu", "hidden_act: Input should be 'gelu'"),
        ("position_embedding_type", "relative_key", "position_embedding_type: Input should be"),
        ("hidden_size", -64, "hidden_size: Input should be greater than 0"),
        ("hidden_size", "wide", "hidden_size: Input should be a valid integer"),
        ("num_hidden_layers", 10**9, "num_hidden_layers: Input should be less than"),
        ("layer_norm_eps", 0, "layer_norm_eps: Input should be greater than 0"),
        ("num_attention_heads", 5, "hidden_size 64 can't be shared by 5 attention heads"),
        ("vocab_size", 10**12, "config.json asks for (1000000000000, 64)"),
        ("max_position_embeddings", 512, "config.json asks for (512, 64)"),
    ],
)
def test_what_llama_would_compute_differently_is_refused(
    tiny_bert: TinyBert, tmp_path: Path, key: str, value: object, said: str
) -> None:
    tiny_bert.config[key] = value
    with pytest.raises(ConversionError) as caught:
        convert(tiny_bert.write(), tmp_path / "tiny.gguf")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(tiny_bert.folder))


@pytest.mark.parametrize("key", ["model_type", "hidden_size", "vocab_size"])
def test_a_config_must_say_it(tiny_bert: TinyBert, tmp_path: Path, key: str) -> None:
    del tiny_bert.config[key]
    with pytest.raises(ConversionError, match=rf"config\.json: {key}: Field required"):
        convert(tiny_bert.write(), tmp_path / "tiny.gguf")


def test_tensors_of_another_architecture_are_refused(tiny_bert: TinyBert, tmp_path: Path) -> None:
    for number in range(6):
        tiny_bert.tensors[f"encoder.layer.{number}.adapter"] = np.ones(3, dtype=np.float32)
    with pytest.raises(ConversionError) as caught:
        convert(tiny_bert.write(), tmp_path / "tiny.gguf")
    assert "does not have: encoder.layer.0.adapter, encoder.layer.1.adapter" in str(caught.value)
    assert str(caught.value).endswith("encoder.layer.4.adapter ….")


def test_more_layers_than_the_config_says_are_refused(tiny_bert: TinyBert, tmp_path: Path) -> None:
    tiny_bert.config["num_hidden_layers"] = 1
    with pytest.raises(ConversionError, match=r"does not have: encoder\.layer\.1\."):
        convert(tiny_bert.write(), tmp_path / "tiny.gguf")


def test_heads_of_training_are_left_out(tiny_bert: TinyBert) -> None:
    tiny_bert.tensors |= {
        "pooler.dense.weight": np.ones((64, 64), dtype=np.float32),
        "embeddings.position_ids": np.arange(48),
    }
    with Checkpoint(tiny_bert.write()) as checkpoint:
        names = [tensor.name for tensor in tensors(checkpoint, read_config(checkpoint))]
    assert len(names) == 3 + 2 + 2 * 16
    assert not [name for name in names if "pool" in name or "ids" in name]
