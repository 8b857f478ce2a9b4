from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from skillrouter_gguf import EngineError, load_catalogue
from skillrouter_gguf.causal import CausalContext, open_context
from skillrouter_gguf.llama import LlamaContext, LlamaModel
from skillrouter_gguf.model_file import verified_path

if TYPE_CHECKING:
    from tests.gguf.tiny_qwen3 import TinyQwen3

    from skillrouter_gguf.llama import IntArray


@pytest.fixture
def model(judge: tuple[TinyQwen3, Path]) -> Iterator[LlamaModel]:
    model = LlamaModel(judge[1])
    yield model
    model.close()


@pytest.fixture
def context(model: LlamaModel) -> Iterator[CausalContext]:
    context = CausalContext(model, "rank", tokens=2000, threads=1)
    yield context
    context.close()


def _row(length: int, seed: int = 0) -> IntArray:
    return np.random.default_rng(seed).integers(0, 250, length, dtype=np.int32)


def _watch(context: CausalContext, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens are computed at a time."""
    counts: list[int] = []
    decode = context._decode

    def watched(batch: Any, tokens: IntArray) -> None:
        counts.append(len(tokens))
        decode(batch, tokens)

    monkeypatch.setattr(context, "_decode", watched)
    return counts


@pytest.mark.parametrize("length", [1, 2, 300, 512, 513, 1025, 2000])
def test_as_llama_itself_computes_it(
    model: LlamaModel, context: CausalContext, length: int
) -> None:
    whole = LlamaContext(model, "rank", tokens=2000, threads=1)
    row = _row(length)
    assert np.abs(whole.outputs(row) - context.outputs(row)).max() < 2e-3
    whole.close()


def test_a_common_beginning_is_computed_once(
    context: CausalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [np.concatenate([_row(700), _row(20 + number, number)]) for number in range(1, 4)]
    alone = []
    for row in rows:
        context.forget()
        alone.append(context.outputs(row))
    context.forget()
    counts = _watch(context, monkeypatch)
    together = [context.outputs(row) for row in rows]
    assert np.abs(np.array(together) - alone).max() < 2e-3
    assert counts == [512, 208, 1, 21, 1, 22, 1]


def test_the_same_text_again_computes_one_token(
    context: CausalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = context.outputs(_row(40))
    counts = _watch(context, monkeypatch)
    assert np.abs(context.outputs(_row(40)) - first).max() < 2e-3
    assert counts == [1]
    context.outputs(_row(12))
    assert counts == [1, 1]


def test_a_longer_text_gets_more_room(context: CausalContext) -> None:
    context.outputs(_row(100))
    assert context._room == 512
    context.outputs(_row(1500))
    assert context._room == 1536
    context.outputs(_row(1990))
    assert context._room == 2000


def test_a_failure_leaves_nothing_half_computed(
    context: CausalContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = context.outputs(_row(600))
    context.forget()

    def failing(*_: object) -> None:
        raise EngineError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(context, "_decode", failing)
        with pytest.raises(EngineError, match="out of memory"):
            context.outputs(_row(600))
    counts = _watch(context, monkeypatch)
    assert np.abs(context.outputs(_row(600)) - expected).max() < 2e-3
    assert sum(counts) == 600


def test_from_several_threads(context: CausalContext) -> None:
    rows = [_row(5 + number, number) for number in range(12)]
    expected = [context.outputs(row) for row in rows]
    with ThreadPoolExecutor(4) as pool:
        assert np.abs(np.array(list(pool.map(context.outputs, rows))) - expected).max() < 2e-3


@pytest.mark.parametrize("length", [0, 2001])
def test_what_does_not_fit_is_refused(context: CausalContext, length: int) -> None:
    with pytest.raises(EngineError, match=f"a text of {length} tokens; 1 to 2000"):
        context.outputs(_row(length))


def test_after_closing(context: CausalContext) -> None:
    context.close()
    context.close()
    with pytest.raises(EngineError, match="has been closed"):
        context.outputs(_row(3))


def test_which_context_suits(model: LlamaModel) -> None:
    bert = LlamaModel(verified_path(load_catalogue().model("skillrouter-minilm-l6")))
    made = [
        open_context(model, "rank", tokens=8, threads=1),
        open_context(model, "last", tokens=8, threads=1),
        open_context(model, "mean", tokens=8, threads=1),
        open_context(bert, "mean", tokens=8, threads=1),
    ]
    assert [type(one) for one in made] == [CausalContext] * 2 + [LlamaContext] * 2
    for one in made:
        one.close()
    bert.close()
