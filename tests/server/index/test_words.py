from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skillrouter_mcp.index import word_shelf
from skillrouter_mcp.index.analysis import expand
from skillrouter_mcp.index.clauses import Clause, Neighbours
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import DESCRIPTION, SECTION, TEXT, WordIndex

LOGS = Document(1, "rotate-logs", "Keeps disks free", "Compress yesterday's logs and rotate them.")
MAIL = Document(2, "send-mail", "Writes letters", "Address the reader, rotate nothing.")
CHINESE = Document(3, "fapiao", "", "整理发票并报销差旅费")


@pytest.fixture
def words(tmp_path: Path) -> WordIndex:
    index = WordIndex(tmp_path / "words")
    index.update([LOGS, MAIL, CHINESE])
    return index


def _found(index: WordIndex, text: str, field: str = TEXT) -> list[int]:
    return list(index.search(field, [Clause((term,)) for term in index.analyze(text)], 10))


def test_document_is_found_by_any_form_of_its_words(words: WordIndex) -> None:
    assert _found(words, "COMPRESSING") == [1]
    assert _found(words, "rotating log") == [1, 2]


def test_fields_are_searched_apart(words: WordIndex) -> None:
    assert _found(words, "disk") == [1]
    assert _found(words, "disk", DESCRIPTION) == [1]
    assert _found(words, "compress", DESCRIPTION) == []


def test_words_that_stand_together_are_told_from_scattered_ones(tmp_path: Path) -> None:
    together = Document(1, "a", "", "use the load balancer of the cluster")
    scattered = Document(2, "b", "", "load the file, then read on for long, then ask the balancer")
    index = WordIndex(tmp_path / "words")
    index.update([together, scattered])
    pairs = index.neighbours("load balancer")
    assert pairs == [Neighbours("load", "balanc", 1)]
    assert list(index.search_together(pairs, 10)) == [1]


def test_a_document_counts_by_its_best_section(tmp_path: Path) -> None:
    padding = "Nothing to see in this line, move along.\n" * 200
    late = Document(1, "late", "", f"{padding}\nReset the upload keystore.\n{padding}")
    diluted = Document(2, "diluted", "", f"keystore\n{padding}\n{padding}\nupload")
    index = WordIndex(tmp_path / "words")
    index.update([late, diluted])
    scores = index.search(SECTION, [Clause(("upload",)), Clause(("keystor",))], 10)
    assert list(scores) == [1, 2]
    assert len(index.search(SECTION, [Clause(("move",))], 10)) == 2, "each document once"


def test_weight_of_a_clause_moves_its_documents(words: WordIndex) -> None:
    for heavy, light, first in (("log", "letter", 1), ("letter", "log", 2)):
        clauses = [Clause((heavy,), 9.0), Clause((light,), 1.0)]
        assert next(iter(words.search(TEXT, clauses, 2))) == first


def test_of_alternatives_the_best_counts(words: WordIndex) -> None:
    apart = words.search(TEXT, [Clause(("rotat",)), Clause(("log",))], 2)
    together = words.search(TEXT, [Clause(("rotat", "log"))], 2)
    assert together[1] < apart[1]
    assert set(together) == {1, 2}


def test_chinese_is_found_within_a_sentence_and_by_its_english(words: WordIndex) -> None:
    assert _found(words, expand("帮我报销发票")) == [3]
    assert _found(words, "invoice") == [3]


def test_rare_terms_tell_more_than_common_ones(words: WordIndex) -> None:
    assert words.idf("unheard") > words.idf("compress") > words.idf("rotat") > 0


def _some(*ids: int) -> NDArray[np.int64]:
    return np.array(ids, np.int64)


@pytest.mark.parametrize("rare", [1, 3, 1_000])
@pytest.mark.parametrize("field", [TEXT, SECTION])
def test_the_best_of_some_are_found_however_far_down_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, rare: int
) -> None:
    """Whether what does not count is kept out of the search, or the search goes deeper."""
    monkeypatch.setattr(word_shelf, "_RARE", rare)
    index = WordIndex(tmp_path / "words")
    index.update(
        [Document(n, "a", "", f"{'prune ' * (40 - n)} the roses {'now ' * n}") for n in range(40)]
    )
    clauses = [Clause(("prune",)), Clause(("rose",), 0.5)]
    ranking = list(index.search(field, clauses, 40))
    assert sorted(ranking) == list(range(40))
    for some in (_some(*range(31, 40)), _some(2, 38, 39), _some(39), _some(0, 1), _some(7, 77)):
        found = index.search(field, clauses, 2, some)
        assert list(found)[:2] == [n for n in ranking if n in some][:2]
        whole = index.search(field, clauses, 40)
        assert list(found.values()) == pytest.approx([whole[n] for n in found])
    assert index.search(field, clauses, 2, _some()) == {}


def test_words_that_stand_together_are_found_among_some(words: WordIndex) -> None:
    pairs = words.neighbours("rotate logs")
    assert list(words.search_together(pairs, 5)) == [1]
    assert list(words.search_together(pairs, 5, _some(1, 2))) == [1]
    assert list(words.search_together(pairs, 5, _some(2, 3))) == []


def test_frequencies_follow_what_is_committed(words: WordIndex) -> None:
    assert words.frequency("compress") == 1
    words.update([Document(4, "more", "", "compress it")], [2])
    assert words.frequency("compress") == 2


def test_ids_follow_what_is_committed_here_and_elsewhere(words: WordIndex, tmp_path: Path) -> None:
    other = WordIndex(tmp_path / "words")
    assert other.ids() == {1, 2, 3}
    words.update([Document(4, "new", "", "unheard of")])
    other.update([LOGS], [2])
    assert words.ids() == other.ids() == {1, 3, 4}
    assert _found(other, "compress") == [1]


def test_an_update_that_is_broken_off_changes_nothing(words: WordIndex) -> None:
    def some() -> Iterator[Document]:
        yield Document(4, "new", "", "unheard of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        words.update(some(), [1])
    assert words.ids() == {1, 2, 3}
    assert words.partial_ids() == frozenset()
    assert _found(words, "unheard") == []


def test_what_is_partly_there_is_completed_and_no_part_comes_twice(words: WordIndex) -> None:
    new = Document(4, "new", "", "unheard of")
    words.update_whole_texts([new])
    assert words.partial_ids() == {4}
    assert _found(words, "unheard") == [4]
    assert words.search(SECTION, [Clause(("unheard",))], 5) == {}
    words.update([new])
    assert words.ids() == {1, 2, 3, 4}
    assert words.partial_ids() == frozenset()
    assert words.frequency("unheard") == 1
    assert list(words.search(SECTION, [Clause(("unheard",))], 5)) == [4]


def test_nothing_is_found_without_terms_or_matches(words: WordIndex) -> None:
    assert words.search(TEXT, [], 10) == {}
    assert _found(words, "zebra") == []


def test_removed_documents_are_gone_and_ids_tell_the_rest(words: WordIndex) -> None:
    words.update([], [1])
    assert words.ids() == {2, 3}
    assert _found(words, "compress") == []


def test_reopened_index_holds_what_was_committed(words: WordIndex, tmp_path: Path) -> None:
    again = WordIndex(tmp_path / "words")
    assert again.ids() == words.ids() == {1, 2, 3}


def test_other_opener_sees_a_commit_after_reload(words: WordIndex, tmp_path: Path) -> None:
    other = WordIndex(tmp_path / "words")
    words.update([Document(4, "new", "", "unheard of")])
    assert _found(other, "unheard") == []
    other.reload()
    assert _found(other, "unheard") == [4]


@pytest.mark.parametrize("content", [b"", b"garbage", b"{}"])
def test_broken_index_is_made_anew(words: WordIndex, tmp_path: Path, content: bytes) -> None:
    for shelf in ("documents", "sections"):
        (tmp_path / "words" / shelf / "meta.json").write_bytes(content)
    again = WordIndex(tmp_path / "words")
    assert again.ids() == set()
    again.update([LOGS])
    assert _found(again, "compress") == [1]


def test_missing_segment_is_made_anew(words: WordIndex, tmp_path: Path) -> None:
    for segment in (tmp_path / "words").rglob("*.term"):
        segment.unlink()
    assert WordIndex(tmp_path / "words").ids() == set()
