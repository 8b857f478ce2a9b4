"""Indexing against a bare loop of one llama.cpp call per text, over the very same texts.

    python -m tests.benchmarks.indexing_throughput POOL.jsonl.gz [--skills 154]

Skills of the pool are scanned into a new index. Then turns alternate: `Library.embed` brings in a
batch (cuts the texts, embeds them, commits the vectors), and the bare loop (that of
`encoder_throughput`) embeds the texts that this batch gave to the encoder; so what else the machine
does weighs on both. Prints a line of JSON: `ratio` is the median of the batches' ratios, and
`others` the share of the machine that other processes took meanwhile.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tests.benchmarks.encoder_throughput import bare_loop
from tests.benchmarks.machine import Others

from skillrouter_gguf import Encoder, load_catalogue
from skillrouter_mcp.evaluation.records import PooledSkill, read_pool, write_pool
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root

_SKILLS = 154
_Result = TypeVar("_Result")


class _Recording:
    """An encoder that remembers what it was given."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.texts: list[str] = []

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return self._encoder.encode_documents(texts)


def measure(pool: Path, count: int = _SKILLS) -> dict[str, Any]:
    """Both ways over `count` skills."""
    skills = list(read_pool(pool))
    random.Random(0).shuffle(skills)
    model = load_catalogue().model("skillrouter-minilm-l6")
    bare = bare_loop()
    indexed: list[float] = []
    looped: list[float] = []
    with Encoder.open(model) as encoder, tempfile.TemporaryDirectory() as scratch:
        for way in (bare, encoder.encode_documents):
            way(["a first text", "and a second, to warm up"])
        library = _scanned(skills[:count], Path(scratch), Fingerprint.of(model))
        recording = _Recording(encoder)
        others = Others()
        with library.writing():
            batches = library.embed(recording)
            left: int | None = count
            looked_at = 0
            while left is not None:
                left, seconds = _timed(partial(next, batches, None))
                texts, looked_at = recording.texts[looked_at:], len(recording.texts)
                if left is None:
                    indexed[-1] += seconds  # what is done after the last batch
                else:
                    indexed.append(seconds)
                    looped.append(_timed(partial(bare, texts))[1])
        share = others.share()
        library.close()
    ratios = [loop / index for loop, index in zip(looped, indexed, strict=True)]
    return {
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "others": round(share, 2),
        "index seconds": round(sum(indexed), 2),
        "bare seconds": round(sum(looped), 2),
        "skills": count,
        "texts": looked_at,
    }


def _timed(run: Callable[[], _Result]) -> tuple[_Result, float]:
    began = time.perf_counter()
    result = run()
    return result, time.perf_counter() - began


def _scanned(skills: Sequence[PooledSkill], scratch: Path, fingerprint: Fingerprint) -> Library:
    """A new index that has read the skills and embedded none."""
    write_pool(iter(skills), scratch / "skills")
    library = Library(scratch / "home", [Root(scratch / "skills", "user")], fingerprint)
    with library.writing():
        library.scan()
    return library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("--skills", type=int, default=_SKILLS, help="so many of the pool")
    options = parser.parse_args()
    print(json.dumps(measure(options.pool, options.skills)))


if __name__ == "__main__":
    main()
