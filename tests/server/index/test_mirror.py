from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skillrouter_gguf import Model
from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import Encoding, Fingerprint
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.index.passages import LABEL, WINDOW, Passage

AXES = np.eye(384, dtype=np.float32)


class _Axes:
    """Embeds the text "3" as the unit vector along axis 3."""

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return AXES[[int(text) for text in texts]]


def test_a_document_counts_by_its_best_window(tmp_path: Path, model: Model) -> None:
    database = Database(tmp_path / "a.db", "write")
    schema.prepare(database)
    for n in (7, 8, 9):
        database.run("INSERT INTO document VALUES (?, ?, '', '', '')", (n, bytes([n])))
    encoding = Encoding.create(database, Fingerprint.of(model))
    encoding.embed(
        {
            9: [Passage(LABEL, 0, "4"), Passage(WINDOW, 0, "1"), Passage(WINDOW, 1, "2")],
            7: [Passage(LABEL, 0, "3"), Passage(WINDOW, 0, "2")],
            8: [Passage(LABEL, 0, "4")],
        },
        _Axes(),
    )
    mirror = Mirror.read(encoding)
    database.close()

    assert mirror.document_ids.tolist() == [7, 8, 9]
    assert mirror.label_cosines(AXES[4]) == pytest.approx([0, 1, 1])
    everywhere = np.arange(3)
    assert mirror.window_cosines(AXES[2], everywhere) == pytest.approx([1, 0, 1])
    assert mirror.window_cosines(AXES[1], everywhere) == pytest.approx([0, 0, 1])
    assert mirror.window_cosines(AXES[1], np.array([2, 0])) == pytest.approx([1, 0])
    assert mirror.window_cosines(AXES[1], np.array([1])) == pytest.approx([0])


def test_empty_mirror_answers_with_nothing() -> None:
    mirror = Mirror.empty(384)
    assert len(mirror.label_cosines(AXES[0])) == 0
    assert len(mirror.window_cosines(AXES[0], np.zeros(0, np.int64))) == 0
