from __future__ import annotations

import threading
from pathlib import Path

import pytest

from skillrouter_mcp.index.word_shelf import WordShelf, analyzer, entry

FIELDS = {"text": "freq"}


def _put(shelf: WordShelf, document_id: int) -> None:
    with shelf.writing() as writing:
        writing.put(document_id, [entry(document_id, {"text": "prune the roses"})])


def test_a_slow_reload_does_not_bring_back_what_a_quicker_one_has_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = (WordShelf(tmp_path / "words", FIELDS, analyzer()) for _ in range(2))
    looked, go_on = threading.Event(), threading.Event()

    def see(shelf: WordShelf) -> None:
        searcher = shelf._index.searcher()
        if threading.current_thread() is slow:
            looked.set()
            assert go_on.wait(30)
        shelf._searcher = searcher
        shelf._frequencies = {}

    monkeypatch.setattr(WordShelf, "_see", see)
    slow, quick = threading.Thread(target=mine.reload), threading.Thread(target=mine.reload)
    slow.start()
    assert looked.wait(30)
    _put(other, 1)
    quick.start()
    quick.join(0.5)  # which it need not do before the slow one
    go_on.set()
    slow.join()
    quick.join()
    assert mine.count() == 1


def test_versions_tell_commits_apart_and_what_is_gone(tmp_path: Path) -> None:
    mine, other = (WordShelf(tmp_path / "words", FIELDS, analyzer()) for _ in range(2))
    before = mine.version()
    assert mine.version() == before
    _put(other, 1)
    after = mine.version()
    assert after != before
    _put(other, 2)
    assert mine.version() not in (before, after)
    (tmp_path / "words" / "meta.json").unlink()
    assert mine.version() is None
