"""How many processor cores this process may really use."""

from __future__ import annotations

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Physical cores that this process may run on, at least 1.

    On Linux: the cores of the affinity mask, hyper-threads counted once, no more than the
    container's quota. Elsewhere: half of the logical processors, which on most machines is the
    number of physical (or of fast) cores.
    """
    if not hasattr(os, "sched_getaffinity"):
        return max(1, (os.cpu_count() or 2) // 2)
    allowed = os.sched_getaffinity(0)
    cores = {_siblings(processor) for processor in allowed}
    return max(1, min(len(cores), _quota() or len(cores)))


def _siblings(processor: int) -> str:
    """The processors that share a core with `processor`, or its own number where none says."""
    try:
        return (_TOPOLOGY / f"cpu{processor}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(processor)


def _quota() -> int | None:
    """The container's limit in whole processors, rounded up (cgroup 2)."""
    try:
        quota, period = _QUOTA.read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return None
