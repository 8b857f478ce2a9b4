"""BERT, with XLM-RoBERTa: hyperparameters, and which tensor becomes which of the GGUF.

As an encoder it is converted without a head. As a cross-encoder (Nogueira and Cho 2019), which
reads a request and a text together, it keeps pooler and classifier, and twice as many token
embeddings: llama.cpp knows no segments, so the second half holds every token as it is in the
second segment. Where that half begins stands in the file as `SECOND_SEGMENT`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

import gguf
from skillrouter_gguf.convert.checkpoint import Tensor
from skillrouter_gguf.errors import ConversionError
from skillrouter_gguf.header import SECOND_SEGMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from skillrouter_gguf.convert.checkpoint import Checkpoint

    _Target = tuple[str, tuple[int, ...]]  # name in the GGUF, shape

ARCHITECTURE = "bert"
# What training adds on top of the encoder; the pooled vector needs none of it.
_UNUSED = (
    "pooler.dense.",
    "cls.predictions.",
    "cls.seq_relationship.",
    "lm_head.",
    "embeddings.position_ids",
)
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
# Where each architecture keeps the layer before the classifier, and the classifier.
_HEADS = {
    "bert": ("bert.pooler.dense", "classifier"),
    "xlm-roberta": ("classifier.dense", "classifier.out_proj"),
}
_WORDS = "embeddings.word_embeddings.weight"
_SEGMENTS = "embeddings.token_type_embeddings.weight"
_POSITIONS = "embeddings.position_embeddings.weight"


class BertConfig(BaseModel):
    """The part of a BERT `config.json` that decides what is computed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model_type: Literal["bert", "xlm-roberta"]
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
    pad_token_id: NonNegativeInt | None = None

    @property
    def first_position(self) -> int:
        """Of which row the first token gets its position; RoBERTa leaves rows out."""
        return (self.pad_token_id or 0) + 1 if self.model_type == "xlm-roberta" else 0

    @property
    def context(self) -> int:
        """How many tokens have a position."""
        return self.max_position_embeddings - self.first_position

    @property
    def has_segments(self) -> bool:
        """Whether two texts that are read together are told apart."""
        return self.type_vocab_size > 1

    def tokens(self, *, head: bool) -> int:
        """Rows of token embeddings in the GGUF, with or without a cross-encoder's `head`."""
        return self.vocab_size * (2 if head and self.has_segments else 1)


def read_config(checkpoint: Checkpoint) -> BertConfig:
    """The checkpoint's hyperparameters; refuses what llama.cpp would compute differently."""
    config = checkpoint.read("config.json", BertConfig)
    path = checkpoint.folder / "config.json"
    if config.hidden_size % config.num_attention_heads:
        raise ConversionError(
            f"{path}: hidden_size {config.hidden_size} can't be "
            f"shared by {config.num_attention_heads} attention heads."
        )
    if config.context < 1:
        raise ConversionError(f"{path}: no position is left for a token.")
    return config


def add_hyperparameters(writer: gguf.GGUFWriter, config: BertConfig, *, head: bool = False) -> None:
    """Write `config` as GGUF metadata, with or without a cross-encoder's `head`."""
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_vocab_size(config.tokens(head=head))
    writer.add_token_type_count(config.type_vocab_size)
    if head:
        writer.add_classifier_output_labels(["relevance"])
        if config.has_segments:
            writer.add_uint32(SECOND_SEGMENT, config.vocab_size)


def tensors(checkpoint: Checkpoint, config: BertConfig, *, head: bool = False) -> Iterator[Tensor]:
    """Every tensor of the GGUF, in the order of the file; with a cross-encoder's `head` or without.

    Raises:
        ConversionError: for a tensor that is missing, of another shape, or unknown.
    """
    names = checkpoint.tensor_names()
    root = "roberta." if config.model_type == "xlm-roberta" else "bert."
    prefix = root if f"{root}{_WORDS}" in names else ""
    shapes = dict(_tensor_shapes(config))
    heads = _head_shapes(config) if head else {}
    unknown = sorted(
        name
        for name in (full.removeprefix(prefix) for full in names - heads.keys())
        if name not in shapes and not name.startswith(_UNUSED)
    )
    if unknown:
        raise ConversionError(
            f"{checkpoint.folder}: tensors that a BERT "
            f"{'cross-encoder' if head else 'encoder'} of this shape does not have: "
            f"{', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}."
        )
    for name, (target, shape) in shapes.items():
        tensor = checkpoint.planned(target, prefix + name, shape)
        if name == _POSITIONS and config.first_position:
            yield _without_first_rows(tensor, config.first_position)
        elif name == _WORDS and head and config.has_segments:
            segments = checkpoint.planned("", prefix + _SEGMENTS, shapes[_SEGMENTS][1])
            yield _in_both_segments(tensor, segments)
        else:
            yield tensor
    for name, (target, shape) in heads.items():
        yield checkpoint.planned(target, name, shape)


def _without_first_rows(tensor: Tensor, count: int) -> Tensor:
    rows, width = tensor.shape
    return Tensor(tensor.name, (rows - count, width), lambda: tensor.read()[count:])


def _in_both_segments(words: Tensor, segments: Tensor) -> Tensor:
    """Token embeddings, and behind them those that give the second segment's sum.

    llama.cpp adds the first segment's vector to every token.
    """

    def read() -> NDArray[np.float32]:
        values, (first, second) = words.read(), segments.read()[:2]
        return np.concatenate([values, values + (second - first)])

    return Tensor(words.name, (2 * words.shape[0], words.shape[1]), read)


def _head_shapes(config: BertConfig) -> dict[str, _Target]:
    """Pooler and classifier, by their names in the checkpoint."""
    dense, classifier = _HEADS[config.model_type]
    width = config.hidden_size
    return {
        f"{dense}.weight": ("cls.weight", (width, width)),
        f"{dense}.bias": ("cls.bias", (width,)),
        f"{classifier}.weight": ("cls.output.weight", (1, width)),
        f"{classifier}.bias": ("cls.output.bias", (1,)),
    }


def _tensor_shapes(config: BertConfig) -> Iterator[tuple[str, _Target]]:
    """Pairs of a checkpoint's tensor name and what it becomes."""
    width, inner = config.hidden_size, config.intermediate_size
    for name, target, rows in (
        (_WORDS, "token_embd", config.vocab_size),
        (_SEGMENTS, "token_types", config.type_vocab_size),
        (_POSITIONS, "position_embd", config.max_position_embeddings),
    ):
        yield name, (f"{target}.weight", (rows, width))
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
