from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gguf.bert_reference import BertReference
    from tests.gguf.tiny_bert import TinyBert


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
    for module in ("gguf", "safetensors"):
        pytest.importorskip(module)
    from tests.gguf.tiny_bert import TinyBert

    return TinyBert(tmp_path / "checkpoint")
