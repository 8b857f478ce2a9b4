"""How fast a model reads on this machine."""

from __future__ import annotations

_KEPT = 0.8  # of what was known before, with each text that is read


class Pace:
    """Tokens a second, of late: learnt from every text that was read."""

    def __init__(self) -> None:
        self._tokens = self._seconds = 0.0

    @property
    def known(self) -> bool:
        """Whether anything was read yet."""
        return self._tokens > 0

    def learn(self, tokens: int, seconds: float) -> None:
        """A text was read in so many seconds."""
        self._tokens = _KEPT * self._tokens + tokens
        self._seconds = _KEPT * self._seconds + seconds

    def expect(self, tokens: int) -> float:
        """Seconds that a text will take, once anything is known."""
        return tokens * self._seconds / self._tokens
