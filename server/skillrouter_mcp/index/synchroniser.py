"""Brings the index in step with the folders: read what changed, embed what is new."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from skillrouter_mcp.index.encoding import DocumentEncoder, Encoding
from skillrouter_mcp.index.passages import passages
from skillrouter_mcp.index.store import Place, SkillStore, place_of, stamp_text
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.skills import Problem, Root, Skill, SkillError, SkillFile, read_skill, walk

_READ_BATCH = 1_000
_WORDS_BATCH = 1_000
_WORDS_GROWTH = 3  # of what was read, before it is put into the words: few commits, few segments
_EMBED_BATCH = 16

Progress = Callable[[int, int], None]
_T = TypeVar("_T")


@dataclass(slots=True)
class Changes:
    """What a scan found different from what was remembered, in files; and the links followed."""

    read: int = 0
    failed: int = 0
    removed: int = 0
    files: int = 0
    linked: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.read or self.failed or self.removed)

    def counts(self) -> dict[str, int]:
        """The numbers in it, by name."""
        return {name: getattr(self, name) for name in ("read", "failed", "removed", "files")}


@dataclass(frozen=True, slots=True)
class Difference:
    """How the folders differ from what is remembered of them.

    Attributes:
        files: how many skill files the folders hold.
        changed: those that are new or differ.
        gone: paths that are remembered and no longer there, each with its root.
        problems: what could not be walked.
        linked: links that were followed.
    """

    files: int
    changed: tuple[SkillFile, ...]
    gone: tuple[Place, ...]
    problems: tuple[Problem, ...]
    linked: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.changed) + len(self.gone)


def difference(store: SkillStore, roots: Sequence[Root]) -> Difference:
    """Walks the roots and compares."""
    found = walk(roots)
    remembered = store.stamps(roots)
    places = {place_of(file) for file in found.files}
    return Difference(
        len(found.files),
        tuple(f for f in found.files if remembered.get(place_of(f)) != stamp_text(f.stamp)),
        tuple(place for place in remembered if place not in places),
        found.problems,
        found.linked,
    )


def scan(
    store: SkillStore,
    agree_words: Callable[[], None],
    roots: Sequence[Root],
    progress: Progress | None = None,
) -> Changes:
    """Reads new and changed files, forgets those that are gone. Committed in batches.

    What was read can be found by its words soon: the first thousand files at once, the others each
    time three times as many were read. This is seen to in a thread beside the reading.

    Args:
        agree_words: makes the words agree with the documents, as `agree` does.
        progress: is told how many of how many files were read.
    """
    found = difference(store, roots)
    changes = Changes(removed=len(found.gone), files=found.files, linked=found.linked)
    due = _READ_BATCH
    with ThreadPoolExecutor(1, "words") as beside:
        agreeing: list[Future[None]] = []
        for batch in _batches(found.changed, _READ_BATCH):
            loaded, failed = _read(batch)
            store.save(loaded, failed)
            changes.read += len(loaded)
            changes.failed += len(failed)
            if changes.read + changes.failed >= due:
                wait(agreeing)
                agreeing.append(beside.submit(agree_words))
                due *= _WORDS_GROWTH
            if progress is not None:
                progress(changes.read + changes.failed, len(found.changed))
    for words_agree in agreeing:
        words_agree.result()
    if found.gone:
        store.remove(found.gone)
    store.replace_walk_problems(roots, found.problems)
    store.drop_orphans()
    agree_words()
    return changes


def agree(store: SkillStore, words: WordIndex) -> None:
    """Makes the word index hold exactly the documents of the database."""
    wanted, present = store.document_ids(), words.ids()
    missing, surplus = sorted(wanted - present), sorted((present | words.partial_ids()) - wanted)
    if surplus:
        words.update([], surplus)
    if missing:
        words.update(
            document
            for batch in _batches(missing, _WORDS_BATCH)
            for document in store.documents(batch)
        )


def embed_pending(
    store: SkillStore,
    encoding: Encoding,
    encoder: DocumentEncoder,
    languages: Sequence[str],
    progress: Progress | None = None,
    first: Callable[[], Iterable[int]] = tuple,
) -> Iterator[int]:
    """Embeds the documents that lack vectors, batch by batch, each committed before it is yielded.

    Args:
        languages: what the encoder reads.
        progress: is told how many of how many documents have been embedded.
        first: gives the ids of documents to take before others, the most wanted first; asked anew
            for each batch. Those that are not pending are passed over.

    Yields: how many documents are still pending.
    """
    pending = dict.fromkeys(encoding.pending())
    total = len(pending)
    while pending:
        wanted = (document_id for document_id in first() if document_id in pending)
        batch = list(itertools.islice(_distinct(itertools.chain(wanted, pending)), _EMBED_BATCH))
        texts = {document.id: passages(document, languages) for document in store.documents(batch)}
        encoding.embed(texts, encoder)
        for document_id in batch:
            del pending[document_id]
        if progress is not None:
            progress(total - len(pending), total)
        yield len(pending)


def _distinct(items: Iterable[_T]) -> Iterator[_T]:
    seen: set[_T] = set()
    for item in items:
        if item not in seen:
            seen.add(item)
            yield item


def _read(
    files: Sequence[SkillFile],
) -> tuple[list[tuple[SkillFile, Skill]], list[tuple[SkillFile, str]]]:
    loaded: list[tuple[SkillFile, Skill]] = []
    failed: list[tuple[SkillFile, str]] = []
    for file in files:
        try:
            loaded.append((file, read_skill(Path(file.path), real=file.real)))
        except SkillError as error:
            failed.append((file, error.reason))
    return loaded, failed


def _batches(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
