from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

from skillrouter_mcp.index.clauses import Clause
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedDatabaseError, DatabaseError
from skillrouter_mcp.index.inspection import damaged_words, inspect
from skillrouter_mcp.index.schema import prepare
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import FIELDS, WordIndex


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an index of one text."""
    database = Database(tmp_path / "index.db", "write")
    prepare(database)
    database.close()
    words = WordIndex(tmp_path / "words-1")
    words.update([Document(1, "rotate-logs", "Rotates logs.", "Rotate the logs by size.\n")])
    return tmp_path


def test_an_index_is_missing_empty_or_whole(home: Path) -> None:
    assert inspect(home) == "whole"
    (home / "index.db").write_bytes(b"")
    assert inspect(home) == "empty"
    (home / "index.db").unlink()
    assert inspect(home) == "missing"
    assert not (home / "index.db").exists()


@pytest.mark.parametrize(
    ("sql", "error", "said"),
    [
        ("PRAGMA application_id = 7", DamagedDatabaseError, "another program"),
        ("PRAGMA user_version = 999", DatabaseError, "newer skillrouter-mcp"),
    ],
)
def test_what_is_not_ours_is_told(
    home: Path, sql: str, error: type[DatabaseError], said: str
) -> None:
    connection = apsw.Connection(str(home / "index.db"))
    connection.execute(sql)
    connection.close()
    with pytest.raises(error, match=said):
        inspect(home)


def test_garbage_is_told_and_left(home: Path) -> None:
    (home / "index.db").write_bytes(b"garbage " * 500)
    with pytest.raises(DamagedDatabaseError, match="is damaged"):
        inspect(home)
    assert (home / "index.db").read_bytes() == b"garbage " * 500


def test_words_are_whole_where_every_file_is_as_it_was_written(home: Path) -> None:
    assert damaged_words(home) == []
    assert damaged_words(home / "gone") == []


def _segment_files(home: Path) -> list[Path]:
    return [
        home / "words-1" / shelf / name
        for shelf in ("documents", "sections")
        for name in json.loads((home / "words-1" / shelf / ".managed.json").read_text())
        if name != "meta.json"
    ]


def test_each_file_that_is_changed_cut_short_or_gone_is_found(home: Path) -> None:
    files = _segment_files(home)
    assert len(files) >= 10
    for file in files:
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[0] ^= 1
        for content in (bytes(changed), whole[:-1], b""):
            file.write_bytes(content)
            assert damaged_words(home) == [file]
        file.unlink()
        assert damaged_words(home) == [file]
        file.write_bytes(whole)
    assert damaged_words(home) == []


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_shelf_without_its_list_of_segments_is_damaged(home: Path, content: str | None) -> None:
    meta = home / "words-1" / "sections" / "meta.json"
    meta.unlink()
    if content is not None:
        meta.write_text(content)
    assert damaged_words(home) == [meta]


def test_a_word_index_of_which_one_half_cannot_be_opened_is_made_anew_whole(home: Path) -> None:
    (home / "words-1" / "sections" / "meta.json").write_text("{")
    words = WordIndex(home / "words-1")
    assert words.ids() == set()
    assert all(not words.search(field, [Clause(("log",))], 5) for field in FIELDS)
