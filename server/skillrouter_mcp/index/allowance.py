"""How much time something may take that comes again and again."""

from __future__ import annotations


class Allowance:
    """A share of the time, saved up to some seconds while less is taken (a token bucket).

    So what comes once in a while is done at once, and what comes without end not all the time.
    Moments are seconds of any one clock that never goes back.
    """

    def __init__(self, share: float, most: float, now: float) -> None:
        """
        Args:
            share: of the time, greater than 0.
            most: seconds that are saved up, as they are at first, and that may be lacking.
        """
        self._share = share
        self._most = most
        self._saved = most
        self._at = now

    def take(self, seconds: float, now: float) -> None:
        """So many seconds have been taken, perhaps more than there were."""
        self._save(now)
        self._saved = max(-self._most, self._saved - seconds)

    def wait(self, now: float) -> float:
        """Seconds until there is something to take again, 0 if there is."""
        self._save(now)
        return max(0.0, -self._saved / self._share)

    def _save(self, now: float) -> None:
        self._saved = min(self._most, self._saved + (now - self._at) * self._share)
        self._at = now
