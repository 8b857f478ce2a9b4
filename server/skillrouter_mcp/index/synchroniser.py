"""Brings the index in step with the folders: read what changed, embed what is new."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from skillrouter_mcp.index.encoding import DocumentEncoder, Encoding
from skillrouter_mcp.index.passages import Layout
from skillrouter_mcp.index.store import Document, Place, SkillStore, place_of, stamp_text
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.skills import (
    Problem,
    Root,
    Skill,
    SkillError,
    SkillFile,
    announce,
    read_skill,
    walk,
)

_READ_BATCH = 1_000
_WORDS_BATCH = 1_000
_WORDS_GROWTH = 3  # of what was read, before its words are committed: few commits, few segments
_FIRST_BATCH, _LARGEST_BATCH = 4, 16  # skills that are embedded at a time
_BATCH_SECONDS = 2.0  # that a batch should take at most: others may write between two

Progress = Callable[[int, int], None]
More = Callable[[], bool]
_Loaded = tuple[SkillFile, Skill]
_Failed = tuple[SkillFile, str]
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


def difference(
    store: SkillStore,
    roots: Sequence[Root],
    sets: Sequence[Sequence[Root]] | None = None,
    give_way: Callable[[], None] = lambda: None,
) -> Difference:
    """Walks the roots, as `walk` does, and compares."""
    found = walk(roots, sets, give_way=give_way)
    give_way()
    remembered = store.stamps(roots)
    give_way()
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
    agree_words: Callable[[More | None], None],
    roots: Sequence[Root],
    progress: Progress | None = None,
    sets: Sequence[Sequence[Root]] | None = None,
    give_way: Callable[[], None] = lambda: None,
) -> Changes:
    """Reads new and changed files, forgets those that are gone. Committed in batches.

    What was read can be found by its words soon: the first thousand files at once, the others each
    time three times as many were read. A thread beside the reading sees to this. The sections of
    bodies follow when all has been read.

    Args:
        agree_words: makes the words agree with the documents, as `agree` does.
        progress: is told how many of how many files were read.
        sets, give_way: as in `walk`.
    """
    found = difference(store, roots, sets, give_way)
    changes = Changes(removed=len(found.gone), files=found.files, linked=found.linked)
    reading = _Reading()
    with ThreadPoolExecutor(1, "words") as beside:
        following = beside.submit(_follow, reading, agree_words)
        try:
            for loaded, failed in _read(found.changed):
                store.save(loaded, failed)
                changes.read += len(loaded)
                changes.failed += len(failed)
                reading.saved(len(loaded) + len(failed))
                if progress is not None:
                    progress(changes.read + changes.failed, len(found.changed))
        finally:
            reading.end()
    following.result()
    if found.gone:
        store.remove(found.gone)
    store.replace_walk_problems(roots, found.problems)
    store.drop_orphans()
    give_way()
    agree_words(None)
    return changes


class _Reading:
    """How many files one thread has read and saved, for another that works on them."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._saved = 0
        self._ended = False

    def saved(self, count: int) -> None:
        """So many more have been."""
        with self._news:
            self._saved += count
            self._news.notify_all()

    def end(self) -> None:
        """No more will be."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def reaches(self, count: int) -> bool:
        """Whether so many have been saved; waits for them until the end."""
        with self._news:
            self._news.wait_for(lambda: self._saved >= count or self._ended)
            return self._saved >= count

    def until(self, count: int) -> More:
        """Tells, each time it is called, whether more have been saved since, and waits for them;
        none once so many are."""
        seen = self._saved

        def more() -> bool:
            nonlocal seen
            if seen >= count or not self.reaches(seen + 1):
                return False
            seen = self._saved
            return True

        return more


def _follow(reading: _Reading, agree_words: Callable[[More | None], None]) -> None:
    """Puts what is being read into the words, and commits it in ever larger parts."""
    done, due = 0, _READ_BATCH
    while reading.reaches(max(done + 1, _READ_BATCH)):
        agree_words(reading.until(due))
        done, due = due, due * _WORDS_GROWTH


def agree(store: SkillStore, words: WordIndex, more: More | None = None) -> None:
    """Makes the word index hold exactly the documents of the database; without their sections while
    there may be more.

    Args:
        more: whether documents have been added meanwhile, which then are put into it too before all
            is committed; asked whenever there is no other left. None if there are none.
    """
    wanted, whole, partial = store.document_ids(), words.ids(), words.partial_ids()
    surplus = sorted((whole | partial) - wanted)
    if surplus:
        words.update([], surplus)
    if more is None:
        missing = sorted(wanted - whole)
        if missing:
            words.update(_documents(store, missing))
    else:
        missing = sorted(wanted - whole - partial)
        if missing:
            words.update_whole_texts(_documents(store, missing, more))


def _documents(store: SkillStore, ids: list[int], more: More = lambda: False) -> Iterator[Document]:
    last = ids[-1]
    while True:
        for batch in _batches(ids, _WORDS_BATCH):
            yield from store.documents(batch)
        if not more():
            return
        ids = sorted(store.document_ids(after=last))
        last = max([last, *ids[-1:]])


def embed_pending(
    store: SkillStore,
    encoding: Encoding,
    encoder: DocumentEncoder,
    layout: Layout,
    progress: Progress | None = None,
    first: Callable[[], Iterable[int]] = tuple,
    give_way: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Embeds the documents that lack vectors, batch by batch, each committed before it is yielded.

    Args:
        layout: which of their texts the encoder reads.
        progress: is told how many of how many documents have been embedded.
        first: gives the ids of documents to take before others, the most wanted first; asked anew
            for each batch. Those that are not pending are passed over.
        give_way: called before each document is cut into passages, to wait for what is more urgent.

    Yields: how many documents are still pending.
    """
    pending = dict.fromkeys(encoding.pending())
    total = len(pending)
    size = _FIRST_BATCH
    while pending:
        began = time.monotonic()
        wanted = (document_id for document_id in first() if document_id in pending)
        batch = list(itertools.islice(_distinct(itertools.chain(wanted, pending)), size))
        texts = {}
        for document in store.documents(batch):
            give_way()
            texts[document.id] = layout.passages(document)
        encoding.embed(texts, encoder)
        for document_id in batch:
            del pending[document_id]
        if progress is not None:
            progress(total - len(pending), total)
        fitting = int(size * _BATCH_SECONDS / max(time.monotonic() - began, 1e-3))
        size = max(1, min(fitting, 2 * size, _LARGEST_BATCH))
        yield len(pending)


def _distinct(items: Iterable[_T]) -> Iterator[_T]:
    seen: set[_T] = set()
    for item in items:
        if item not in seen:
            seen.add(item)
            yield item


def _read(files: Sequence[SkillFile]) -> Iterator[tuple[list[_Loaded], list[_Failed]]]:
    """Reads files batch by batch; the disk fetches the next one meanwhile."""
    batches = list(_batches(files, _READ_BATCH))
    for batch, following in itertools.zip_longest(batches, batches[1:], fillvalue=()):
        for file in following:
            announce(file.real)
        loaded: list[_Loaded] = []
        failed: list[_Failed] = []
        for file in batch:
            try:
                loaded.append((file, read_skill(Path(file.path), real=file.real)))
            except SkillError as error:
                failed.append((file, error.reason))
        yield loaded, failed


def _batches(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
