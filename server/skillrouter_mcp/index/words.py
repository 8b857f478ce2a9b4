"""The word index. Derived from the documents; if in doubt, anew."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skillrouter_mcp.index.analysis import expand
from skillrouter_mcp.index.clauses import Clause, Neighbours
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.sections import sections
from skillrouter_mcp.index.selection import Selection
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.word_shelf import WordShelf, analyzer, entry, splitter

WORDS_LAYOUT = 1  # raise it when fields or analysis change: the index is then made anew

TEXT, DESCRIPTION, SECTION = FIELDS = ("text", "description", "section")

_SECTIONS_PER_HIT = 2  # so many of a document's sections may come before another's first
_FARTHEST = 3  # words apart in a request


class WordIndex:
    """The words of all documents, by field and by section of the body.

    Two Tantivy indexes, as a section's length and rarity of words are not those of a document.

    Attributes:
        without_sections: the ids of the documents whose whole texts are there, and whose sections
            are still to come; as of the last reload or update.

    Raises:
        DamagedWordsError: by every method that reads or writes the index, where that fails.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the index in this folder, which is made, or made anew if it cannot be read."""
        self.folder = folder
        self.without_sections: frozenset[int] = frozenset()
        self._analyzer = analyzer()
        self._splitter = splitter()
        try:
            self._open(folder)
        except DamagedWordsError:
            shutil.rmtree(folder, ignore_errors=True)  # both: what one lacks is seen by the other
            self._open(folder)

    def _open(self, folder: Path) -> None:
        # Only within whole texts are words looked for that stand together.
        fields = {TEXT: "position", DESCRIPTION: "freq"}
        self._documents = WordShelf(folder / "documents", fields, self._analyzer)
        self._sections = WordShelf(folder / "sections", {SECTION: "freq"}, self._analyzer)
        self._compared = frozenset[int](), frozenset[int]()

    def ids(self) -> frozenset[int]:
        """The ids of the documents that are wholly in the index, as last committed."""
        return self._documents.ids() & self._sections.ids()

    def partial_ids(self) -> frozenset[int]:
        """The ids of those of which a part is: their sections are still to come, or a part was
        lost."""
        return self._documents.ids() ^ self._sections.ids()

    def update(self, added: Iterable[Document], removed: Iterable[int] = ()) -> None:
        """Adds and removes documents, as they come, and commits them all at once; of those that are
        partly there already, only the rest is added.

        Few large commits make an index that is quicker to search than many small ones.
        """
        with self._sections.writing() as in_sections, self._documents.writing() as in_documents:
            for document_id in removed:
                in_sections.remove(document_id)
                in_documents.remove(document_id)
            for document in added:
                if in_sections.lacks(document.id):
                    in_sections.put(document.id, _parts(document))
                if in_documents.lacks(document.id):
                    in_documents.put(document.id, [_whole(document)])
        self._compare()

    def update_whole_texts(self, added: Iterable[Document]) -> None:
        """As `update`, but for the sections, which take as long as all else."""
        with self._documents.writing() as in_documents:
            for document in added:
                in_documents.put(document.id, [_whole(document)])
        self._compare()

    def reload(self) -> None:
        """Sees what was committed last, by whatever process."""
        self._sections.reload()
        self._documents.reload()
        self._compare()

    def _compare(self) -> None:
        held = self._documents.ids(), self._sections.ids()
        if held != self._compared:
            self.without_sections = held[0] - held[1]
            self._compared = held

    def version(self) -> tuple[object, object]:
        """Differs from an earlier call's once any process has committed something else."""
        return self._documents.version(), self._sections.version()

    def analyze(self, text: str) -> list[str]:
        """The terms of a text, in its order, as they stand in the index."""
        return list(self._analyzer.analyze(text))

    def neighbours(self, text: str) -> list[Neighbours]:
        """The terms of a text that stand next to each other or have one between them, each pair
        once."""
        terms = [
            (place, term)
            for place, word in enumerate(self._splitter.analyze(text))
            for term in self._analyzer.analyze(word)
        ]
        found = {
            Neighbours(first, second, place - before): None
            for n, (before, first) in enumerate(terms)
            for place, second in terms[n + 1 : n + 3]
            if place - before <= _FARTHEST and first != second
        }
        return list(found)

    def frequency(self, term: str) -> int:
        """How many documents hold a term."""
        return self._documents.frequency(TEXT, term)

    def idf(self, term: str) -> float:
        """How much a term tells: BM25's inverse document frequency over whole texts."""
        count = self._documents.count()
        frequency = self.frequency(term)
        return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))

    def search(
        self,
        field: str,
        clauses: Sequence[Clause],
        limit: int,
        among: NDArray[np.int64] | None = None,
    ) -> dict[int, float]:
        """The best documents by BM25 over one field, with their scores.

        A document's score in `SECTION` is that of its best section.

        Args:
            field: one of `FIELDS`.
            among: sorted ids of the documents that count, shape (documents,); None for all.
        """
        if field != SECTION:
            return dict(self._documents.search(field, clauses, limit, self._only(among)))
        best: dict[int, float] = {}
        most = limit * _SECTIONS_PER_HIT
        for document_id, score in self._sections.search(field, clauses, most, self._only(among)):
            best.setdefault(document_id, score)
        return best

    def search_together(
        self, pairs: Sequence[Neighbours], limit: int, among: NDArray[np.int64] | None = None
    ) -> dict[int, float]:
        """The best documents by BM25 over pairs of terms that stand near each other in them."""
        return dict(self._documents.search_together(TEXT, pairs, limit, self._only(among)))

    def _only(self, among: NDArray[np.int64] | None) -> Selection | None:
        return None if among is None else Selection(among, self._documents.count())


def _whole(document: Document) -> Any:
    """What stands for a document in the index of whole texts."""
    description = expand(document.description)
    text = f"{expand(document.name)}\n{description}\n{expand(document.body)}"
    return entry(document.id, {DESCRIPTION: description, TEXT: text})


def _parts(document: Document) -> list[Any]:
    """What stands for a document in the index of sections."""
    label = f"{expand(document.name)}\n{expand(document.description)}"
    texts = [f"{label}\n{expand(section)}" for section in sections(document.body)]
    # One at least, so that a document without a body is not taken for a lost one.
    return [entry(document.id, {SECTION: text}) for text in texts or [""]]
