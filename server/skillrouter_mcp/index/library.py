"""The index of one home folder: SQLite as the truth, the words and the mirror derived from it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from skillrouter_mcp.index import synchroniser
from skillrouter_mcp.index.attendance import Attendance, Roots
from skillrouter_mcp.index.borrowing import Borrowing
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import DocumentEncoder, Encoding, Fingerprint
from skillrouter_mcp.index.errors import (
    DamagedDatabaseError,
    DamagedWordsError,
    DatabaseError,
    UnwritableDatabaseError,
)
from skillrouter_mcp.index.kept_words import KeptWords
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.index.opening import open_as_it_is, open_to_write, set_aside
from skillrouter_mcp.index.snapshot import Snapshot
from skillrouter_mcp.index.store import Document, Location, SkillStore
from skillrouter_mcp.index.synchroniser import Changes, More, Progress
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.skills import Problem, Root

_LOG = logging.getLogger(__name__)
DATABASE_FILE = "index.db"
_LOCK_FILE = "writer.lock"
_MEND_SECONDS = 5.0


class Library:
    """Reads and writes the index of one home, for one way of encoding.

    What asks for skills may name the roots in which it looks for them; each sees only its own.

    Attributes:
        unwritable: why the index can be read and no more, empty if it can be written.
        held: gives the SHA-256 of the texts that are kept from the encoder.
    """

    def __init__(
        self,
        home: Path,
        roots: Sequence[Root],
        fingerprint: Fingerprint,
        attendance: Attendance | None = None,
    ) -> None:
        """Opens the index, makes it where there is none, sets it aside where it is damaged. One
        that cannot be written is used as it is.

        Args:
            roots: where those look that name no others.
            attendance: whose roots are kept in step, by default that of these.

        Raises:
            DatabaseError: the index can be neither opened nor made; says why.
        """
        self.home = home
        self.roots = tuple(roots)
        self.unwritable = ""
        self.held: Callable[[], Collection[bytes]] = frozenset
        self._borrowing = Borrowing()
        self.attendance = attendance or Attendance(self.roots)
        self._wanted: Counter[int] = Counter()
        self._fingerprint = fingerprint
        self._lock = FileLock(home / _LOCK_FILE)
        self._make_home()
        self._open()

    def _make_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(
                f"{self.home} cannot be made: {error.strerror}; set SKILLROUTER_HOME to a folder "
                "that can be written"
            ) from None

    def _open(self) -> None:
        if not self._open_or_damage():
            return
        self._acquire(-1)
        try:
            damage = self._open_or_damage()  # unless another process has seen to it meanwhile
            if not damage:
                return
            set_aside(self.home / DATABASE_FILE, damage)
            self._connect()
            self._derive()
        finally:
            self._lock.release()

    def _acquire(self, timeout: float) -> None:
        try:
            self._lock.acquire(timeout=timeout)
        except Timeout:
            raise
        except OSError as error:
            raise UnwritableDatabaseError(
                f"{self.home} cannot be written: {error.strerror}; make it writable, or set "
                "SKILLROUTER_HOME to a folder that is"
            ) from None

    def _open_or_damage(self) -> str:
        """What is damaged, if that is why the database cannot be opened; else empty."""
        try:
            self._connect()
        except DamagedDatabaseError as error:
            return str(error)
        try:
            self._derive()
        except Exception:  # a damaged page may show as any error
            try:
                damage = self.damage()
            finally:
                self.close()
            if not damage:
                raise
            return damage
        return ""

    def _connect(self) -> None:
        path = self.home / DATABASE_FILE
        try:
            self._database = open_to_write(path)
            self.unwritable = ""
        except UnwritableDatabaseError as error:
            self._database = open_as_it_is(path, error)
            if str(error) != self.unwritable:
                _LOG.warning("%s; until then skills are found as they were last read", error)
            self.unwritable = str(error)
        try:
            # Requests read over a connection of their own, so that they never wait for a batch.
            self._reader = Database(path, "read")
        except DatabaseError:
            self._database.close()
            raise
        self.store = SkillStore(self._database)
        self._requests = SkillStore(self._reader)

    def _derive(self) -> None:
        self._words = KeptWords(
            self.home, self._database, self._borrowing, unwritable=bool(self.unwritable)
        )
        self._seen: tuple[object, object] | None = None
        self.refresh()

    @property
    def words(self) -> WordIndex:
        """The words as they are now."""
        return self._words.index

    def mend_words(self, damaged: WordIndex) -> None:
        """Sees to it that these words, over which a request has failed, are no longer in use.

        Raises:
            DamagedWordsError: they cannot be made anew, or another process is writing.
        """
        self._words.give_up(damaged)
        with self.writing(_MEND_SECONDS) as mine:
            if mine:
                self._words.agree()
        self._words.follow()
        if self.words is damaged:
            raise DamagedWordsError(
                f"the word index in {damaged.folder} is damaged, and another process is writing: "
                "try again in a moment"
            )

    @contextmanager
    def writing(self, timeout: float = 0) -> Iterator[bool]:
        """Yields whether this process may bring the index in step; one does at a time.

        Where the database was deleted, made anew by another process, or could only be read, it is
        opened again first.

        Args:
            timeout: seconds to wait for another process to end its turn, -1 for any time.

        Raises:
            UnwritableDatabaseError: it cannot be written.
            DatabaseError: it can be neither opened again nor made.
        """
        self._make_home()
        try:
            self._acquire(timeout)
        except Timeout:
            if self._database.detached() and self._database.path.exists():
                self._take_over()
            yield False
            return
        try:
            if self.unwritable:
                open_to_write(self.home / DATABASE_FILE).close()
            if self.unwritable or self._database.detached():
                with self._replacing():
                    self._open()
            yield True
        finally:
            self._lock.release()

    @contextmanager
    def _replacing(self) -> Iterator[None]:
        """Closes what was open once there is another, so that requests can go on."""
        before = self._database, self._reader
        try:
            yield
        finally:
            for database in before:
                if database not in (self._database, self._reader):
                    database.close()

    def _take_over(self) -> None:
        """Opens the database that another process has made, and mends nothing, as that one may be
        at it."""
        with self._replacing():
            damage = self._open_or_damage()
        if damage:
            raise DamagedDatabaseError(damage)

    def scan(
        self, progress: Progress | None = None, give_way: Callable[[], None] = lambda: None
    ) -> Changes:
        """Reads what changed in the folders; what was read can be found while the rest is still
        being read. Only within `writing`. Takes what `synchroniser.scan` does."""

        def agree_words(more: More | None) -> None:
            self._words.agree(more)
            self.refresh()

        roots, now = self.attendance.roots(), int(time.time())
        self.store.forget_unused(roots, now)
        sets = self.attendance.sets()
        changes = synchroniser.scan(self.store, agree_words, roots, progress, sets, give_way)
        encoding = Encoding.find(self._database, self._fingerprint)
        if encoding is not None:
            encoding.forget_idle(now)
            encoding.release(self.held)
        self.refresh()
        return changes

    def pending(self, fingerprint: Fingerprint | None = None) -> int:
        """How many documents, of whatever root, have no vectors of this way of encoding yet, by
        default the library's own."""
        encoding = Encoding.find(self._database, fingerprint or self._fingerprint)
        return self.store.count() if encoding is None else encoding.count_pending()

    def is_embedded(self) -> bool:
        """Whether all documents have vectors, and whoever looks for skills sees them."""
        return not (self.pending() or any(view.pending for view in list(self._views.values())))

    def embed(
        self,
        encoder: DocumentEncoder,
        progress: Progress | None = None,
        give_way: Callable[[], None] = lambda: None,
    ) -> Iterator[int]:
        """Embeds what has no vectors, batch by batch; yields how many are left. Only within
        `writing`. Takes what `synchroniser.embed_pending` does."""
        encoding = Encoding.create(self._database, self._fingerprint)
        layout = self._fingerprint.layout
        yield from synchroniser.embed_pending(
            self.store, encoding, encoder, layout, progress, self._most_wanted, give_way
        )
        self._wanted.clear()

    def want(self, document_ids: Iterable[int]) -> None:
        """Has these documents embedded before others, those first that are wanted most often."""
        self._wanted.update(document_ids)

    def _most_wanted(self) -> list[int]:
        wanted = list(self._wanted.items())
        return [document_id for document_id, _ in sorted(wanted, key=lambda item: -item[1])]

    def forget(self) -> None:
        """Empties the index, vectors included. Only within `writing`."""
        if self.damage():
            self.start_over()
            return
        Encoding.drop_all(self._database)
        self.store.clear()
        self._words.renew()
        self.refresh()

    def start_over(self) -> None:
        """Opens the database once more; if it is still damaged, sets it aside and makes it anew.
        Only within `writing`."""
        self.close()
        self._open()
        damage = self.damage()
        if damage:
            self.close()
            set_aside(self.home / DATABASE_FILE, damage)
            self._open()

    def refresh(self) -> Snapshot:
        """Sees what has been committed since the last time, by whatever process."""
        version = self._database.version(), self.words.version()
        if version != self._seen:
            self._words.follow(changed=self._seen is not None)
            version = version[0], self.words.version()
            if self._seen is None or version[1] != self._seen[1]:
                self.words.reload()
            self._views = self._read()
            self._seen = version
        return self.snapshot

    @property
    def snapshot(self) -> Snapshot:
        """What those see who name no roots."""
        return self._views[self.roots]

    def view(self, roots: Roots | None) -> Snapshot:
        """What those see who look for skills in these roots: of the moment of the last refresh, or
        newer."""
        views = self._views  # which a refresh replaces, and with it what is added here
        view = views.get(self.roots if roots is None else roots)
        if view is None:
            assert roots is not None
            visible = np.array(self._requests.visible(roots), np.int64)
            view = Snapshot.of(visible, views[self.roots].mirror)
            if roots in self.attendance.sets():
                views[roots] = view
        return view

    def _read(self) -> dict[Roots, Snapshot]:
        """What each of those sees who look for skills."""
        with self._database.reading():
            encoding = Encoding.find(self._database, self._fingerprint)
            mirror = (
                Mirror.empty(self._fingerprint.dimensions)
                if encoding is None
                else Mirror.read(encoding, self.snapshot.mirror if self._seen else None)
            )
            visible = {
                roots: np.array(self.store.visible(roots), np.int64)
                for roots in {self.roots, *self.attendance.sets()}
            }
        return {roots: Snapshot.of(ids, mirror) for roots, ids in visible.items()}

    def damage(self) -> str:
        """What SQLite's own check finds wrong with the file, empty if nothing."""
        try:
            found = self._database.value("PRAGMA quick_check(1)")
        except DamagedDatabaseError as error:
            return str(error)
        return "" if found == "ok" else str(found).strip()

    def check_writable(self) -> None:
        """
        Raises:
            DatabaseError: another program keeps the database from being written.
        """
        if not self.unwritable:
            with self._database.transaction():
                pass

    def out_of_step(self) -> int:
        """How many files under the roots are new, changed or gone since they were last read."""
        return synchroniser.difference(self.store, self.roots).count

    def locate(
        self, document_ids: Sequence[int], roots: Roots | None = None
    ) -> dict[int, Location]:
        """Where to read each of these documents, those that are gone left out."""
        return self._requests.locate(document_ids, self.roots if roots is None else roots)

    def documents(self, document_ids: Sequence[int]) -> dict[int, Document]:
        """The texts of these documents, those that are gone left out."""
        return {document.id: document for document in self._requests.documents(document_ids)}

    def locate_texts(self, digests: Sequence[bytes]) -> list[Location]:
        """Where the skills lie of which these texts were embedded.

        Args:
            digests: SHA-256 of the texts.
        """
        encoding = Encoding.find(self._database, self._fingerprint)
        documents = [] if encoding is None else encoding.documents_of(digests)
        return sorted(self.locate(documents).values(), key=lambda place: place.path)

    def locations(self, roots: Roots | None = None) -> list[Location]:
        """Every skill that may be found, its copies included, sorted by path."""
        return self._requests.locations(self.roots if roots is None else roots)

    def problems(self, roots: Roots | None = None) -> list[Problem]:
        """What could not be loaded from the folders, and why."""
        return self._requests.problems(self.roots if roots is None else roots)

    def warnings(self, roots: Roots | None = None) -> list[Problem]:
        """What was loaded with reservations, or is hidden by a project's skill of its name."""
        roots = self.roots if roots is None else roots
        return [*self._requests.warned(roots), *self._requests.shadowed(roots)]

    def close(self) -> None:
        self._reader.close()
        self._database.close()
        self._borrowing.give_back()
