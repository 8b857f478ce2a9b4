"""Which number format each tensor gets, and the conversion to it."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Literal

import gguf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WeightType = Literal["F32", "F16", "BF16", "Q8_0"]

FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
# llama.cpp adds the first two to activations and needs them unquantised; a classifier is small,
# and its rounding would be the score's.
_ALWAYS_F32 = ("position_embd.", "token_types.", "cls.")


def format_of(
    name: str, shape: tuple[int, ...], target: WeightType
) -> tuple[gguf.GGMLQuantizationType, int]:
    """The format that llama.cpp's own converter would give the tensor `name`, and its bytes.

    Matrices take `target`; vectors, added embeddings and classifiers stay F32; rows that don't
    divide into Q8_0's blocks become F16.
    """
    kind = gguf.GGMLQuantizationType[target]
    if len(shape) < 2 or name.startswith(_ALWAYS_F32):
        kind = gguf.GGMLQuantizationType.F32
    elif shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F16
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return kind, prod(shape) // block * size


def quantise(values: NDArray[np.float32], kind: gguf.GGMLQuantizationType) -> NDArray[Any]:
    """`values` in the format `kind`."""
    data: NDArray[Any] = gguf.quants.quantize(values, kind)
    return data
