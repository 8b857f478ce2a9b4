"""Qwen3 as an encoder or a reranker: hyperparameters, and which tensor becomes which of the GGUF.

A reranker answers "yes" or "no" (Zhang et al. 2025, "Qwen3 Embedding"); of all output embeddings
it needs those two rows, which the GGUF holds as `cls.output.weight`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

import gguf
from skillrouter_gguf.convert.bpe import token_id
from skillrouter_gguf.convert.checkpoint import Tensor
from skillrouter_gguf.convert.pooling import read_logit_score
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skillrouter_gguf.convert.checkpoint import Checkpoint

ARCHITECTURE = "qwen3"
# The instruction that Qwen3-Reranker was trained with, and how it is asked.
TEMPLATE = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
    "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
    "<Query>: {query}\n"
    "<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
_EMBEDDINGS = "embed_tokens.weight"
_OUTPUTS = "lm_head.weight"
_SCORE = "score.weight"


class Qwen3Config(BaseModel):
    """The part of a Qwen3 `config.json` that decides what is computed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["qwen3"]
    hidden_size: PositiveInt
    num_hidden_layers: int = Field(ge=1, le=512)
    num_attention_heads: PositiveInt
    num_key_value_heads: PositiveInt
    head_dim: PositiveInt
    intermediate_size: PositiveInt
    max_position_embeddings: PositiveInt
    vocab_size: PositiveInt
    rms_norm_eps: float = Field(gt=0)
    rope_theta: float = Field(gt=0)
    rope_scaling: None = None
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    use_sliding_window: Literal[False] = False
    tie_word_embeddings: bool = False

    @model_validator(mode="before")
    @classmethod
    def _lift_rope(cls, content: Any) -> Any:
        """Newer files keep what concerns positions in a table of its own."""
        if isinstance(content, dict) and isinstance(rope := content.get("rope_parameters"), dict):
            scaled = None if rope.get("rope_type", "default") == "default" else rope
            return {"rope_scaling": scaled, "rope_theta": rope.get("rope_theta")} | content
        return content

    @field_validator("rope_scaling", mode="before")
    @classmethod
    def _read_default_as_none(cls, scaling: Any) -> Any:
        if isinstance(scaling, dict) and scaling.get("rope_type") == "default":
            return None
        return scaling


def read_config(checkpoint: Checkpoint) -> Qwen3Config:
    """The checkpoint's hyperparameters; refuses what llama.cpp would compute differently."""
    config = checkpoint.read("config.json", Qwen3Config)
    if config.num_attention_heads % config.num_key_value_heads or config.head_dim % 2:
        raise ConversionError(
            f"{checkpoint.folder / 'config.json'}: {config.num_attention_heads} attention heads of "
            f"{config.head_dim} can't share {config.num_key_value_heads} keys and values."
        )
    return config


def add_hyperparameters(writer: gguf.GGUFWriter, config: Qwen3Config) -> None:
    """Write `config` as GGUF metadata."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def add_head(writer: gguf.GGUFWriter, template: str) -> None:
    """Write what a reranker's head gives, and how it is asked, as GGUF metadata."""
    writer.add_classifier_output_labels(["yes", "no"])
    writer.add_chat_template([{"name": "rerank", "template": template}])


def tensors(checkpoint: Checkpoint, config: Qwen3Config, *, head: bool) -> Iterator[Tensor]:
    """Every tensor of the GGUF, in the order of the file; with a reranker's `head` or without.

    Raises:
        ConversionError: for a tensor that is missing, of another shape, or unknown.
    """
    names = checkpoint.tensor_names()
    prefix = "model." if f"model.{_EMBEDDINGS}" in names else ""
    shapes = dict(_tensor_shapes(config))
    unknown = sorted(
        name
        for name in (full.removeprefix(prefix) for full in names)
        if name not in shapes and name not in {_OUTPUTS, _SCORE}
    )
    if unknown:
        raise ConversionError(
            f"{checkpoint.folder}: tensors that a Qwen3 of this shape does not have: "
            f"{', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}."
        )
    for name, (target, shape) in shapes.items():
        yield checkpoint.planned(target, prefix + name, shape)
    if head:
        yield _head(checkpoint, config, prefix)


def _head(checkpoint: Checkpoint, config: Qwen3Config, prefix: str) -> Tensor:
    """The rows of which llama.cpp makes two chances: that of "yes", then that of "no"."""
    shape = (2, config.hidden_size)
    if _SCORE in checkpoint.tensor_names():
        # A classifier of one row gives the difference of both; a row of zeros restores the pair.
        score = checkpoint.planned("", _SCORE, (1, config.hidden_size))
        return Tensor(
            "cls.output.weight", shape, lambda: np.concatenate([score.read(), 0 * score.read()])
        )
    tied = config.tie_word_embeddings or _OUTPUTS not in checkpoint.tensor_names()
    outputs = checkpoint.planned(
        "", prefix + _EMBEDDINGS if tied else _OUTPUTS, (config.vocab_size, config.hidden_size)
    )
    answers = read_logit_score(checkpoint)
    rows = (
        [answers.true_token_id, answers.false_token_id]
        if answers
        else [token_id(checkpoint, "yes"), token_id(checkpoint, "no")]
    )
    if not all(0 <= row < config.vocab_size for row in rows):
        raise ConversionError(
            f"{checkpoint.folder}: the tokens that a reranker answers with, {rows}, are not of "
            f"its {config.vocab_size} tokens."
        )

    def read() -> NDArray[np.float32]:
        return outputs.read()[rows]

    return Tensor("cls.output.weight", shape, read)


def _tensor_shapes(config: Qwen3Config) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """Pairs of a checkpoint's tensor name and what it becomes."""
    width, inner, single = config.hidden_size, config.intermediate_size, config.head_dim
    heads = config.num_attention_heads * single
    shared = config.num_key_value_heads * single
    yield _EMBEDDINGS, ("token_embd.weight", (config.vocab_size, width))
    yield "norm.weight", ("output_norm.weight", (width,))
    for layer in range(config.num_hidden_layers):
        for name, short, shape in (
            ("input_layernorm", "attn_norm", (width,)),
            ("self_attn.q_proj", "attn_q", (heads, width)),
            ("self_attn.k_proj", "attn_k", (shared, width)),
            ("self_attn.v_proj", "attn_v", (shared, width)),
            ("self_attn.o_proj", "attn_output", (width, heads)),
            ("self_attn.q_norm", "attn_q_norm", (single,)),
            ("self_attn.k_norm", "attn_k_norm", (single,)),
            ("post_attention_layernorm", "ffn_norm", (width,)),
            ("mlp.gate_proj", "ffn_gate", (inner, width)),
            ("mlp.up_proj", "ffn_up", (inner, width)),
            ("mlp.down_proj", "ffn_down", (width, inner)),
        ):
            target = f"blk.{layer}.{short}.weight"
            yield f"layers.{layer}.{name}.weight", (target, shape)
