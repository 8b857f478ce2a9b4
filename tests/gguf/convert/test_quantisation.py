from __future__ import annotations

import numpy as np
import pytest

import gguf
from skillrouter_gguf.convert.quantisation import WeightType, format_of, quantise

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
        ("blk.0.attn_q.weight", (6, 64), "BF16", "BF16"),
        ("cls.weight", (64, 64), "Q8_0", "F32"),
        ("cls.output.weight", (2, 64), "F16", "F32"),
    ],
)
def test_the_format_of_a_tensor(
    name: str, shape: tuple[int, ...], target: WeightType, expected: str
) -> None:
    kind, size = format_of(name, shape, target)
    assert kind.name == expected
    assert size == quantise(np.zeros(shape, dtype=np.float32), kind).nbytes


@pytest.mark.parametrize(
    ("target", "error"), [("F32", 0.0), ("F16", 1e-3), ("BF16", 4e-3), ("Q8_0", 1 / 127)]
)
def test_values_keep_their_precision(target: WeightType, error: float) -> None:
    kind, _ = format_of("blk.0.attn_q.weight", MATRIX.shape, target)
    back = gguf.quants.dequantize(quantise(MATRIX, kind), kind)
    assert back.shape == MATRIX.shape
    assert np.abs(back - MATRIX).max() <= error * np.abs(MATRIX).max()


def test_a_row_of_zeros_stays_zero() -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    data = quantise(np.zeros((2, 32), dtype=np.float32), kind)
    assert not gguf.quants.dequantize(data, kind).any()
