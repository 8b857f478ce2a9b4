"""Words that can be searched though nothing can be written where they lie."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from skillrouter_mcp.index import synchroniser
from skillrouter_mcp.index.store import SkillStore
from skillrouter_mcp.index.words import WordIndex


class Borrowing:
    """A word index, in a temporary folder, that reads the files of another and writes its own.

    Tantivy takes a lock even to read, and notes beside the segments, which never change, which
    there are.
    """

    def __init__(self) -> None:
        self._place: tempfile.TemporaryDirectory[str] | None = None

    def __bool__(self) -> bool:
        return self._place is not None

    def words(self, folder: Path, store: SkillStore) -> WordIndex:
        """The words of this folder as they are now, made to agree with the documents.

        Raises:
            OSError: there is no place for it.
        """
        self.give_back()
        self._place = tempfile.TemporaryDirectory(prefix="skillrouter-", ignore_cleanup_errors=True)
        place = Path(self._place.name, folder.name)
        _borrow(folder, place)
        words = WordIndex(place)
        synchroniser.agree(store, words)
        return words

    def give_back(self) -> None:
        """Ends it; what has the words open can still read them."""
        if self._place is not None:
            self._place.cleanup()
            self._place = None


def _borrow(folder: Path, place: Path) -> None:
    for file in folder.glob("*/*"):
        if file.suffix == ".lock":
            continue
        there = place / file.relative_to(folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            shutil.copyfile(file, there)
        else:
            _link(file, there)


def _link(file: Path, there: Path) -> None:
    try:
        there.symlink_to(file)
    except OSError:  # Windows lets few users make links
        shutil.copyfile(file, there)
