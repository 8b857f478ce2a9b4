"""The nearest 50 labels of a request: the numpy mirror against sqlite-vec, at several sizes.

    python -m tests.benchmarks.dense_search [SIZE ...]

Both hold the same random vectors of 384 dimensions; medians of 21 requests, taken in turn.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.mirror import Mirror

DIMENSIONS, NEAREST, REQUESTS = 384, 50, 21


def main(sizes: list[int]) -> None:
    print("| vectors | mirror, ms | sqlite-vec, ms | filling the mirror, ms |\n|---|---|---|---|")
    for size in sizes:
        mirror, stored, fill = compare(size)
        print(f"| {size:,} | {mirror:.2f} | {stored:.2f} | {fill:.0f} |")


def compare(size: int) -> tuple[float, float, float]:
    """Milliseconds of a search in the mirror and in vec0, and of reading all vectors once."""
    generator = np.random.default_rng(size)
    vectors = generator.normal(size=(size, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    packed = np.rint(vectors * 127 / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.int8)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "vectors.db", "write")
        database.run(
            f"CREATE VIRTUAL TABLE v USING vec0"
            f"(embedding int8[{DIMENSIONS}] distance_metric=cosine)"
        )
        with database.transaction():
            database.run_many(
                "INSERT INTO v (rowid, embedding) VALUES (?, vec_int8(?))",
                [(n, row.tobytes()) for n, row in enumerate(packed)],
            )
        mirror = Mirror(
            np.arange(size),
            vectors,
            np.zeros((0, DIMENSIONS), np.int8),
            np.zeros(size + 1, np.int64),
        )
        in_mirror: list[float] = []
        in_table: list[float] = []
        for row in generator.integers(size, size=REQUESTS):
            request, stored = vectors[row], packed[row].tobytes()
            with _milliseconds(in_mirror):
                np.argpartition(-mirror.label_cosines(request), NEAREST)
            with _milliseconds(in_table):
                database.rows(
                    "SELECT rowid, distance FROM v WHERE embedding MATCH vec_int8(?) AND k = ?",
                    (stored, NEAREST),
                )
        fill: list[float] = []
        with _milliseconds(fill):
            database.rows("SELECT rowid, embedding FROM v")
        database.close()
    return statistics.median(in_mirror), statistics.median(in_table), fill[0]


@contextmanager
def _milliseconds(durations: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    durations.append(1000 * (time.perf_counter() - began))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [300, 1_000, 10_000, 80_000])
