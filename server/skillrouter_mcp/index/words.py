"""The word index, and the one door to Tantivy. Derived from the documents; if in doubt, anew."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tantivy

from skillrouter_mcp.index.analysis import expand
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.sections import sections
from skillrouter_mcp.index.segments import damaged_files
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.skills import printable

WORDS_LAYOUT = 1  # raise it when fields or analysis change: the index is then made anew

TEXT, DESCRIPTION, SECTION = FIELDS = ("text", "description", "section")

_ANALYZER = "skill"
_LONGEST_WORD = 40
_WRITER_BYTES = 64_000_000
_MAX_REASON = 200
_SECTIONS_PER_HIT = 2  # so many of a document's sections may come before another's first
_TIE = 0.1
_FARTHEST, _SLOP = 3, 3  # words apart in a request, and more of them in a text


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing a request asks for: a term, or several of which the best counts."""

    terms: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two terms of a text, `distance` words apart."""

    first: str
    second: str
    distance: int


class WordIndex:
    """The words of all documents, by field and by section of the body.

    Two Tantivy indexes, as a section's length and rarity of words are not those of a document.

    Raises:
        DamagedWordsError: by every method that reads or writes the index, where that fails.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the index in this folder, which is made, or made anew if it cannot be read."""
        self.folder = folder
        self._analyzer = _analyzer()
        try:
            self._open(folder)
        except DamagedWordsError:
            shutil.rmtree(folder, ignore_errors=True)  # both: what one lacks is seen by the other
            self._open(folder)

    def _open(self, folder: Path) -> None:
        # Only within whole texts are words looked for that stand together.
        fields = {TEXT: "position", DESCRIPTION: "freq"}
        self._documents = _Shelf(folder / "documents", fields, self._analyzer)
        self._sections = _Shelf(folder / "sections", {SECTION: "freq"}, self._analyzer)

    def ids(self) -> frozenset[int]:
        """The ids of the documents that are wholly in the index, as last committed."""
        return self._documents.ids() & self._sections.ids()

    def partial_ids(self) -> frozenset[int]:
        """The ids of those of which a part is: an update was broken off, or a part was lost."""
        return self._documents.ids() ^ self._sections.ids()

    def update(self, added: Sequence[Document], removed: Iterable[int] = ()) -> None:
        """Adds and removes documents, and commits."""
        outdated = [*removed, *(document.id for document in added)]
        self._sections.replace(outdated, added, _section_words)
        self._documents.replace(outdated, added, _document_words)

    def reload(self) -> None:
        """Sees what was committed last, by whatever process."""
        self._sections.reload()
        self._documents.reload()

    def analyze(self, text: str) -> list[str]:
        """The terms of a text, in its order, as they stand in the index."""
        return list(self._analyzer.analyze(text))

    def neighbours(self, text: str) -> list[Neighbours]:
        """The terms of a text that stand next to each other or have one between them, each pair
        once."""
        tokens = self._analyzer.pre_tokenize(text).tokens
        found = {
            Neighbours(first.text, second.text, second.position - first.position): None
            for n, first in enumerate(tokens)
            for second in tokens[n + 1 : n + 3]
            if second.position - first.position <= _FARTHEST and first.text != second.text
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

    def search(self, field: str, clauses: Sequence[Clause], limit: int) -> dict[int, float]:
        """The best documents by BM25 over one field, with their scores.

        A document's score in `SECTION` is that of its best section.

        Args:
            field: one of `FIELDS`.
        """
        if field != SECTION:
            return dict(self._documents.search(field, clauses, limit))
        best: dict[int, float] = {}
        for document_id, score in self._sections.search(field, clauses, limit * _SECTIONS_PER_HIT):
            best.setdefault(document_id, score)
        return best

    def search_together(self, pairs: Sequence[Neighbours], limit: int) -> dict[int, float]:
        """The best documents by BM25 over pairs of terms that stand near each other in them."""
        return dict(self._documents.search_together(TEXT, pairs, limit))


class _Shelf:
    """One Tantivy index whose entries carry a document's id."""

    def __init__(self, folder: Path, fields: Mapping[str, str], analyzer: Any) -> None:
        self._schema = _schema(fields)
        self._analyzer = analyzer
        self._folder = folder
        self._ids: frozenset[int] = frozenset()
        self._listed: tuple[int, int] | None = None
        self._checked = False
        with self._errors():
            self._index = self._open()
            self._searcher = self._index.searcher()

    def _open(self) -> Any:
        self._folder.mkdir(parents=True, exist_ok=True)
        index = tantivy.Index(self._schema, path=str(self._folder), reuse=True)
        index.register_tokenizer(_ANALYZER, self._analyzer)
        index.config_reader("manual")
        index.reload()
        return index

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            # Over what is damaged, Tantivy may panic, which is no Exception and has no class to
            # import.
            panic = type(error).__name__ == "PanicException"
            if not panic and not isinstance(error, (ValueError, OSError)):
                raise
            raise self._damaged(str(error)) from error

    def _damaged(self, reason: str) -> DamagedWordsError:
        return DamagedWordsError(
            f"the word index in {self._folder.parent} cannot be used: "
            f"{printable(reason, _MAX_REASON)}; `skillrouter-mcp index --rebuild` makes it anew"
        )

    def _check(self) -> None:
        """Looks at every byte once: writing over what is damaged may end the process."""
        if self._checked:
            return
        with self._errors():
            damaged = damaged_files(self._folder)
        if damaged:
            raise self._damaged(f"{damaged[0].name} is damaged or gone")
        self._checked = True

    def reload(self) -> None:
        with self._errors():
            self._index.reload()
            self._searcher = self._index.searcher()

    def count(self) -> int:
        return int(self._searcher.num_docs)

    def frequency(self, field: str, term: str) -> int:
        with self._errors():
            return int(self._searcher.doc_freq(field, term))

    def ids(self) -> frozenset[int]:
        with self._errors():
            meta = (self._folder / "meta.json").stat()  # a new file with each commit
            listed = meta.st_ino, meta.st_mtime_ns
            if listed != self._listed:
                self.reload()
                self._ids = self._read_ids()
                self._listed = listed
            return self._ids

    def _read_ids(self) -> frozenset[int]:
        if not self.count():
            return frozenset()
        everything = tantivy.Query.all_query()
        hits = self._searcher.search(everything, limit=self.count(), count=False).hits
        return frozenset(self._searcher.fast_field_values("id", [address for _, address in hits]))

    def replace(
        self,
        outdated: Sequence[int],
        documents: Iterable[Document],
        words: Callable[[Document], Iterable[Any]],
    ) -> None:
        self._check()
        with self._errors():
            writer = self._index.writer(_WRITER_BYTES, 1)
            try:
                for document_id in outdated:
                    writer.delete_documents_by_query(
                        tantivy.Query.term_query(self._schema, "id", document_id)
                    )
                for document in documents:
                    for entry in words(document):
                        writer.add_document(entry)
                writer.commit()
            except BaseException:
                writer.rollback()
                raise
            writer.wait_merging_threads()
            self.reload()

    def search(
        self, field: str, clauses: Sequence[Clause], limit: int
    ) -> Iterable[tuple[int, float]]:
        return self._best([self._query(field, clause) for clause in clauses], limit)

    def search_together(
        self, field: str, pairs: Sequence[Neighbours], limit: int
    ) -> Iterable[tuple[int, float]]:
        phrases = [
            tantivy.Query.phrase_query(
                self._schema, field, [(0, pair.first), (pair.distance, pair.second)], _SLOP
            )
            for pair in pairs
        ]
        return self._best(phrases, limit)

    def _best(self, queries: Sequence[Any], limit: int) -> Iterable[tuple[int, float]]:
        if not queries:
            return []
        wanted = tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])
        searcher = self._searcher
        with self._errors():
            hits = searcher.search(wanted, limit=limit, count=False).hits
            ids = searcher.fast_field_values("id", [address for _, address in hits])
        return zip(ids, (score for score, _ in hits), strict=True)

    def _query(self, field: str, clause: Clause) -> Any:
        terms = [
            tantivy.Query.term_query(self._schema, field, term, "freq") for term in clause.terms
        ]
        query = terms[0] if len(terms) == 1 else tantivy.Query.disjunction_max_query(terms, _TIE)
        return query if clause.weight == 1 else tantivy.Query.boost_query(query, clause.weight)


def _schema(fields: Mapping[str, str]) -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("id", stored=False, indexed=True, fast=True)
    for field, option in fields.items():
        builder.add_text_field(field, tokenizer_name=_ANALYZER, index_option=option)
    return builder.build()


def _analyzer() -> Any:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.remove_long(_LONGEST_WORD),
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stopword("english"),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()


def _document_words(document: Document) -> Iterable[Any]:
    name, description, body = map(expand, (document.name, document.description, document.body))
    words = tantivy.Document()
    words.add_unsigned("id", document.id)
    words.add_text(DESCRIPTION, description)
    words.add_text(TEXT, f"{name}\n{description}\n{body}")
    yield words


def _section_words(document: Document) -> Iterable[Any]:
    label = f"{expand(document.name)}\n{expand(document.description)}"
    texts = [f"{label}\n{expand(section)}" for section in sections(document.body)]
    for text in texts or [""]:  # so that a document without a body is not taken for a lost one
        words = tantivy.Document()
        words.add_unsigned("id", document.id)
        words.add_text(SECTION, text)
        yield words
