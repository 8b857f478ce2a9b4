"""What figures were measured on, and how busy others kept it meanwhile."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

import psutil


class Others:
    """Counts, from when it is made, what other processes take of the machine."""

    def __init__(self) -> None:
        self._began = _spent()

    def share(self) -> float:
        """Of all processors' time so far, what neither this process nor its ended children took."""
        wall, machine, own = (
            now - before for before, now in zip(self._began, _spent(), strict=True)
        )
        return max(0.0, machine - own) / wall / (psutil.cpu_count() or 1)


def describe() -> str:
    """Processor, cores, memory, system and Python."""
    return (
        f"{_processor()}, {psutil.cpu_count()} cores, "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()} {platform.machine()}, "
        f"Python {platform.python_version()}"
    )


def load() -> str:
    """How many processes waited for a processor over the last 1, 5 and 15 minutes."""
    return " / ".join(f"{average:.1f}" for average in psutil.getloadavg())


def _processor() -> str:
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown processor")


def _spent() -> tuple[float, float, float]:
    """Seconds by the clock, of all processors at work, and of this process and its children."""
    times = psutil.cpu_times()
    working = ("user", "nice", "system", "irq", "softirq", "steal")  # not all are counted anywhere
    own = os.times()
    return (
        time.perf_counter(),
        sum(getattr(times, name, 0.0) for name in working),
        own.user + own.system + own.children_user + own.children_system,
    )
