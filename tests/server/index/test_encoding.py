from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skillrouter_gguf import Encoder, Model, load_catalogue
from skillrouter_mcp.index import encoding as module
from skillrouter_mcp.index import passages, schema
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


def test_fingerprint_of_the_embedded_model_stays() -> None:
    """Another one costs every user the embedding of all skills."""
    fingerprint = Fingerprint.of(load_catalogue().model("skillrouter-minilm-l6"))
    assert fingerprint.digest == (
        "9eece876dec56ef0825936560f88a0c287b0832c38d1f985215c5851a6d429ea"
    )


def test_fingerprint_follows_the_layout_of_passages(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Fingerprint.of(model)
    monkeypatch.setattr(passages, "LAYOUT", {"version": "another"})
    assert Fingerprint.of(model).digest != before.digest


def test_fingerprint_follows_the_model_s_own_layout(model: Model) -> None:
    whole: dict[str, object] = {"document_template": "{name}: {body}"}
    changes: list[dict[str, object]] = [
        {},
        whole,
        {"document_template": "{name} {body}"},
        whole | {"description_characters": 9},
        whole | {"body_characters": 9},
    ]
    digests = {Fingerprint.of(model.model_copy(update=change)).digest for change in changes}
    assert len(digests) == len(changes)


def test_fingerprint_does_not_follow_caps_that_the_layout_does_not_ask_for(model: Model) -> None:
    capped = model.model_copy(update={"body_characters": 9, "query_characters": 9})
    assert Fingerprint.of(capped).digest == Fingerprint.of(model).digest


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
    assert (encoding.pending(), encoding.count_pending()) == ([1, 2, 3], 3)
    assert encoding.embed(TEXTS, counting) == 2
    assert (encoding.pending(), encoding.count_pending()) == ([2, 3], 2)


def test_text_that_was_embedded_is_not_embedded_again(encoding: Encoding, counting: Any) -> None:
    encoding.embed(TEXTS, counting)
    assert encoding.embed({2: TEXTS[1]}, counting) == 0
    assert encoding.embed({3: [TEXTS[1][0], Passage(WINDOW, 0, "new")]}, counting) == 1
    assert counting.texts == ["rotate logs", "compress the old ones", "new"]


class _Refusing:
    """Gives zero for the texts that are kept from the encoder, as a guarded one does."""

    def __init__(self, encoder: Any, *held: str) -> None:
        self._encoder = encoder
        self.held = held

    def encode_documents(self, texts: Sequence[str]) -> Any:
        vectors = self._encoder.encode_documents(texts)
        vectors[[text in self.held for text in texts]] = 0
        return vectors

    def digests(self) -> set[bytes]:
        return {hashlib.sha256(text.encode()).digest() for text in self.held}


def test_what_was_kept_from_the_encoder_is_embedded_anew_once_it_is_released(
    encoding: Encoding, counting: Any
) -> None:
    encoder = _Refusing(counting, "rotate logs")
    label, window = TEXTS[1]
    texts = {1: [label, window], 2: [label], 3: [window]}
    encoding.embed(texts, encoder)
    assert sorted(encoding.documents_of(list(encoder.digests()))) == [1, 2]
    encoding.release(encoder.digests)
    assert encoding.pending() == []
    encoding.release(set)
    assert encoding.pending() == [1, 2]
    counting.texts.clear()
    encoding.embed({1: texts[1], 2: texts[2]}, counting)
    assert counting.texts == ["rotate logs"]
    assert all(len(encoding.layout(LABEL, [n])) == 1 for n in (1, 2))
    encoding.release(set)
    assert encoding.pending() == []
    _, packed = encoding.vectors()
    assert np.frombuffer(packed, np.int8).reshape(2, -1).any(axis=1).all()


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
