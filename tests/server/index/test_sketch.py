from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from skillrouter_mcp.index.sketch import Sketch

Floats = NDArray[np.float32]


def _labels(count: int, seed: int = 0) -> Floats:
    """Unit vectors that differ far more along some directions than along others, as texts' do."""
    generator = np.random.default_rng(seed)
    labels = generator.normal(size=(count, 384)) * np.geomspace(1, 0.01, 384)
    turned = labels @ np.linalg.qr(np.random.default_rng(9).normal(size=(384, 384)))[0]
    unit: Floats = (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_a_sketch_tells_roughly_what_is_near() -> None:
    labels, query = _labels(3_000), _labels(1, seed=1)[0]
    sketch = Sketch.of(labels)
    assert sketch.coordinates.shape == (3_000, 128)
    assert sketch.axes.T @ sketch.axes == pytest.approx(np.eye(128), abs=1e-5)
    rough, exact = sketch.cosines(query), labels @ query
    assert np.abs(rough - exact).max() < 0.1
    nearest = np.argsort(-exact)[:50]
    assert set(nearest) <= set(np.argsort(-rough)[:200])


def test_a_sketch_follows_its_labels() -> None:
    labels = _labels(1_000)
    sketch = Sketch.of(labels[:600])
    rows = np.arange(0, 600, 2)
    followed = sketch.taken(rows).extended(labels[600:])
    assert followed.coordinates == pytest.approx(
        np.concatenate([labels[:600:2], labels[600:]]) @ sketch.axes, abs=1e-5
    )


def test_axes_are_looked_for_anew_once_there_are_twice_as_many_labels() -> None:
    labels = _labels(1_000)
    sketch = Sketch.of(labels[:400])
    assert not sketch.extended(labels[400:800]).outgrown()
    assert sketch.extended(labels[400:801]).outgrown()


def test_labels_of_few_dimensions_keep_them_all() -> None:
    labels = _labels(500)[:, :48]
    sketch = Sketch.of(labels)
    assert sketch.cosines(labels[7]) == pytest.approx(labels @ labels[7], abs=1e-5)
