"""The word index, and the one door to Tantivy. Derived from the documents; if in doubt, anew."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

from skillrouter_mcp.index.analysis import Expanded, expand, joined
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.sections import sections
from skillrouter_mcp.index.segments import damaged_files
from skillrouter_mcp.index.selection import Selection
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
_MOST_FREQUENCIES = 20_000  # are remembered
_RARE = 16  # where fewer than one in so many documents count, the search looks at no other
_MARGIN, _DEEPER = 1.25, 4  # times as many are looked for as should do, and if they don't, as had
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
        self._analyzer = _analyzer()
        self._splitter = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).build()
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
                texts = _Texts.of(document)
                if in_sections.lacks(document.id):
                    in_sections.put(document.id, texts.parts())
                if in_documents.lacks(document.id):
                    in_documents.put(document.id, [texts.whole()])
        self._compare()

    def update_whole_texts(self, added: Iterable[Document]) -> None:
        """As `update`, but for the sections, which take as long as all else."""
        with self._documents.writing() as in_documents:
            for document in added:
                in_documents.put(document.id, [_Texts.of(document).whole()])
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
            self._see()

    def _see(self) -> None:
        self._searcher = self._index.searcher()
        self._frequencies: dict[tuple[str, str], int] = {}

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
            self._see()

    def count(self) -> int:
        return int(self._searcher.num_docs)

    def frequency(self, field: str, term: str) -> int:
        known = self._frequencies  # before the searcher: of what is newer, nothing old is kept
        frequency = known.get((field, term))
        if frequency is None:
            with self._errors():
                frequency = int(self._searcher.doc_freq(field, term))
            if len(known) < _MOST_FREQUENCIES:
                known[field, term] = frequency
        return frequency

    def ids(self) -> frozenset[int]:
        with self._errors():
            listed = self._commit()
            if listed != self._listed:
                self.reload()
                self._ids = self._read_ids()
                self._listed = listed
            return self._ids

    def version(self) -> tuple[int, int] | None:
        """Tells commits apart; None where there is no index any more."""
        try:
            return self._commit()
        except OSError:
            return None

    def _commit(self) -> tuple[int, int]:
        meta = (self._folder / "meta.json").stat()  # a new file with each commit
        return meta.st_ino, meta.st_mtime_ns

    def _read_ids(self) -> frozenset[int]:
        if not self.count():
            return frozenset()
        everything = tantivy.Query.all_query()
        hits = self._searcher.search(everything, limit=self.count(), count=False).hits
        return frozenset(self._searcher.fast_field_values("id", [address for _, address in hits]))

    @contextmanager
    def writing(self) -> Iterator[_Writing]:
        """Commits in the end what was put and removed within."""
        self._check()
        held = self.ids()
        with self._errors():
            writer = self._index.writer(_WRITER_BYTES, 1)
            changes = _Writing(writer, self._schema, held)
            try:
                yield changes
                writer.commit()
            except BaseException:
                writer.rollback()
                raise
            writer.wait_merging_threads()
            self.reload()
            self._ids = held.difference(changes.removed).union(changes.added)
            self._listed = self._commit()

    def search(
        self, field: str, clauses: Sequence[Clause], limit: int, only: Selection | None
    ) -> Iterable[tuple[int, float]]:
        return self._best([self._query(field, clause) for clause in clauses], limit, only)

    def search_together(
        self, field: str, pairs: Sequence[Neighbours], limit: int, only: Selection | None
    ) -> Iterable[tuple[int, float]]:
        phrases = [
            tantivy.Query.phrase_query(
                self._schema, field, [(0, pair.first), (pair.distance, pair.second)], _SLOP
            )
            for pair in pairs
        ]
        return self._best(phrases, limit, only)

    def _best(
        self, queries: Sequence[Any], limit: int, only: Selection | None
    ) -> Iterable[tuple[int, float]]:
        if not queries:
            return []
        wanted = tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in queries])
        if only is None:
            return zip(*self._hits(wanted, limit), strict=True)
        if only.one_in > _RARE:
            among = tantivy.Query.term_set_query(self._schema, "id", only.ids.tolist())
            among = tantivy.Query.const_score_query(among, 0.0)
            wanted = tantivy.Query.boolean_query(
                [(tantivy.Occur.Must, wanted), (tantivy.Occur.Must, among)]
            )
            return zip(*self._hits(wanted, limit), strict=True)
        depth = math.ceil(limit * only.one_in * (_MARGIN if only.one_in > 1 else 1))
        while True:
            ids, scores = self._hits(wanted, depth)
            held = only.holds(ids)
            if len(ids) < depth or held.sum() >= limit:
                found = zip(compress(ids, held), compress(scores, held), strict=True)
                return islice(found, limit)
            depth *= _DEEPER

    def _hits(self, query: Any, limit: int) -> tuple[list[int], list[float]]:
        """The ids and scores of the best entries."""
        searcher = self._searcher
        with self._errors():
            hits = searcher.search(query, limit=limit, count=False).hits
            ids = searcher.fast_field_values("id", [address for _, address in hits])
        return ids, [score for score, _ in hits]

    def _query(self, field: str, clause: Clause) -> Any:
        terms = [
            tantivy.Query.term_query(self._schema, field, term, "freq") for term in clause.terms
        ]
        query = terms[0] if len(terms) == 1 else tantivy.Query.disjunction_max_query(terms, _TIE)
        return query if clause.weight == 1 else tantivy.Query.boost_query(query, clause.weight)


class _Writing:
    """What is being changed in a shelf."""

    def __init__(self, writer: Any, schema: Any, held: Collection[int]) -> None:
        self._writer = writer
        self._schema = schema
        self._held = held
        self.removed: set[int] = set()
        self.added: set[int] = set()

    def lacks(self, document_id: int) -> bool:
        return document_id not in self._held or document_id in self.removed

    def remove(self, document_id: int) -> None:
        if document_id in self._held:
            query = tantivy.Query.term_query(self._schema, "id", document_id)
            self._writer.delete_documents_by_query(query)
        self.removed.add(document_id)

    def put(self, document_id: int, entries: Iterable[Any]) -> None:
        self.remove(document_id)
        for entry in entries:
            self._writer.add_document(entry)
        self.added.add(document_id)


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


@dataclass(frozen=True, slots=True)
class _Texts:
    """What stands for a document in each of the two indexes."""

    document_id: int
    name: str
    description: str
    body: Sequence[Expanded]

    @classmethod
    def of(cls, document: Document) -> _Texts:
        body = [Expanded.of(section) for section in sections(document.body)]
        return cls(document.id, expand(document.name), expand(document.description), body)

    def whole(self) -> Any:
        entry = _entry(self.document_id)
        entry.add_text(DESCRIPTION, self.description)
        entry.add_text(TEXT, f"{self.name}\n{self.description}\n{joined(self.body)}")
        return entry

    def parts(self) -> list[Any]:
        label = f"{self.name}\n{self.description}"
        texts = [f"{label}\n{joined([section])}" for section in self.body]
        entries = []
        for text in texts or [""]:  # so that a document without a body is not taken for a lost one
            entry = _entry(self.document_id)
            entry.add_text(SECTION, text)
            entries.append(entry)
        return entries


def _entry(document_id: int) -> Any:
    entry = tantivy.Document()
    entry.add_unsigned("id", document_id)
    return entry
