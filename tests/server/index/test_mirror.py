from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from skillrouter_gguf import Model
from skillrouter_mcp.index import mirror as mirrors
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


@pytest.fixture
def encoding(tmp_path: Path, model: Model) -> Iterator[Encoding]:
    """Over documents 1 to 6 without vectors."""
    database = Database(tmp_path / "b.db", "write")
    schema.prepare(database)
    for n in range(1, 7):
        database.run("INSERT INTO document VALUES (?, ?, '', '', '')", (n, bytes([n])))
    yield Encoding.create(database, Fingerprint.of(model))
    database.close()


def _embed(encoding: Encoding, *documents: int) -> None:
    """Document n has the label n and the windows n + 1 to 2 n - 1, so the first has none."""
    passages = {
        n: [Passage(LABEL, 0, str(n)), *(Passage(WINDOW, w, str(n + 1 + w)) for w in range(n - 1))]
        for n in documents
    }
    encoding.embed(passages, _Axes())


def _forget(encoding: Encoding, document: int) -> None:
    encoding._database.run("DELETE FROM view WHERE document_id = ?", (document,))


def _same(one: Mirror, other: Mirror) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in Mirror.__slots__
    )


def test_what_is_new_or_gone_is_seen_in_an_earlier_mirror(encoding: Encoding) -> None:
    mirror = Mirror.read(encoding, Mirror.empty(384))
    for new, gone in (((3, 5), 0), ((6,), 0), ((), 0), ((1, 4), 3), ((2,), 0), ((), 6), ((3,), 1)):
        _embed(encoding, *new)
        _forget(encoding, gone)
        mirror = Mirror.read(encoding, mirror)
        assert _same(mirror, Mirror.read(encoding))
    assert mirror.document_ids.tolist() == [2, 3, 4, 5]
    assert mirror.window_cosines(AXES[7], np.arange(4)) == pytest.approx([0, 0, 1, 1])


def test_only_new_vectors_are_read(encoding: Encoding, monkeypatch: pytest.MonkeyPatch) -> None:
    _embed(encoding, 1, 2)
    earlier = Mirror.read(encoding)
    _embed(encoding, 4)
    asked: list[int] = []
    read = encoding.vectors

    def vectors(passages: Collection[int] | None = None) -> Any:
        assert passages is not None
        asked.extend(passages)
        return read(passages)

    monkeypatch.setattr(encoding, "vectors", vectors)
    assert Mirror.read(encoding, earlier).document_ids.tolist() == [1, 2, 4]
    assert len(asked) == 4, "a label and three windows"


def test_empty_mirror_answers_with_nothing() -> None:
    mirror = Mirror.empty(384)
    assert len(mirror.label_cosines(AXES[0])) == 0
    assert len(mirror.window_cosines(AXES[0], np.zeros(0, np.int64))) == 0


def test_nearest_are_looked_for_among_some(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
    mirror = Mirror(
        np.array([2, 4, 6, 8]), labels, np.zeros((0, 2), np.int8), np.zeros(5, np.int64)
    )
    query = np.array([1, 0], np.float32)

    def nearest(*among: int, count: int = 2) -> list[int]:
        rows = mirror.nearest(query, np.array(among, np.int64), count)
        return sorted(mirror.document_ids[rows].tolist())

    for copying in (1, 100):
        monkeypatch.setattr(mirrors, "_COPYING", copying)
        assert nearest(2, 4, 6, 8) == [2, 4]
        assert nearest(4, 6, 8) == [4, 6]
        assert nearest(1, 6, 7, 8, 9) == [6, 8]
        assert nearest(8) == [8]
        assert nearest() == []
    assert nearest(2, 4, 6, 8, count=9) == [2, 4, 6, 8]


def _many(monkeypatch: pytest.MonkeyPatch, count: int) -> Mirror:
    """Labels that differ more along some directions than along others, among few of which the
    nearest are looked for."""
    monkeypatch.setattr(mirrors, "_MANY", 500)
    monkeypatch.setattr(mirrors, "_LIKELY", 100)
    labels = np.random.default_rng(0).normal(size=(count, 384)) * np.geomspace(1, 0.001, 384)
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    return Mirror(
        np.arange(count),
        labels.astype(np.float32),
        np.zeros((0, 384), np.int8),
        np.zeros(count + 1, np.int64),
    )._sketched()


@pytest.mark.parametrize("every", [1, 2, 9])
def test_nearest_of_many_are_those_that_are_nearest(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    mirror = _many(monkeypatch, 1_000)
    assert mirror.sketch is not None
    among = np.arange(0, 1_000, every)
    for query in mirror.labels[:20]:
        nearest = mirror.nearest(query, among, 10)
        cosines = mirror.labels[among] @ query
        assert set(nearest) == set(among[np.argsort(-cosines)[:10]])


def test_a_sketch_is_made_and_followed_as_the_library_grows(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "_MANY", 3)
    _embed(encoding, 1, 5)
    mirror = Mirror.read(encoding, Mirror.empty(384))
    assert mirror.sketch is None
    for new, gone in (((3,), 0), ((4,), 1), ((2, 6), 0)):
        _embed(encoding, *new)
        _forget(encoding, gone)
        mirror = Mirror.read(encoding, mirror)
        assert mirror.sketch is not None
        for n in mirror.document_ids.tolist():
            assert mirror.document_ids[mirror.nearest(AXES[n], mirror.document_ids, 1)] == [n]
    _forget(encoding, 2)
    for n in (3, 4, 5):
        _forget(encoding, n)
    assert Mirror.read(encoding, mirror).sketch is None


def test_nothing_is_near_in_an_empty_mirror() -> None:
    assert len(Mirror.empty(384).nearest(AXES[0], np.array([1, 2]), 5)) == 0
