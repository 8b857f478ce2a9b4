"""A little of `tests.benchmarks.converter_reference`, where `transformers` is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

for module in ("gguf", "safetensors", "torch", "transformers", "sentencepiece"):
    pytest.importorskip(module, reason=f"compares with transformers, which needs {module}")

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = pytest.mark.filterwarnings("default")  # torch's own


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    from tests.benchmarks import converter_reference

    return converter_reference


@pytest.mark.parametrize(
    "name",
    ["qwen3 encoder", "bert encoder, mean", "bert encoder, cls", "bert encoder, unigram"],
)
def test_encoders_agree(benchmark: ModuleType, name: str) -> None:
    report = benchmark.compare_encoder(name, ["F16"], 5, 100)
    assert benchmark.holds(report), report


@pytest.mark.parametrize(
    "name", ["qwen3 reranker", "bert cross-encoder", "xlm-roberta cross-encoder"]
)
def test_rerankers_agree(benchmark: ModuleType, name: str) -> None:
    report = benchmark.compare_reranker(name, ["F16"], 2, 50)
    assert benchmark.holds(report), report
