"""BERT encoders: hyperparameters, and which tensor of the checkpoint becomes which of the GGUF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

import gguf
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from skillrouter_gguf.convert.checkpoint import Checkpoint

    _Target = tuple[str, tuple[int, ...]]  # name in the GGUF, shape

ARCHITECTURE = "bert"
# What training adds on top of the encoder; the pooled vector needs none of it.
_UNUSED = ("pooler.dense.", "cls.predictions.", "cls.seq_relationship.", "embeddings.position_ids")
_LAYER_MATRICES = (
    ("attention.self.query", "attn_q"),
    ("attention.self.key", "attn_k"),
    ("attention.self.value", "attn_v"),
    ("attention.output.dense", "attn_output"),
    ("intermediate.dense", "ffn_up"),
    ("output.dense", "ffn_down"),
)
_LAYER_NORMS = (
    ("attention.output.LayerNorm", "attn_output_norm"),
    ("output.LayerNorm", "layer_output_norm"),
)


class BertConfig(BaseModel):
    """The part of a BERT `config.json` that decides what is computed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["bert"]
    hidden_size: PositiveInt
    num_hidden_layers: int = Field(ge=1, le=512)
    num_attention_heads: PositiveInt
    intermediate_size: PositiveInt
    max_position_embeddings: PositiveInt
    vocab_size: PositiveInt
    type_vocab_size: PositiveInt = 2
    layer_norm_eps: float = Field(default=1e-12, gt=0)
    hidden_act: Literal["gelu"] = "gelu"
    position_embedding_type: Literal["absolute"] = "absolute"


def read_config(checkpoint: Checkpoint) -> BertConfig:
    """The checkpoint's hyperparameters; refuses what llama.cpp would compute differently."""
    config = checkpoint.read("config.json", BertConfig)
    if config.hidden_size % config.num_attention_heads:
        raise ConversionError(
            f"{checkpoint.folder / 'config.json'}: hidden_size {config.hidden_size} can't be "
            f"shared by {config.num_attention_heads} attention heads."
        )
    return config


def add_hyperparameters(writer: gguf.GGUFWriter, config: BertConfig) -> None:
    """Write `config` as GGUF metadata."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_vocab_size(config.vocab_size)
    writer.add_token_type_count(config.type_vocab_size)


def tensors(
    checkpoint: Checkpoint, config: BertConfig
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Every tensor of the GGUF, as (name, float32 array), in the order of the file.

    Raises:
        ConversionError: for a tensor that is missing, of another shape, or unknown.
    """
    names = checkpoint.tensor_names()
    prefix = "bert." if "bert.embeddings.word_embeddings.weight" in names else ""
    shapes = dict(_tensor_shapes(config))
    unknown = sorted(
        name
        for name in (full.removeprefix(prefix) for full in names)
        if name not in shapes and not name.startswith(_UNUSED)
    )
    if unknown:
        raise ConversionError(
            f"{checkpoint.folder}: tensors that a BERT encoder of this shape does not have: "
            f"{', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}."
        )
    for name, (target, shape) in shapes.items():
        yield target, checkpoint.tensor(prefix + name, shape)


def _tensor_shapes(config: BertConfig) -> Iterator[tuple[str, _Target]]:
    """Pairs of a checkpoint's tensor name and what it becomes."""
    width, inner = config.hidden_size, config.intermediate_size
    for kind, target, rows in (
        ("word", "token_embd", config.vocab_size),
        ("token_type", "token_types", config.type_vocab_size),
        ("position", "position_embd", config.max_position_embeddings),
    ):
        yield f"embeddings.{kind}_embeddings.weight", (f"{target}.weight", (rows, width))
    yield from _norm("embeddings.LayerNorm", "token_embd_norm", width)
    for layer in range(config.num_hidden_layers):
        source, target = f"encoder.layer.{layer}", f"blk.{layer}"
        for name, short in _LAYER_MATRICES:
            outputs = inner if short == "ffn_up" else width
            inputs = inner if short == "ffn_down" else width
            yield f"{source}.{name}.weight", (f"{target}.{short}.weight", (outputs, inputs))
            yield f"{source}.{name}.bias", (f"{target}.{short}.bias", (outputs,))
        for name, short in _LAYER_NORMS:
            yield from _norm(f"{source}.{name}", f"{target}.{short}", width)


def _norm(source: str, target: str, width: int) -> Iterator[tuple[str, _Target]]:
    for part in ("weight", "bias"):
        yield f"{source}.{part}", (f"{target}.{part}", (width,))
