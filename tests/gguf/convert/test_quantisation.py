from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gguf")
pytest.importorskip("safetensors")

import gguf
from skillrouter_gguf.convert.quantisation import WeightType, quantise

MATRIX = np.random.default_rng(5).normal(0, 0.1, (6, 64)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "shape", "target", "expected"),
    [
        ("blk.0.attn_q.weight", (6, 64), "F32", "F32"),
        ("blk.0.attn_q.weight", (6, 64), "F16", "F16"),
        ("blk.0.attn_q.weight", (6, 64), "Q8_0", "Q8_0"),
        ("token_embd.weight", (6, 64), "Q8_0", "Q8_0"),
        ("blk.0.attn_q.weight", (6, 40), "Q8_0", "F16"),
        ("blk.0.attn_q.bias", (64,), "Q8_0", "F32"),
        ("blk.0.attn_q.bias", (64,), "F16", "F32"),
        ("position_embd.weight", (6, 64), "Q8_0", "F32"),
        ("token_types.weight", (6, 64), "F16", "F32"),
    ],
)
def test_the_format_of_a_tensor(
    name: str, shape: tuple[int, ...], target: WeightType, expected: str
) -> None:
    _, kind = quantise(name, np.zeros(shape, dtype=np.float32), target)
    assert kind.name == expected


@pytest.mark.parametrize(("target", "error"), [("F32", 0.0), ("F16", 1e-3), ("Q8_0", 1 / 127)])
def test_values_keep_their_precision(target: WeightType, error: float) -> None:
    data, kind = quantise("blk.0.attn_q.weight", MATRIX, target)
    back = gguf.quants.dequantize(data, kind)
    assert back.shape == MATRIX.shape
    assert np.abs(back - MATRIX).max() <= error * np.abs(MATRIX).max()


def test_a_row_of_zeros_stays_zero() -> None:
    data, kind = quantise("blk.0.attn_q.weight", np.zeros((2, 32), dtype=np.float32), "Q8_0")
    assert not gguf.quants.dequantize(data, kind).any()
