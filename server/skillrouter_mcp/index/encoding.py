"""The vectors of one way of encoding: which text was embedded how, and its row in vec0."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.glossary import glossary_digest, needs_glossary
from skillrouter_mcp.index.passages import Layout, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from skillrouter_gguf import Model

    Vectors = NDArray[np.float32]

_HELD = b"held:"  # before the digest of a text that was kept from the encoder: its vector is zero
_DAY_SECONDS = 24 * 3600
_KEEP_IDLE_SECONDS = 30 * _DAY_SECONDS
_PENDING = "FROM document WHERE id NOT IN (SELECT document_id FROM view WHERE encoding_id = ?)"


class DocumentEncoder(Protocol):
    """What turns texts into unit vectors, shape (texts, dimensions)."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Everything that decides what a vector is: if any of it changes, vectors are made anew."""

    digest: str
    settings: str
    dimensions: int
    layout: Layout

    @classmethod
    def of(cls, model: Model) -> Fingerprint:
        layout = Layout.of(model)
        settings = json.dumps(
            {
                "model": model.sha256,
                "dimensions": model.dimensions,
                "context": model.context,
                "pooling": model.pooling,
                "query_prefix": model.query_prefix,
                "document_prefix": model.document_prefix,
                "languages": model.languages,
                "glossary": glossary_digest() if needs_glossary(model.languages) else None,
                "layout": layout.settings(),
            },
            sort_keys=True,
        )
        digest = hashlib.sha256(settings.encode()).hexdigest()
        return cls(digest, settings, model.dimensions, layout)


class Encoding:
    """One row of the table `encoding` with its passages, views and vec0 table.

    Vectors are kept as int8, each scaled by its own largest component: the cosine, which is all
    that is asked of them, does not change with the scale.
    """

    def __init__(self, database: Database, encoding_id: int, dimensions: int) -> None:
        self._database = database
        self._id = encoding_id
        self.dimensions = dimensions
        self._table = f"vectors_{encoding_id}"

    @classmethod
    def find(cls, database: Database, fingerprint: Fingerprint) -> Encoding | None:
        """The encoding of this fingerprint, None if nothing was encoded so yet."""
        known = database.value(
            "SELECT id FROM encoding WHERE fingerprint = ?", (fingerprint.digest,)
        )
        return None if known is None else cls(database, int(known), fingerprint.dimensions)

    @classmethod
    def create(cls, database: Database, fingerprint: Fingerprint) -> Encoding:
        """The encoding of this fingerprint, made if need be."""
        found = cls.find(database, fingerprint)
        if found is not None:
            return found
        with database.transaction():
            encoding_id = database.run(
                "INSERT INTO encoding (fingerprint, settings) VALUES (?, ?)",
                (fingerprint.digest, fingerprint.settings),
            )
            encoding = cls(database, encoding_id, fingerprint.dimensions)
            encoding._create_table()
        return encoding

    @staticmethod
    def drop_all(database: Database) -> None:
        """Deletes every encoding with its vectors."""
        with database.transaction():
            for (encoding_id,) in database.rows("SELECT id FROM encoding"):
                _drop(database, encoding_id)

    def _create_table(self) -> None:
        self._database.run(
            f"CREATE VIRTUAL TABLE {self._table} USING vec0"
            f"(embedding int8[{self.dimensions}] distance_metric=cosine)"
        )

    def pending(self) -> list[int]:
        """Ids of the documents that have no vectors yet, the newest last."""
        rows = self._database.rows(f"SELECT id {_PENDING} ORDER BY id", (self._id,))
        return [row[0] for row in rows]

    def count_pending(self) -> int:
        """How many documents have no vectors yet."""
        return int(self._database.value(f"SELECT count(*) {_PENDING}", (self._id,)))

    def embed(self, passages: Mapping[int, Sequence[Passage]], encoder: DocumentEncoder) -> int:
        """Embeds what was never embedded of these documents' passages, and commits.

        Args:
            passages: by document id.

        Returns: how many texts went through the encoder.
        """
        digests = {
            passage.text: hashlib.sha256(passage.text.encode()).digest()
            for views in passages.values()
            for passage in views
        }
        known = self._known(list(digests.values()))
        fresh = [text for text, digest in digests.items() if digest not in known]
        vectors = encoder.encode_documents(fresh) if fresh else None
        with self._database.transaction():
            if vectors is not None:
                for text, vector in zip(fresh, _quantised(vectors), strict=True):
                    held = not any(vector)
                    passage_id = self._database.run(
                        "INSERT INTO passage (encoding_id, digest) VALUES (?, ?)",
                        (self._id, _HELD + digests[text] if held else digests[text]),
                    )
                    self._database.run(
                        f"INSERT INTO {self._table} (rowid, embedding) VALUES (?, vec_int8(?))",
                        (passage_id, vector),
                    )
                    known[digests[text]] = passage_id
            self._database.run_many(
                "UPDATE passage SET idle_since = NULL WHERE id = ? AND idle_since IS NOT NULL",
                [(passage_id,) for passage_id in known.values()],
            )
            self._database.run_many(
                "INSERT OR IGNORE INTO view SELECT ?, id, ?, ?, ? FROM document WHERE id = ?",
                [
                    (
                        self._id,
                        passage.view,
                        passage.ordinal,
                        known[digests[passage.text]],
                        document,
                    )
                    for document, views in passages.items()
                    for passage in views
                ],
            )
        return len(fresh)

    def _known(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        known: dict[bytes, int] = {}
        for digest in digests:
            found = self._database.value(
                "SELECT id FROM passage WHERE encoding_id = ? AND digest IN (?, ?)",
                (self._id, digest, _HELD + digest),
            )
            if found is not None:
                known[digest] = int(found)
        return known

    def release(self, held: Callable[[], Collection[bytes]]) -> None:
        """Has the documents embedded anew of which a text was kept from the encoder and is so no
        longer.

        Args:
            held: gives the SHA-256 of the texts that are; asked only where some were.
        """
        rows = self._database.rows(
            "SELECT id, digest FROM passage WHERE encoding_id = ? AND digest > ? AND digest < ?",
            (self._id, _HELD, _HELD + b"\xff" * 33),
        )
        kept = {row[0]: row[1].removeprefix(_HELD) for row in rows if len(row[1]) > 32}
        if not kept:
            return
        still = held()
        released = [(passage_id,) for passage_id, digest in kept.items() if digest not in still]
        with self._database.transaction():
            self._database.run_many(
                "DELETE FROM view WHERE encoding_id = ? AND document_id IN "
                "(SELECT document_id FROM view WHERE passage_id = ?)",
                [(self._id, *passage) for passage in released],
            )
            self._database.run_many(f"DELETE FROM {self._table} WHERE rowid = ?", released)
            self._database.run_many("DELETE FROM passage WHERE id = ?", released)

    def documents_of(self, digests: Sequence[bytes]) -> list[int]:
        """Ids of the documents of which these passages stand.

        Args:
            digests: SHA-256 of the passages' texts.
        """
        passages = self._known(digests).values()
        rows = self._database.rows(
            "SELECT DISTINCT document_id FROM view WHERE encoding_id = ? "
            "AND passage_id IN (SELECT value FROM json_each(?))",
            (self._id, json.dumps(list(passages))),
        )
        return [row[0] for row in rows]

    def documents(self) -> list[int]:
        """Sorted ids of the documents that have vectors."""
        # In one row: between two rows another thread may take the interpreter and keep it a while.
        ids = self._database.value(
            "SELECT json_group_array(DISTINCT document_id) FROM view WHERE encoding_id = ?",
            (self._id,),
        )
        return sorted(json.loads(ids))

    def layout(self, view: str, documents: Collection[int] | None = None) -> list[tuple[int, int]]:
        """Rows (document id, passage id) of one view, sorted by document and ordinal.

        Args:
            documents: ids of those that are asked for; all by default.
        """
        some = "" if documents is None else "AND document_id IN (SELECT value FROM json_each(?))"
        bindings = [] if documents is None else [json.dumps(list(documents))]
        return [
            (row[0], row[1])
            for row in self._database.rows(
                "SELECT document_id, passage_id FROM view WHERE encoding_id = ? AND name = ? "
                f"{some} ORDER BY document_id, ordinal",
                (self._id, view, *bindings),
            )
        ]

    def vectors(self, passages: Collection[int] | None = None) -> tuple[array[int], bytearray]:
        """Passage ids, sorted, and their int8 vectors one after the other.

        Args:
            passages: ids of those that are asked for; all by default.
        """
        sql = f"SELECT rowid, embedding FROM {self._table} ORDER BY rowid"
        bindings = []
        if passages is not None:
            sql = (
                "SELECT v.rowid, v.embedding FROM (SELECT value FROM json_each(?) ORDER BY value) "
                f"CROSS JOIN {self._table} v ON v.rowid = value"
            )
            bindings = [json.dumps(sorted(set(passages)))]
        passage_ids = array("q")
        packed = bytearray()
        for passage_id, vector in self._database.each(sql, bindings):
            passage_ids.append(passage_id)
            packed += vector
        return passage_ids, packed

    def forget_idle(self, now: int) -> None:
        """Notes, once a day, that this encoding is in use, and deletes what has been of no use for
        thirty days: its vectors that no document needs, and other encodings.

        Args:
            now: in seconds since the epoch.
        """
        used_at = self._database.value("SELECT used_at FROM encoding WHERE id = ?", (self._id,))
        if used_at > now - _DAY_SECONDS:
            return
        with self._database.transaction():
            self._database.run("UPDATE encoding SET used_at = ? WHERE id = ?", (now, self._id))
            self._database.run(
                "UPDATE passage SET idle_since = ? WHERE encoding_id = ? AND idle_since IS NULL "
                "AND id NOT IN (SELECT passage_id FROM view)",
                (now, self._id),
            )
            idle = self._database.rows(
                "SELECT id FROM passage WHERE encoding_id = ? AND idle_since < ?",
                (self._id, now - _KEEP_IDLE_SECONDS),
            )
            self._database.run_many(f"DELETE FROM {self._table} WHERE rowid = ?", idle)
            self._database.run_many("DELETE FROM passage WHERE id = ?", idle)
            for (encoding_id,) in self._database.rows(
                "SELECT id FROM encoding WHERE used_at < ?", (now - _KEEP_IDLE_SECONDS,)
            ):
                _drop(self._database, encoding_id)


def _drop(database: Database, encoding_id: int) -> None:
    database.run(f"DROP TABLE vectors_{encoding_id}")
    for table in ("view", "passage"):
        database.run(f"DELETE FROM {table} WHERE encoding_id = ?", (encoding_id,))
    database.run("DELETE FROM encoding WHERE id = ?", (encoding_id,))


def _quantised(vectors: Vectors) -> list[bytes]:
    import numpy as np

    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors * (127 / np.maximum(largest, 1e-6))
    return [row.tobytes() for row in np.rint(scaled).astype(np.int8)]
