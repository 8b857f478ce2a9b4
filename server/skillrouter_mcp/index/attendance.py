"""Which roots are in use at the moment, and so are kept in step."""

from __future__ import annotations

import threading
from collections import Counter

from skillrouter_mcp.skills import Root

Roots = tuple[Root, ...]


class Attendance:
    """Counts who looks for skills in which roots; safe to use from any thread."""

    def __init__(self, always: Roots) -> None:
        """
        Args:
            always: roots that are in use whoever comes and goes.
        """
        self._always = always
        self._lock = threading.Lock()
        self._counts: Counter[Roots] = Counter()

    def begin(self, roots: Roots) -> None:
        """Somebody looks for skills in these roots, until `end` is called as often."""
        with self._lock:
            self._counts[roots] += 1

    def end(self, roots: Roots) -> None:
        """Ends what one `begin` began."""
        with self._lock:
            self._counts[roots] -= 1
            if self._counts[roots] <= 0:
                del self._counts[roots]

    def sets(self) -> list[Roots]:
        """All sets of roots in which skills are looked for."""
        with self._lock:
            return list(dict.fromkeys([self._always, *self._counts]))

    def roots(self) -> Roots:
        """All roots of these sets, each path once."""
        roots = [root for roots in self.sets() for root in roots]
        return tuple({root.path: root for root in roots}.values())
