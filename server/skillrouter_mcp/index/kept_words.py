"""The words of a database, under a name that both share; made anew where they are damaged."""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from skillrouter_mcp.index import schema, synchroniser
from skillrouter_mcp.index.borrowing import Borrowing
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.glossary import glossary_digest
from skillrouter_mcp.index.store import SkillStore
from skillrouter_mcp.index.synchroniser import More
from skillrouter_mcp.index.words import WORDS_LAYOUT, WordIndex

_LOG = logging.getLogger(__name__)
_KEEP_UNUSED_SECONDS = 7 * 24 * 3600


class KeptWords:
    """Keeps the word index of an open database.

    Attributes:
        index: the words as they are now; replaced where they are made anew.
    """

    def __init__(
        self, home: Path, database: Database, borrowing: Borrowing, *, unwritable: bool
    ) -> None:
        self._home = home
        self._database = database
        self._store = SkillStore(database)
        self._unwritable = unwritable
        self._borrowing = borrowing
        self._damaged: WordIndex | None = None
        self.index = self._open(self._folder(schema.identity(database)))

    def _folder(self, identity: str) -> Path:
        return self._home / f"words-{identity}-{WORDS_LAYOUT}-{glossary_digest()[:8]}"

    def _open(self, folder: Path) -> WordIndex:
        if not self._unwritable or os.access(self._home, os.W_OK):
            self._borrowing.give_back()
            return WordIndex(folder)
        return self._borrowing.words(folder, self._store)

    def follow(self, *, changed: bool = True) -> None:
        """Opens the word index that the database names, if that has become another.

        Args:
            changed: the database has since the words were opened.
        """
        folder = self._folder(schema.identity(self._database))
        if folder.name != self.index.folder.name or (self._borrowing and changed):
            self.index = self._open(folder)

    def give_up(self, damaged: WordIndex) -> None:
        """These words are to be made anew, whatever they look like."""
        self._damaged = damaged

    def agree(self, more: More | None = None) -> None:
        """Makes the words agree with the documents, anew where they are damaged; takes what
        `synchroniser.agree` does."""
        self.follow()
        if self.index is not self._damaged:
            try:
                synchroniser.agree(self._store, self.index, more)
                self._remove_others()
                return
            except DamagedWordsError as error:
                _LOG.warning("%s; this is being done", error)
        self.renew()

    def renew(self) -> None:
        """Makes the words anew, under a name of their own: others may have the old ones open."""
        identity = schema.new_identity()
        folder = self._folder(identity)
        try:
            words = WordIndex(folder)
            synchroniser.agree(self._store, words)
            schema.set_identity(self._database, identity)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.index = words
        self._remove_others()

    def _remove_others(self) -> None:
        """Removes what was derived from another database, or by a version of this program that has
        not been used for long."""
        now = time.time()
        with suppress(OSError):
            os.utime(self.index.folder, (now, now))
        for folder in self._home.glob("words-*"):
            with suppress(OSError):
                unused = folder.stat().st_mtime < now - _KEEP_UNUSED_SECONDS
                if unused or _identity(folder) != _identity(self.index.folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _identity(folder: Path) -> str:
    return folder.name.split("-")[1]
