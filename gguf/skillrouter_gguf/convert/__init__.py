"""From a published checkpoint (safetensors) to a GGUF file.

File layout and names follow llama.cpp's own converter.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel

import gguf
from skillrouter_gguf.convert import bert, qwen3
from skillrouter_gguf.convert.bpe import add_bpe
from skillrouter_gguf.convert.checkpoint import Checkpoint
from skillrouter_gguf.convert.pooling import read_logit_score, read_pooling
from skillrouter_gguf.convert.quantisation import FILE_TYPES, WeightType, format_of, quantise
from skillrouter_gguf.convert.tokenizer import check_pair, kind_of_tokenizer
from skillrouter_gguf.convert.unigram import add_unigram
from skillrouter_gguf.convert.wordpiece import add_wordpiece
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from skillrouter_gguf.convert.checkpoint import Tensor

__all__ = ["ModelKind", "WeightType", "convert"]

ModelKind = Literal["encoder", "reranker"]
_MODEL_TYPES = ("bert", "xlm-roberta", "qwen3")
_CLASSIFIER = "ForSequenceClassification"
_TOKENIZERS = {"WordPiece": add_wordpiece, "Unigram": add_unigram, "BPE": add_bpe}


class _Config(BaseModel):
    model_type: str
    architectures: list[str] = []


def convert(
    folder: Path,
    target: Path,
    weights: WeightType = "Q8_0",
    about: Mapping[str, str] | None = None,
    *,
    kind: ModelKind | None = None,
    template: str | None = None,
) -> ModelKind:
    """Convert the checkpoint in `folder` to the GGUF file `target`, replacing it.

    Converted are BERT and XLM-RoBERTa encoders (mean and CLS pooling) and cross-encoders, and Qwen3
    encoders (last-token pooling) and yes/no rerankers, with the tokenizers that these come with.
    The same input gives the same bytes. Nothing is left at `target` if the conversion fails.

    Args:
        folder: `config.json`, `tokenizer.json`, the weights as `model.safetensors` or as parts with
            `model.safetensors.index.json`, and for an encoder sentence-transformers' `modules.json`
            with its pooling folder.
        target: the file to write.
        weights: format of the matrices.
        about: `general.*` metadata, such as name, license and author.
        kind: what the model is for, where its files don't say so.
        template: how a Qwen3 reranker is asked, with `{query}` and `{document}` in it; that of
            Qwen3-Reranker by default. A model that was trained with another instruction needs it.

    Returns:
        What the model is for.

    Raises:
        ConversionError: if the checkpoint is incomplete, malformed or of a kind that can't be
            converted, or `target` can't be written.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        with Checkpoint(folder) as checkpoint:
            config = checkpoint.read("config.json", _Config)
            found = kind or _kind(checkpoint, config)
            if template is not None:
                _check_template(template, config.model_type, found)
            _write(checkpoint, partial, weights, about or {}, found, template or qwen3.TEMPLATE)
        partial.replace(target)
    except OSError as error:
        raise ConversionError(f"{target}: can't be written ({error}).") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    return found


def _kind(checkpoint: Checkpoint, config: _Config) -> ModelKind:
    """What a checkpoint is for, as far as its files say so."""
    if any(name.endswith(_CLASSIFIER) for name in config.architectures):
        return "reranker"
    if read_logit_score(checkpoint):
        return "reranker"
    if config.model_type == qwen3.ARCHITECTURE and not checkpoint.has("modules.json"):
        raise ConversionError(
            f"{checkpoint.folder}: there is no modules.json to say whether this is an encoder or a "
            "reranker. Say which with `--kind encoder|reranker`."
        )
    return "encoder"


def _check_template(template: str, model_type: str, kind: ModelKind) -> None:
    if model_type != qwen3.ARCHITECTURE or kind != "reranker":
        raise ConversionError("only a Qwen3 reranker has a template.")
    query, document = template.find("{query}"), template.find("{document}")
    once = all(template.count(place) == 1 for place in ("{query}", "{document}"))
    if not once or query > document:
        raise ConversionError(
            "the template must hold {query} and, behind it, {document}, each of them once."
        )


def _write(
    checkpoint: Checkpoint,
    path: Path,
    weights: WeightType,
    about: Mapping[str, str],
    kind: ModelKind,
    template: str,
) -> None:
    model_type = checkpoint.read("config.json", _Config).model_type
    if model_type not in _MODEL_TYPES:
        raise ConversionError(
            f"{checkpoint.folder / 'config.json'}: models of the type {model_type!r} can't be "
            f"converted; {', '.join(_MODEL_TYPES[:-1])} and {_MODEL_TYPES[-1]} can."
        )
    qwen = model_type == qwen3.ARCHITECTURE
    writer = gguf.GGUFWriter(path, qwen3.ARCHITECTURE if qwen else bert.ARCHITECTURE)
    try:
        for key, value in about.items():
            writer.add_string(f"general.{key}", value)
        writer.add_file_type(FILE_TYPES[weights])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        planned, vocab_size = (
            _plan_qwen3(writer, checkpoint, kind, template)
            if qwen
            else _plan_bert(writer, checkpoint, kind)
        )
        kinds = []
        for tensor in planned:
            form, size = format_of(tensor.name, tensor.shape, weights)
            writer.add_tensor_info(
                tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=form
            )
            kinds.append(form)
        # After the tensors, which have shown that the sizes in config.json are real.
        _add_tokenizer(writer, checkpoint, vocab_size, qwen)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor, form in zip(planned, kinds, strict=True):
            writer.write_tensor_data(quantise(tensor.read(), form))
    finally:
        writer.close()


def _plan_bert(
    writer: gguf.GGUFWriter, checkpoint: Checkpoint, kind: ModelKind
) -> tuple[list[Tensor], int]:
    """Write the metadata of a BERT; gives its tensors and how many tokens it has."""
    config = bert.read_config(checkpoint)
    head = kind == "reranker"
    bert.add_hyperparameters(writer, config, head=head)
    writer.add_pooling_type(gguf.PoolingType.RANK if head else read_pooling(checkpoint))
    planned = list(bert.tensors(checkpoint, config, head=head))
    if head:
        check_pair(checkpoint, joints=2 if kind_of_tokenizer(checkpoint) == "Unigram" else 1)
    return planned, config.tokens(head=head)


def _plan_qwen3(
    writer: gguf.GGUFWriter, checkpoint: Checkpoint, kind: ModelKind, template: str
) -> tuple[list[Tensor], int]:
    """Write the metadata of a Qwen3; gives its tensors and how many tokens it has."""
    config = qwen3.read_config(checkpoint)
    head = kind == "reranker"
    qwen3.add_hyperparameters(writer, config)
    pooling = gguf.PoolingType.RANK if head else gguf.PoolingType.LAST
    if not head and checkpoint.has("modules.json") and read_pooling(checkpoint) != pooling:
        raise ConversionError(f"{checkpoint.folder}: a Qwen3 encoder must pool the last token.")
    writer.add_pooling_type(pooling)
    if head:
        qwen3.add_head(writer, template)
    return list(qwen3.tensors(checkpoint, config, head=head)), config.vocab_size


def _add_tokenizer(
    writer: gguf.GGUFWriter, checkpoint: Checkpoint, vocab_size: int, qwen: bool
) -> None:
    kind = kind_of_tokenizer(checkpoint)
    if kind not in _TOKENIZERS or (kind == "BPE") != qwen:
        raise ConversionError(
            f"{checkpoint.folder / 'tokenizer.json'}: a {kind} tokenizer with this architecture "
            "can't be converted; BPE with Qwen3, and WordPiece or Unigram with BERT, can."
        )
    _TOKENIZERS[kind](writer, checkpoint, vocab_size)
