"""Which number format each tensor gets, and the conversion to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import gguf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WeightType = Literal["F32", "F16", "Q8_0"]

FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
}
# llama.cpp adds these to activations and needs them unquantised.
_ALWAYS_F32 = ("position_embd.", "token_types.")


def quantise(
    name: str, values: NDArray[np.float32], target: WeightType
) -> tuple[NDArray[Any], gguf.GGMLQuantizationType]:
    """The tensor `name` in the format that llama.cpp's own converter would give it.

    Matrices take `target`; vectors and added embeddings stay F32; rows that don't divide into
    Q8_0's blocks become F16.
    """
    kind = gguf.GGMLQuantizationType[target]
    if values.ndim < 2 or name.startswith(_ALWAYS_F32):
        kind = gguf.GGMLQuantizationType.F32
    elif values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F16
    return gguf.quants.quantize(values, kind), kind
