"""How indexing time, size on disk, memory and latency grow from 100 to 80,000 skills.

    python -m tests.benchmarks.scale --data FOLDER --home HOME [--sizes 100 1000 ...]

FOLDER holds `skills.jsonl.gz` and `requests.jsonl`. The skills are written to HOME as folders, each
size's root within that of the next, and indexed once; a later run measures requests, memory and
idleness only. Delete HOME to measure indexing anew.

Embedding 80,000 skills takes hours. So the documents' vectors come from a stand-in (a sum of random
vectors, one for each word), which changes neither their number nor their size, and the time that
embedding takes is told from a sample that goes through the real encoder. Requests go through it, as
always, and over stdio to a server of their own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import shutil
import statistics
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from tests.benchmarks.machine import Others, describe, load
from tests.benchmarks.wire import Wire

from skillrouter_gguf import Encoder, load_catalogue
from skillrouter_mcp.evaluation.records import PooledSkill, read_pool, write_pool
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import DATABASE_FILE, Library
from skillrouter_mcp.index.passages import passages
from skillrouter_mcp.index.snapshot import Snapshot
from skillrouter_mcp.skills import Root

SIZES = (100, 1_000, 10_000, 30_000, 80_000)
IDLE_SIZE = 10_000
MODEL = "skillrouter-minilm-l6"
WARMING = 20  # requests before latencies count
_BUILT = 20  # folders of a build that are there at a time
_BUILD_SECONDS = 0.05  # between two of its steps
_FIGURES = "figures.json"
_WORD = re.compile(r"\w+")


class StandIn:
    """In place of an encoder: texts are near each other if they share words."""

    def __init__(self, dimensions: int) -> None:
        generator = np.random.default_rng(0)
        self._vectors = generator.normal(size=(1 << 14, dimensions)).astype(np.float32)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._encode(text) for text in texts])

    def _encode(self, text: str) -> NDArray[np.float32]:
        words = _WORD.findall(text.lower()) or [""]
        rows = [zlib.crc32(word.encode(errors="replace")) % len(self._vectors) for word in words]
        vector: NDArray[np.float32] = self._vectors[rows].sum(axis=0)
        vector /= np.linalg.norm(vector)
        return vector


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idleness to look at")
    parser.add_argument("--embedded", type=int, default=64, help="skills that are really embedded")
    options = parser.parse_args()
    sizes = sorted(options.sizes)
    before, others = load(), Others()
    roots = written(options.data / "skills.jsonl.gz", options.home / "skills", sizes)
    lines = (options.data / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    requests = [json.loads(line)["query"] for line in lines]
    chosen = random.Random(0).sample(requests, min(options.requests, len(requests)))
    rows = []
    for size, root in zip(sizes, roots, strict=True):
        home = options.home / str(size)
        idle = options.idle if size == IDLE_SIZE else 0.0
        rows.append(indexed(home, root) | served(home, root, chosen, idle))
    seconds = embedding_seconds(options.data / "skills.jsonl.gz", options.embedded)
    print(f"{describe()}.")
    print(
        f"Load over 1 / 5 / 15 minutes {before} before and {load()} after; other processes took "
        f"{others.share():.0%} of the processors meanwhile. {len(chosen)} requests, with the real "
        f"encoder; the documents' vectors are a stand-in's, and their embedding is extrapolated "
        f"from {options.embedded} skills.\n"
    )
    table(rows, seconds)


def table(rows: Sequence[dict[str, Any]], embedding: float) -> None:
    """Prints a line for each measure.

    Args:
        embedding: seconds it takes to embed one skill.
    """
    measures: dict[str, Callable[[dict[str, Any]], str]] = {
        "skills": lambda row: f"{row['skills']:,}",
        "first start until the first can be found by their words, s": lambda row: (
            f"{row['first']:.1f}"
        ),
        "until all can, s": lambda row: f"{row['words']:.1f}",
        "until sections count too, s": lambda row: f"{row['sections']:.1f}",
        "the same, of processor time, s": lambda row: f"{row['words cpu']:.1f}",
        "embedding them, extrapolated": lambda row: _span(row["skills"] * embedding),
        "memory while reading, at most, MB": lambda row: f"{row['reading memory'] / 1e6:.0f}",
        "re-index, unchanged, s": lambda row: f"{row['unchanged']:.2f}",
        "database, MB": lambda row: f"{row['database'] / 1e6:.1f}",
        "words, MB": lambda row: f"{row['word index'] / 1e6:.1f}",
        "memory of the owner, MB": lambda row: f"{row['memory'] / 1e6:.0f}",
        "`find_skill`, warm, p50 / p95, ms": lambda row: f"{row['p50']:.1f} / {row['p95']:.1f}",
        "share of a core while idle": lambda row: _percent(row["idle"]),
        "the same while a build writes below the root": lambda row: _percent(row["building"]),
    }
    for name, cell in measures.items():
        print(f"| {name} | " + " | ".join(cell(row) for row in rows) + " |")
        if name == "skills":
            print("|---" * (1 + len(rows)) + "|")


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def written(pool: Path, folder: Path, sizes: Sequence[int]) -> list[Path]:
    """A root of skills for each size, the smaller within the larger; written where it is not."""
    roots = [folder]
    for size in reversed(sizes[:-1]):
        roots.insert(0, roots[0] / f"first-{size}")
    complete = folder.with_name(f"{folder.name}-{'-'.join(map(str, sizes))}")
    if not complete.exists():
        skills: Iterator[PooledSkill] = read_pool(pool)
        for more, root in zip(_steps(sizes), roots, strict=True):
            write_pool(itertools.islice(skills, more), root)
        complete.touch()
    return roots


def _steps(sizes: Sequence[int]) -> list[int]:
    return [size - less for less, size in itertools.pairwise([0, *sizes])]


def indexed(home: Path, root: Path) -> dict[str, Any]:
    """Figures of indexing the skills of a root, once."""
    kept = home / _FIGURES
    if not kept.exists():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            figures = pool.submit(index, home, root).result()
        kept.write_text(json.dumps(figures), encoding="utf-8")
    figures = json.loads(kept.read_text(encoding="utf-8"))
    return dict(figures)


class Followed(Library):
    """Notes when how many documents can be found by their words."""

    def __init__(self, *given: Any) -> None:
        self.found: list[tuple[float, int]] = []
        super().__init__(*given)

    def refresh(self) -> Snapshot:
        snapshot = super().refresh()
        count = len(self.words.ids() | self.words.without_sections)
        self.found.append((time.perf_counter(), count))
        return snapshot


def index(home: Path, root: Path) -> dict[str, float]:
    """Seconds of reading all skills into an empty index and of finding nothing changed, and bytes
    on disk and in memory."""
    model = load_catalogue().model(MODEL)
    process = psutil.Process()
    library = Followed(home, [Root(root, "user")], Fingerprint.of(model))
    memory: list[int] = []

    def read(done: int, total: int) -> None:
        memory.append(process.memory_info().rss)

    began, busy = time.perf_counter(), time.process_time()
    with library.writing():
        library.scan(read)
        sections, words_cpu = time.perf_counter() - began, time.process_time() - busy
        first = next(at for at, count in library.found if count) - began
        words = next(at for at, count in library.found if count == library.found[-1][1]) - began
        for _ in library.embed(StandIn(model.dimensions)):
            pass
        library.refresh()
        began = time.perf_counter()
        library.scan()
        unchanged = time.perf_counter() - began
    figures = {
        "skills": len(library.snapshot.visible),
        "first": first,
        "words": words,
        "sections": sections,
        "words cpu": words_cpu,
        "reading memory": max(memory),
        "unchanged": unchanged,
        "word index": _bytes_in(library.words.folder),
    }
    library.close()
    return figures | {"database": (home / DATABASE_FILE).stat().st_size}


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def served(home: Path, root: Path, requests: Sequence[str], idle: float) -> dict[str, Any]:
    """Latency in milliseconds, bytes of memory that the owner of the index holds, and what share
    of a core it takes over so many seconds without requests (None if over none): while nothing
    changes, and while a build writes below the root."""
    with Wire(home, root) as wire:
        wire.initialize()
        for query in requests[:WARMING]:
            wire.find(query)
        seconds = []
        for query in requests:
            began = time.perf_counter()
            wire.find(query)
            seconds.append(time.perf_counter() - began)
        cuts = statistics.quantiles(seconds, n=100, method="inclusive")
        (owner,) = _owners()
        memory = owner.memory_info().rss
        figures = {"p50": 1000 * cuts[49], "p95": 1000 * cuts[94], "memory": memory}
        if not idle:
            return figures | {"idle": None, "building": None}
        figures["idle"] = _share(owner, idle)
        with _building(root / "build"):
            figures["building"] = _share(owner, idle)
    return figures


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """Meanwhile, files and folders come and go in this one, and a log grows."""
    ended = threading.Event()

    def build() -> None:
        with (folder / "build.log").open("w", encoding="utf-8") as log:
            for n in itertools.count():
                print("built", n, file=log, flush=True)
                (folder / f"module-{n}").mkdir()
                (folder / f"module-{n}" / "object.o").touch()
                if n >= _BUILT:
                    shutil.rmtree(folder / f"module-{n - _BUILT}")
                if ended.wait(_BUILD_SECONDS):
                    return

    folder.mkdir()
    building = threading.Thread(target=build)
    building.start()
    try:
        yield
    finally:
        ended.set()
        building.join()
        shutil.rmtree(folder)


def _owners() -> list[psutil.Process]:
    """The processes started from here that own an index."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if any(part.endswith(".owner") for part in process.cmdline())
    ]


def _share(process: psutil.Process, seconds: float) -> float:
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def embedding_seconds(pool: Path, count: int) -> float:
    """Seconds that the real encoder takes to embed one skill, over so many of the pool."""
    from skillrouter_mcp.index.store import Document

    skills = list(itertools.islice(read_pool(pool), count))
    documents = [Document(n, s.name, s.description, s.body) for n, s in enumerate(skills)]
    with Encoder.open(load_catalogue().model(MODEL)) as encoder:
        encoder.encode_documents(["to warm up"])
        began = time.perf_counter()
        for document in documents:
            cut = partial(passages, document, encoder.model.languages)
            encoder.encode_documents([passage.text for passage in cut()])
        return (time.perf_counter() - began) / max(count, 1)


if __name__ == "__main__":
    main()
