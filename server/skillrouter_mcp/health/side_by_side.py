"""Work on many items, shared among processes: in one, Python computes on one at a time."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from skillrouter_gguf.cores import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_PART = 256  # items that are worked on at once
_MOST_PROCESSES = 4
_WORTH_IT = 1_000  # items; with fewer, starting processes takes longer than it saves


def side_by_side(work: Callable[[Sequence[T]], R], items: Sequence[T]) -> Iterator[R]:
    """What `work` makes of one part of the items after the other.

    Args:
        work: a function of a module, or a `partial` of one, that needs nothing but its arguments.
    """
    parts = [items[start : start + _PART] for start in range(0, len(items), _PART)]
    processes = min(usable_cores(), _MOST_PROCESSES)
    done = 0
    if processes > 1 and len(items) >= _WORTH_IT:
        pool = ProcessPoolExecutor(
            processes,
            multiprocessing.get_context("spawn"),  # what runs here already is not to be copied
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),  # which ends the work from here
        )
        try:
            for result in pool.map(work, parts):
                yield result
                done += 1
        except BrokenProcessPool:
            pass  # processes are short of memory, or forbidden: what is left is done here
        finally:
            pool.shutdown(cancel_futures=True)
    yield from map(work, parts[done:])
