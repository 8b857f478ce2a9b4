"""Requests before everything else that the process computes."""

from __future__ import annotations

import threading

_PATIENCE = 0.1  # seconds at a time, so that what gives way gets on beside any number of requests


class RightOfWay:
    """Within `with` a request is being answered, and who gives way waits; for any threads."""

    def __init__(self) -> None:
        self._requests = 0
        self._change = threading.Condition()

    def __enter__(self) -> None:
        with self._change:
            self._requests += 1

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._requests -= 1
            self._change.notify()

    def give_way(self) -> None:
        """Waits for the requests that are being answered, a tenth of a second at most.

        Where several wait, one goes on when there is no request left, and another when that one
        comes back: the next request has not all of them beside it.
        """
        with self._change:
            if not self._requests:
                self._change.notify()
            self._change.wait_for(lambda: not self._requests, _PATIENCE)
