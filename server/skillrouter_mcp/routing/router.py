"""The router: a library kept in step, an encoder, and the way from a request to its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from skillrouter_gguf import Model
from skillrouter_mcp.index.account import Account, account_of
from skillrouter_mcp.index.attendance import Roots
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import DamagedWordsError, NotKeptError
from skillrouter_mcp.index.keeper import Keeper
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.mirror import Integers
from skillrouter_mcp.index.quarantine import GuardedEncoder
from skillrouter_mcp.index.right_of_way import RightOfWay
from skillrouter_mcp.index.store import Location
from skillrouter_mcp.index.synchroniser import Changes
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.routing.engines import Engines
from skillrouter_mcp.routing.fusion import Weights, weights_of
from skillrouter_mcp.routing.guarded_reranker import GuardedReranker
from skillrouter_mcp.routing.models import (
    digests_of,
    encoder_of,
    profile_of,
)
from skillrouter_mcp.routing.ranking import Ranker
from skillrouter_mcp.routing.recent_answers import RecentAnswers
from skillrouter_mcp.routing.rerank import SecondStage
from skillrouter_mcp.routing.shelf import Shelf
from skillrouter_mcp.settings import Settings, load_settings

_FIRST_SCAN_SECONDS = 0.3
_EMPTY_SCAN_SECONDS = 10.0
_MOST_WANTED = 50  # candidates of a request that are embedded before other skills
_LEAST_SCORE = 0.02  # of what is worth an agent's reading beside the best


class IndexProgress(Protocol):
    """Is told how far the index is."""

    def reading(self, done: int, total: int) -> None:
        """`done` of `total` changed files were read."""

    def embedding(self, done: int, total: int) -> None:
        """`done` of `total` skills were embedded."""


class Router:
    """Finds skills. Open one with `Router.open`, use it from any thread, close it in the end.

    Attributes:
        digests: of its models' files, see `digests_of`.
    """

    def __init__(
        self,
        library: Library,
        model: Model,
        weights: Weights,
        settings: Settings,
        digests: tuple[str | None, ...],
        right_of_way: RightOfWay,
    ) -> None:
        self.library = library
        self._right_of_way = right_of_way
        self._settings = settings
        self.digests = digests
        self._engines = Engines(settings, model, library.home, right_of_way.give_way)
        library.held = self._engines.quarantine.held
        self._keeper: Keeper | None = None
        self._second_stage = self._make_second_stage()
        self._ranker = Ranker(weights, self._second_stage)
        self._answers = RecentAnswers()
        self._scanned = False
        self._shelving = threading.Lock()
        self._shelves: dict[Roots | None, tuple[Integers, Shelf]] = {}

    @classmethod
    def open(
        cls,
        settings: Settings | None = None,
        *,
        keep: bool = True,
        beside: Router | None = None,
        index: Path | None = None,
    ) -> Router:
        """Opens the index of these settings, or of those in force.

        Args:
            keep: have a thread keep the index in step with the folders. Without it the index is
                used as it is.
            beside: a router whose requests go before what this one does for its index, and whose
                sessions' roots it keeps in step.
            index: the folder of the index, if not the home.

        Raises:
            SettingsError: a setting cannot be used.
            ModelFileError: the file of the profile's encoder is not there.
            DatabaseError: the index cannot be opened.
        """
        settings = settings or load_settings()
        digests = digests_of(settings)  # first: what is pulled meanwhile is then another's
        model = encoder_of(settings)
        weights = weights_of(model, settings.home)
        fingerprint = Fingerprint.of(model)
        home = index or settings.home
        attendance = beside.library.attendance if beside else None
        right_of_way = beside._right_of_way if beside else RightOfWay()
        library = Library(home, settings.search_roots(), fingerprint, attendance)
        router = cls(library, model, weights, settings, digests, right_of_way)
        if keep:
            router._keeper = Keeper(library, router.encoder, right_of_way.give_way)
            router._keeper.start()
        return router

    @property
    def settings(self) -> Settings:
        """Those that it was opened with."""
        return self._settings

    @property
    def profile(self) -> str:
        """The name of its profile."""
        return self._settings.profile

    def encoder(self) -> GuardedEncoder:
        """The encoder, its model loaded at the first call.

        Raises:
            ModelError: the model cannot be used; says why.
        """
        return self._engines.encoder()

    def reranker(self) -> GuardedReranker:
        """The profile's reranker, its model loaded at the first call.

        Raises:
            ModelError: the model cannot be used; says why.
        """
        return self._engines.reranker()

    def _make_second_stage(self) -> SecondStage | None:
        profile = profile_of(self._settings)
        candidates = self._settings.candidates
        if candidates is None:
            candidates = profile.candidates
        if not (profile.reranker and candidates):
            return None
        budget = self._settings.budget_ms / 1_000
        return SecondStage(self.reranker, self.library.documents, candidates, budget)

    def prepare(self) -> None:
        """Loads the models before the first request.

        Raises:
            ModelError: the encoder cannot be used.
        """
        self.encoder()
        if self._second_stage is not None:
            self._second_stage.prepare()

    def is_in_step(self) -> bool:
        """Whether all skills that are known have vectors, which requests see."""
        return self.library.is_embedded()

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        """The skills that fit the request, best first, at most `limit`; none where nothing does.

        A first request waits for the model, and a moment for the first look at the folders
        (longer if the index is empty); skills that have no vectors yet are found by their words.
        While nothing can be found since the skills are still being read, the verdict is "none" of
        0 skills.

        Args:
            roots: where to look; by default in those of the settings.

        Raises:
            ValueError: `limit` is less than 1.
            DatabaseError: the index cannot be read.
            ModelError: the model cannot be used.
            NotKeptError: nothing can be found, and the folders cannot be read into the index.
        """
        answer = self.rank(query, limit, roots)
        if answer.verdict == "none":
            return replace(answer, matches=())
        worth = (match for match in answer.matches[1:] if match.score >= _LEAST_SCORE)
        return replace(answer, matches=(*answer.matches[:1], *worth))

    def rank(self, query: str, limit: int, roots: Roots | None = None) -> Answer:
        """As `find`, with the best candidates even where they do not fit."""
        if limit < 1:
            raise ValueError(f"limit must be 1 or more, not {limit}")
        scanned = self.wait_for_skills(roots)
        words = self.library.words
        try:
            with self._right_of_way:
                return self._rank(query, limit, roots, words, scanned=scanned)
        except DamagedWordsError:
            self.library.mend_words(words)
        with self._right_of_way:
            return self._rank(query, limit, roots, self.library.words, scanned=scanned)

    def _rank(
        self, query: str, limit: int, roots: Roots | None, words: WordIndex, *, scanned: bool
    ) -> Answer:
        snapshot = self.library.view(roots)
        skills = len(snapshot.visible)
        if not skills:
            return Answer((), "empty" if scanned else "none", 0, 0)
        known = self._answers.get(query, (limit, roots), snapshot.visible)
        if known is not None:
            return known
        ranking = self._ranker.rank(query, snapshot, words, self.encoder(), limit)
        found = [ranked.document_id for ranked in ranking.ranked]
        self.library.want(ranking.unembedded[:_MOST_WANTED])
        places = self.library.locate(found, roots)
        matches = tuple(
            Match(place.name, place.path, ranked.score, ranked.parts)
            for ranked in ranking.ranked
            if (place := places.get(ranked.document_id)) is not None
        )
        answer = Answer(matches, ranking.verdict, skills, snapshot.pending)
        if reading := ranking.reading:
            answer = replace(
                answer,
                candidates=len(reading.log_odds),
                read=reading.read,
                unread_because=reading.trouble,
            )
        unread = ranking.reading is not None and not ranking.reading.read  # for want of time
        if not (answer.pending or answer.unread_because or unread):
            self._answers.put(query, (limit, roots), snapshot.visible, answer)
        return answer

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        """The next `count` skills that may be found after this path, by path, copies included.

        Raises:
            DatabaseError: the index cannot be read.
            NotKeptError: nothing can be found, and the folders cannot be read into the index.
        """
        return self._shelf(roots).after(path, count)

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        """The skill with this place (see `routing.shelf.place_of`) and name that may be found;
        raises as `skills_after` does."""
        return self._shelf(roots).at(place, name)

    def _shelf(self, roots: Roots | None) -> Shelf:
        self.wait_for_skills(roots)
        snapshot = self.library.view(roots)
        with self._shelving:
            known = self._shelves.get(roots)
            if known is None or known[0] is not snapshot.visible:
                shelf = Shelf(self.library.locations(roots))
                known = self._shelves[roots] = snapshot.visible, shelf
            return known[1]

    def account(self, roots: Roots | None = None) -> Account:
        """What stands in the index, and what could not be loaded.

        Raises:
            DatabaseError: the index cannot be read.
        """
        return account_of(self.library, roots)

    def status(self) -> dict[str, str]:
        """What keeps folders from being watched and the index from being kept, in sentences."""
        keeper = self._keeper
        return {
            "unwatched": keeper.unwatched if keeper else "",
            "complaint": keeper.complaint if keeper else "",
        }

    def attend(self, roots: Roots) -> None:
        """Has these roots kept in step too, until `leave` was called as often."""
        new = roots not in self.library.attendance.sets()
        self.library.attendance.begin(roots)
        if new and self._keeper is not None:
            self._keeper.look()

    def leave(self, roots: Roots) -> None:
        """Ends what one `attend` began."""
        self.library.attendance.end(roots)
        if roots not in self.library.attendance.sets():
            with self._shelving:
                self._shelves.pop(roots, None)

    def wait_for_skills(self, roots: Roots | None = None) -> bool:
        """Whether the folders have been looked through; waits longer if nothing is known yet.

        Roots that nobody attends to are attended to from now on.

        Raises:
            NotKeptError: nothing can be found, and the folders cannot be read into the index.
        """
        if self._keeper is None:
            return self._scanned
        if roots is not None and roots not in self.library.attendance.sets():
            self.attend(roots)
        scanned = self._keeper.wait_for_scan(_FIRST_SCAN_SECONDS, roots)
        if len(self.library.view(roots).visible):
            return scanned
        scanned = scanned or self._keeper.wait_for_scan(_EMPTY_SCAN_SECONDS, roots)
        complaint = self._keeper.complaint
        if complaint and not len(self.library.view(roots).visible):
            raise NotKeptError(f"the skills cannot be read into the index: {complaint}")
        return scanned

    def bring_in_step(
        self,
        progress: IndexProgress | None = None,
        *,
        rebuild: bool = False,
        patience: float | None = None,
        roots: Roots | None = None,
    ) -> Changes | None:
        """Reads and embeds what changed in the folders before it returns.

        Args:
            rebuild: forget everything first.
            patience: seconds after which embedding may be left unfinished, None for no limit;
                with a limit, another process that is at it is not waited for, and an index that
                cannot be written is left as it is.
            roots: whose skills are waited for.

        Returns: what was found, or None where another process was at it.

        Raises:
            DatabaseError: the index cannot be written.
            ModelError: the model cannot be used.
            NotKeptError: the thread that keeps the index in step cannot do it.
        """
        reading = progress.reading if progress else None
        embedding = progress.embedding if progress else None
        if self._keeper is not None:
            return self._keeper.bring_in_step(
                reading, embedding, rebuild=rebuild, patience=patience, roots=roots
            )
        if self.library.unwritable and patience is not None:
            return None
        deadline = None if patience is None else time.monotonic() + patience
        with self.library.writing(timeout=-1 if patience is None else 0) as mine:
            if not mine:
                self.library.refresh()
                return None
            if rebuild:
                self.library.forget()
            changes = self.library.scan(reading)
            self._scanned = True
            if self.library.pending():
                for _ in self.library.embed(self.encoder(), embedding):
                    if deadline is not None and time.monotonic() > deadline:
                        break
            self.library.refresh()
            return changes

    def close(self) -> None:
        """Stops the thread and frees the model."""
        if self._keeper is not None:
            self._keeper.stop()
        self._engines.close()
        self.library.close()

    def __enter__(self) -> Router:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
