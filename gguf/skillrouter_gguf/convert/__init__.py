"""From a published checkpoint (safetensors) to a GGUF file.

File layout and names follow llama.cpp's own converter. Needs the `convert` extra; importing this
without it raises ConversionError.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from skillrouter_gguf.errors import ConversionError

try:
    import safetensors  # noqa: F401

    import gguf
except ImportError as error:
    raise ConversionError(
        f"converting needs {error.name}: pip install 'skillrouter-mcp[convert]'"
    ) from error

from skillrouter_gguf.convert import bert
from skillrouter_gguf.convert.checkpoint import Checkpoint
from skillrouter_gguf.convert.pooling import read_pooling
from skillrouter_gguf.convert.quantisation import FILE_TYPES, WeightType, quantise
from skillrouter_gguf.convert.wordpiece import add_wordpiece

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["WeightType", "convert"]


def convert(
    folder: Path, target: Path, weights: WeightType = "Q8_0", about: Mapping[str, str] | None = None
) -> None:
    """Convert the BERT encoder in `folder` to the GGUF file `target`, replacing it.

    The same input gives the same bytes. Nothing is left at `target` if the conversion fails.

    Args:
        folder: `config.json`, `model.safetensors`, `tokenizer.json` and sentence-transformers'
            `modules.json` with its pooling folder.
        target: the file to write.
        weights: format of the matrices.
        about: `general.*` metadata, such as name, license and author.

    Raises:
        ConversionError: if the checkpoint is incomplete, malformed or of another architecture, or
            `target` can't be written.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        with Checkpoint(folder) as checkpoint:
            _write(checkpoint, partial, weights, about or {})
        partial.replace(target)
    except OSError as error:
        raise ConversionError(f"{target}: can't be written ({error}).") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _write(
    checkpoint: Checkpoint, path: Path, weights: WeightType, about: Mapping[str, str]
) -> None:
    config = bert.read_config(checkpoint)
    writer = gguf.GGUFWriter(path, bert.ARCHITECTURE)
    try:
        for key, value in about.items():
            writer.add_string(f"general.{key}", value)
        writer.add_file_type(FILE_TYPES[weights])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        bert.add_hyperparameters(writer, config)
        writer.add_pooling_type(read_pooling(checkpoint))
        for name, values in bert.tensors(checkpoint, config):
            data, kind = quantise(name, values, weights)
            writer.add_tensor(name, data, raw_dtype=kind)
        # After the tensors, which have shown that the sizes in config.json are real.
        add_wordpiece(writer, checkpoint, config.vocab_size)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
