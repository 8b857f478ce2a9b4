"""One Tantivy index, and the one door to Tantivy."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import compress, islice
from pathlib import Path
from typing import Any

import tantivy

from skillrouter_mcp.index.clauses import Clause, Neighbours
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.segments import damaged_files
from skillrouter_mcp.index.selection import Selection
from skillrouter_mcp.skills import printable

_ANALYZER = "skill"
_LONGEST_WORD = 40
_WRITER_BYTES = 64_000_000
_MAX_REASON = 200
_TIE = 0.1
_MOST_FREQUENCIES = 20_000  # are remembered
_RARE = 16  # where fewer than one in so many documents count, the search looks at no other
_MARGIN, _DEEPER = 1.25, 4  # times as many are looked for as should do, and if they don't, as had
_SLOP = 3  # more words between two neighbours in a text than in the request


class WordShelf:
    """One Tantivy index whose entries carry a document's id.

    Raises:
        DamagedWordsError: by every method that reads or writes it, where that fails.
    """

    def __init__(self, folder: Path, fields: Mapping[str, str], analyzer: Any) -> None:
        """Opens the index in this folder, or makes it.

        Args:
            fields: what Tantivy keeps of each: "freq" (how often a term stands in it), or
                "position" (and where).
        """
        self._schema = _schema(fields)
        self._analyzer = analyzer
        self._folder = folder
        self._ids: frozenset[int] = frozenset()
        self._listed: tuple[int, ...] | None = None
        self._checked = False
        self._reloading = threading.Lock()
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
        """Sees what was committed last, by whatever process."""
        with self._reloading, self._errors():  # or a slow one would bring back what is old
            self._index.reload()
            self._see()

    def count(self) -> int:
        """How many entries there are."""
        return int(self._searcher.num_docs)

    def frequency(self, field: str, term: str) -> int:
        """In how many entries a field holds a term."""
        known = self._frequencies  # before the searcher: of what is newer, nothing old is kept
        frequency = known.get((field, term))
        if frequency is None:
            with self._errors():
                frequency = int(self._searcher.doc_freq(field, term))
            if len(known) < _MOST_FREQUENCIES:
                known[field, term] = frequency
        return frequency

    def ids(self) -> frozenset[int]:
        """The ids of the documents that have entries, as last committed."""
        with self._errors():
            listed = self._commit()
            if listed != self._listed:
                self.reload()
                self._ids = self._read_ids()
                self._listed = listed
            return self._ids

    def version(self) -> tuple[int, ...] | None:
        """Tells commits apart; None where there is no index any more."""
        try:
            return self._commit()
        except OSError:
            return None

    def _commit(self) -> tuple[int, ...]:
        meta = (self._folder / "meta.json").stat()  # a new file with each commit
        return meta.st_ino, meta.st_mtime_ns, meta.st_size

    def _read_ids(self) -> frozenset[int]:
        if not self.count():
            return frozenset()
        everything = tantivy.Query.all_query()
        hits = self._searcher.search(everything, limit=self.count(), count=False).hits
        return frozenset(self._searcher.fast_field_values("id", [address for _, address in hits]))

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Commits in the end what was put and removed within."""
        self._check()
        held = self.ids()
        with self._errors():
            writer = self._index.writer(_WRITER_BYTES, 1)
            changes = Writing(writer, self._schema, held)
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
        """The ids and BM25 scores of the entries that hold most of what is asked for, best first,
        at most `limit`; a document may have several."""
        return self._best([self._query(field, clause) for clause in clauses], limit, only)

    def search_together(
        self, field: str, pairs: Sequence[Neighbours], limit: int, only: Selection | None
    ) -> Iterable[tuple[int, float]]:
        """As `search`, for terms that stand together."""
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


class Writing:
    """What is being changed in a shelf."""

    def __init__(self, writer: Any, schema: Any, held: Collection[int]) -> None:
        self._writer = writer
        self._schema = schema
        self._held = held
        self.removed: set[int] = set()
        self.added: set[int] = set()

    def lacks(self, document_id: int) -> bool:
        """Whether the document has no entries, or none that stay."""
        return document_id not in self._held or document_id in self.removed

    def remove(self, document_id: int) -> None:
        """Removes the document's entries, if it has any."""
        if document_id in self._held:
            query = tantivy.Query.term_query(self._schema, "id", document_id)
            self._writer.delete_documents_by_query(query)
        self.removed.add(document_id)

    def put(self, document_id: int, entries: Iterable[Any]) -> None:
        """Replaces the document's entries."""
        self.remove(document_id)
        for each in entries:
            self._writer.add_document(each)
        self.added.add(document_id)


def _schema(fields: Mapping[str, str]) -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("id", stored=False, indexed=True, fast=True)
    for field, option in fields.items():
        builder.add_text_field(field, tokenizer_name=_ANALYZER, index_option=option)
    return builder.build()


def splitter() -> Any:
    """What cuts a text into words and leaves them as they are."""
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).build()


def analyzer() -> Any:
    """What makes terms of a text."""
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


def entry(document_id: int, texts: Mapping[str, str]) -> Any:
    """An entry of a shelf.

    Args:
        texts: by field.
    """
    made = tantivy.Document()
    made.add_unsigned("id", document_id)
    for field, text in texts.items():
        made.add_text(field, text)
    return made
