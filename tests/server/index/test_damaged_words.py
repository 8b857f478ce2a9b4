from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.index.clauses import Clause
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import SECTION, TEXT, WordIndex

Opener = Callable[..., Library]

NUMBER = [Clause(("number",))]


def _documents(count: int = 40) -> list[Document]:
    return [Document(n, f"skill-{n}", "Helps.", f"number {n} of many") for n in range(1, count)]


def _overwrite(folder: Path, suffix: str, shelf: str = "*") -> None:
    """Damages what stands at the beginning of these files, which opening does not look at."""
    files = list(folder.glob(f"{shelf}/*{suffix}"))
    assert files
    for file in files:
        with file.open("r+b") as opened:  # in place: a mapped file that shrinks ends the process
            opened.write(b"\xaa" * min(file.stat().st_size // 2, 200))


def _read_all(library: Library) -> None:
    with library.writing() as mine:
        assert mine
        library.scan()


def _is_whole(library: Library) -> bool:
    ids = set(library.snapshot.visible.tolist())
    found = [set(library.words.search(field, NUMBER, 100)) for field in (TEXT, SECTION)]
    return library.words.ids() == ids and found == [ids, ids]


class _Failing:
    """A searcher every method of which raises."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> None:
            raise self._error

        return fail


@pytest.fixture
def words(tmp_path: Path) -> WordIndex:
    index = WordIndex(tmp_path / "words")
    index.update(_documents())
    return index


@pytest.mark.parametrize("shelf", ["documents", "sections"])
@pytest.mark.parametrize("suffix", [".term", ".idx", ".pos", ".fieldnorm"])
def test_nothing_is_written_over_what_is_damaged(
    words: WordIndex, tmp_path: Path, shelf: str, suffix: str
) -> None:
    if suffix == ".pos" and shelf == "sections":
        pytest.skip("sections keep no positions")
    again = WordIndex(tmp_path / "words")
    _overwrite(tmp_path / "words", suffix, shelf)
    with pytest.raises(DamagedWordsError, match=rf"{suffix} is damaged .*--rebuild"):
        again.update([Document(99, "new", "", "")], [1])


def test_whatever_tantivy_fails_with_is_told_as_damage(
    words: WordIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    panic = type("PanicException", (BaseException,), {})
    for error in (ValueError("no\nFST"), OSError("gone"), panic("index out of bounds")):
        monkeypatch.setattr(words._documents, "_searcher", _Failing(error))
        with pytest.raises(DamagedWordsError, match=r"words.*cannot be used.*--rebuild"):
            words.search(TEXT, NUMBER, 5)
        with pytest.raises(DamagedWordsError):
            words.frequency("number")
    for error in (KeyboardInterrupt(), MemoryError()):
        monkeypatch.setattr(words._documents, "_searcher", _Failing(error))
        with pytest.raises(type(error)):
            words.frequency("number")


@pytest.mark.parametrize("left", ["", "sections", "documents"])
def test_an_index_deleted_while_it_is_open_is_told(
    words: WordIndex, tmp_path: Path, left: str
) -> None:
    words.ids()
    for shelf in {"sections", "documents"} - {left}:
        shutil.rmtree(tmp_path / "words" / shelf)
    with pytest.raises(DamagedWordsError):
        words.ids()
    with pytest.raises(DamagedWordsError):
        words.update(_documents())


@pytest.mark.parametrize("damage", [".term", ".idx", "documents", "sections", "all"])
def test_a_scan_makes_damaged_words_anew(
    open_library: Opener, write_skill: Any, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    for n in range(20):
        write_skill(f"skill-{n}", body=f"number {n}")
    library = open_library()
    _read_all(library)
    folder = library.words.folder
    if damage.startswith("."):
        library = open_library()  # has not looked at the files yet
        _overwrite(folder, damage)
        write_skill("one-more", body="number 21")
    else:
        shutil.rmtree(folder if damage == "all" else folder / damage)
    with caplog.at_level(logging.WARNING):
        _read_all(library)
    assert str(folder) in caplog.text
    assert _is_whole(library)
    assert list(library.home.glob("words-*")) == [library.words.folder] != [folder]


@pytest.mark.parametrize("shelf", ["documents", "sections"])
def test_opening_and_scanning_fills_a_lost_half(
    open_library: Opener, write_skill: Any, shelf: str
) -> None:
    write_skill("a", body="number 1")
    library = open_library()
    _read_all(library)
    shutil.rmtree(library.words.folder / shelf)
    again = open_library()
    _read_all(again)
    assert _is_whole(again)


def test_rebuilding_looks_at_nothing_of_the_old_words(
    open_library: Opener, write_skill: Any
) -> None:
    write_skill("a", body="number 1")
    library = open_library()
    _read_all(library)
    folder = library.words.folder
    _overwrite(folder, "")
    with library.writing():
        library.forget()
        library.scan()
    assert _is_whole(library)
    assert not folder.exists()


def test_a_request_that_failed_has_the_words_made_anew(
    open_library: Opener, write_skill: Any
) -> None:
    write_skill("a", body="number 1")
    library = open_library()
    _read_all(library)
    damaged = library.words
    library.mend_words(damaged)
    assert library.words is not damaged
    assert _is_whole(library)


def test_words_that_another_process_has_mended_are_taken_over(
    open_library: Opener, write_skill: Any
) -> None:
    write_skill("a", body="number 1")
    library, other = open_library(), open_library()
    _read_all(library)
    other.refresh()
    damaged = other.words
    library.mend_words(library.words)
    other.mend_words(damaged)
    assert other.words.folder == library.words.folder
    assert _is_whole(other)


def test_while_another_writes_the_next_scan_mends(
    open_library: Opener, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillrouter_mcp.index.library._MEND_SECONDS", 0)
    write_skill("a", body="number 1")
    library, other = open_library(), open_library()
    _read_all(library)
    damaged = library.words
    with other.writing(), pytest.raises(DamagedWordsError, match="try again"):
        library.mend_words(damaged)
    _read_all(library)
    assert library.words is not damaged
    assert _is_whole(library)


def test_words_that_cannot_be_made_anew_leave_the_old_ones(
    open_library: Opener, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("a", body="number 1")
    library = open_library()
    _read_all(library)
    before = library.words.folder

    def fail(*_: object) -> None:
        raise DamagedWordsError("no space left")

    monkeypatch.setattr(WordIndex, "update", fail)
    with pytest.raises(DamagedWordsError, match="no space"):
        library.mend_words(library.words)
    assert list(library.home.glob("words-*")) == [before]
    assert open_library().words.folder == before
