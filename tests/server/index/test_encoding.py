from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skillrouter_gguf import Encoder, Model
from skillrouter_mcp.index import encoding as module
from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import Encoding, Fingerprint
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.index.passages import LABEL, WINDOW, Passage

DAY = 24 * 3600
NOW = 4_000_000_000  # later than any encoding was made
TEXTS = {1: [Passage(LABEL, 0, "rotate logs"), Passage(WINDOW, 0, "compress the old ones")]}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "a.db", "write")
    schema.prepare(database)
    for n in (1, 2, 3):
        database.run("INSERT INTO document VALUES (?, ?, '', '', '')", (n, bytes([n])))
    yield database
    database.close()


@pytest.fixture
def encoding(database: Database, model: Model) -> Encoding:
    return Encoding.create(database, Fingerprint.of(model))


def test_fingerprint_follows_everything_that_makes_a_vector(model: Model) -> None:
    same = Fingerprint.of(model.model_copy(update={"title": "other words about it"}))
    assert same.digest == Fingerprint.of(model).digest
    for change in (
        {"sha256": "0" * 64},
        {"query_prefix": "query: "},
        {"document_prefix": "passage: "},
        {"pooling": "cls"},
        {"context": 64},
    ):
        other = Fingerprint.of(model.model_copy(update=change))
        assert other.digest != Fingerprint.of(model).digest


def test_fingerprint_follows_the_layout_of_passages(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Fingerprint.of(model)
    monkeypatch.setattr(module, "LAYOUT", {"version": "another"})
    assert Fingerprint.of(model).digest != before.digest


@pytest.mark.parametrize(("languages", "differs"), [(("en",), True), (("multilingual",), False)])
def test_fingerprint_follows_the_glossary_where_texts_are_put_into_english(
    model: Model, monkeypatch: pytest.MonkeyPatch, languages: tuple[str, ...], differs: bool
) -> None:
    reader = model.model_copy(update={"languages": languages})
    before = Fingerprint.of(reader)
    monkeypatch.setattr(module, "glossary_digest", lambda: "another")
    assert (Fingerprint.of(reader).digest != before.digest) is differs


def test_encoding_of_a_fingerprint_is_made_once(database: Database, model: Model) -> None:
    fingerprint = Fingerprint.of(model)
    assert Encoding.find(database, fingerprint) is None
    Encoding.create(database, fingerprint)
    Encoding.create(database, fingerprint)
    assert database.value("SELECT count(*) FROM encoding") == 1


def test_embedded_documents_are_not_pending(encoding: Encoding, counting: Any) -> None:
    assert encoding.pending() == [1, 2, 3]
    assert encoding.embed(TEXTS, counting) == 2
    assert encoding.pending() == [2, 3]


def test_text_that_was_embedded_is_not_embedded_again(encoding: Encoding, counting: Any) -> None:
    encoding.embed(TEXTS, counting)
    assert encoding.embed({2: TEXTS[1]}, counting) == 0
    assert encoding.embed({3: [TEXTS[1][0], Passage(WINDOW, 0, "new")]}, counting) == 1
    assert counting.texts == ["rotate logs", "compress the old ones", "new"]


def test_same_text_twice_in_a_batch_is_embedded_once(encoding: Encoding, counting: Any) -> None:
    assert encoding.embed({1: TEXTS[1], 2: TEXTS[1]}, counting) == 2


def test_document_that_went_meanwhile_is_passed_over(encoding: Encoding, counting: Any) -> None:
    encoding.embed({99: TEXTS[1]}, counting)
    assert encoding.layout(LABEL) == []


def test_kept_vectors_are_those_of_the_encoder(encoding: Encoding, encoder: Encoder) -> None:
    encoding.embed(TEXTS, encoder)
    texts = [passage.text for passage in TEXTS[1]]
    mirror = Mirror.read(encoding)
    label, window = encoder.encode_documents(texts)
    assert mirror.label_cosines(label) > 0.9995
    assert mirror.window_cosines(window, np.array([0])) > 0.9995


def test_idle_vectors_are_kept_for_a_month(
    database: Database, encoding: Encoding, counting: Any
) -> None:
    encoding.embed(TEXTS, counting)
    database.run("DELETE FROM view")
    encoding.forget_idle(NOW)
    assert encoding.embed(TEXTS, counting) == 0, "still there"
    database.run("DELETE FROM view")
    encoding.forget_idle(NOW + 20 * DAY)
    encoding.forget_idle(NOW + 40 * DAY)
    assert len(encoding.vectors()[0]) == 2, "idle for twenty days"
    encoding.forget_idle(NOW + 51 * DAY)
    assert not any(encoding.vectors())
    assert encoding.embed(TEXTS, counting) == 2


def test_vector_in_use_again_is_not_idle(
    encoding: Encoding, database: Database, counting: Any
) -> None:
    encoding.embed(TEXTS, counting)
    database.run("DELETE FROM view")
    encoding.forget_idle(NOW)
    encoding.embed(TEXTS, counting)
    encoding.forget_idle(NOW + 31 * DAY)
    assert len(encoding.vectors()[0]) == 2


def test_encoding_that_was_not_used_for_a_month_is_dropped_by_another(
    database: Database, encoding: Encoding, counting: Any, model: Model
) -> None:
    encoding.embed(TEXTS, counting)
    other_print = Fingerprint.of(model.model_copy(update={"document_prefix": "passage: "}))
    other = Encoding.create(database, other_print)
    other.embed(TEXTS, counting)
    database.run("UPDATE encoding SET used_at = ?", (NOW,))
    encoding.forget_idle(NOW + 29 * DAY)
    assert Encoding.find(database, other_print) is not None
    encoding.forget_idle(NOW + 31 * DAY)
    assert Encoding.find(database, other_print) is None
    assert len(encoding.vectors()[0]) == 2
    assert encoding.pending() == [2, 3]
    tables = {row[0] for row in database.rows("SELECT name FROM sqlite_master")}
    assert "vectors_1" in tables
    assert "vectors_2" not in tables


def test_idle_vectors_are_looked_for_once_a_day(database: Database, encoding: Encoding) -> None:
    encoding.forget_idle(NOW)
    before = database.version()
    encoding.forget_idle(NOW + DAY // 2)
    assert database.version() == before
    encoding.forget_idle(NOW + 2 * DAY)
    assert database.version() != before


def test_all_zero_vector_does_no_harm(encoding: Encoding) -> None:
    class Zeros:
        def encode_documents(self, texts: Any) -> Any:
            return np.zeros((len(texts), 384), np.float32)

    encoding.embed(TEXTS, Zeros())
    assert np.isfinite(Mirror.read(encoding).labels).all()


def test_drop_all_leaves_no_table_behind(
    database: Database, encoding: Encoding, counting: Any
) -> None:
    encoding.embed(TEXTS, counting)
    Encoding.drop_all(database)
    left = database.rows("SELECT name FROM sqlite_master WHERE name LIKE 'vectors_%'")
    assert left == []
    assert database.value("SELECT count(*) FROM passage") == 0
