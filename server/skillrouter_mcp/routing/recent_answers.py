"""Answers given of late, for requests that are repeated."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from skillrouter_mcp.routing.answer import Answer

_MOST = 128
_LONGEST = 4_000  # characters of a request that is remembered


class RecentAnswers:
    """The latest answers, each for as long as the state of the index stands that it came from.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, tuple[object, Answer]] = OrderedDict()

    def get(self, query: str, about: Hashable, state: object) -> Answer | None:
        """What was answered before, None if nothing was or the state has become another.

        Args:
            about: what else was asked.
            state: an object that is replaced whenever the index changes.
        """
        key = query, about
        with self._lock:
            known = self._answers.get(key)
            if known is None:
                return None
            if known[0] is not state:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return known[1]

    def put(self, query: str, about: Hashable, state: object, answer: Answer) -> None:
        """Remembers an answer."""
        if len(query) > _LONGEST:
            return
        with self._lock:
            self._answers[query, about] = state, answer
            self._answers.move_to_end((query, about))
            if len(self._answers) > _MOST:
                self._answers.popitem(last=False)
