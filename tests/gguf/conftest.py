from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gguf.bert_reference import BertReference
    from tests.gguf.tiny_bert import TinyBert
    from tests.gguf.tiny_qwen3 import TinyQwen3

    from skillrouter_gguf import ModelStore, Reranker


@pytest.fixture(scope="session")
def reference() -> type[BertReference]:
    """The float encoder that converted models are held against."""
    for module in ("safetensors", "tokenizers"):
        pytest.importorskip(module)
    from tests.gguf.bert_reference import BertReference

    return BertReference


@pytest.fixture
def tiny_bert(tmp_path: Path) -> TinyBert:
    """A whole checkpoint, not yet written."""
    from tests.gguf.tiny_bert import TinyBert

    return TinyBert(tmp_path / "checkpoint")


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinyQwen3, Path]:
    """A causal reranker's checkpoint, and the GGUF file made of it."""
    pytest.importorskip("tokenizers")
    from tests.gguf.tiny_qwen3 import TEMPLATE, TinyQwen3

    from skillrouter_gguf.convert import convert

    folder = tmp_path_factory.mktemp("judge")
    tiny = TinyQwen3(folder / "checkpoint", closes=False)
    convert(tiny.write(), folder / "judge.gguf", "F32", kind="reranker", template=TEMPLATE)
    return tiny, folder / "judge.gguf"


@pytest.fixture
def reranker(judge: tuple[TinyQwen3, Path]) -> Iterator[Reranker]:
    """The causal reranker, loaded."""
    from skillrouter_gguf import Reranker

    tiny, path = judge
    with Reranker.open(tiny.entry("reranker"), path=path, threads=1) as reranker:
        yield reranker


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """Knows the encoder `tiny` of the hub."""
    from tests.gguf import tiny_models
    from tests.gguf.pulling import ENCODER

    return tiny_models.store(tmp_path / "home", tiny=ENCODER)
