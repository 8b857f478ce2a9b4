"""Documents a second through `Encoder`, against a bare loop of one llama.cpp call per text.

    python -m tests.benchmarks.encoder_throughput POOL.jsonl.gz [--rounds 9] [--texts 24]

Both embed the same texts (name with description, and the first page of the body, 1,000 characters
each) in short turns, first one and then the other, so that what else the machine does weighs on
both. The bare loop is `llama_cpp.Llama(embedding=True, flash_attn=True).embed(text)`, with the
same setting for OpenMP's waits. Prints a line of JSON; `others` is the share of the machine that
other processes took meanwhile, without which no figure here means much.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import Others

from skillrouter_gguf import load_catalogue, system_info
from skillrouter_gguf.encoder import Encoder
from skillrouter_gguf.model_file import verified_path

_PAGE = 1_000
_TEXTS = 24


def read_pool(pool: Path) -> list[dict[str, str]]:
    """The skills of a `.jsonl` or `.jsonl.gz`, shuffled, the same way every time."""
    opener = gzip.open if pool.suffix == ".gz" else open
    with opener(pool, "rt", encoding="utf-8") as lines:
        skills = [json.loads(line) for line in lines]
    random.Random(0).shuffle(skills)
    return skills


def read_texts(pool: Path, count: int) -> list[str]:
    """The first `count` texts of what an index embeds of the pool."""
    texts = []
    for skill in read_pool(pool)[:count]:
        texts.append(f"{skill['name']}\n{skill['description']}"[:_PAGE])
        texts.append(skill["body"][:_PAGE])
    return texts[:count]


def bare_loop() -> Callable[[list[str]], None]:
    """Embeds with the high-level class of llama-cpp-python and the embedded model."""
    system_info()  # sets OpenMP's waits before the library is loaded
    import llama_cpp

    path = verified_path(load_catalogue().model("skillrouter-minilm-l6"))
    llama = llama_cpp.Llama(str(path), embedding=True, flash_attn=True, verbose=False)

    def run(texts: list[str]) -> None:
        for text in texts:
            llama.embed(text, normalize=True)

    return run


def measure(pool: Path, rounds: int, count: int) -> dict[str, Any]:
    """Both ways over `rounds` times `count` texts."""
    texts = read_texts(pool, rounds * count)
    with Encoder.open(load_catalogue().model("skillrouter-minilm-l6")) as encoder:
        ways = {"bare": bare_loop(), "encoder": encoder.encode_documents}
        for way in ways.values():
            way(texts[:2])
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        others = []
        for number in range(rounds):
            part = texts[number * count : (number + 1) * count]
            meanwhile = Others()
            for name in sorted(ways, reverse=number % 2 == 1):
                began = time.perf_counter()
                ways[name](part)
                seconds[name].append(time.perf_counter() - began)
            others.append(meanwhile.share())
        tokens = sum(encoder.count_tokens(text) for text in texts)
        ratios = [bare / ours for bare, ours in zip(*seconds.values(), strict=True)]
        return {
            "ratio": round(statistics.median(ratios), 3),
            "ratios": [round(ratio, 2) for ratio in ratios],
            "others": [round(share, 2) for share in others],
            "bare tokens/s": round(tokens / sum(seconds["bare"])),
            "encoder tokens/s": round(tokens / sum(seconds["encoder"])),
            "texts": len(texts),
            "tokens": tokens,
            "threads": encoder.threads,
            "machine": system_info(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--texts", type=int, default=_TEXTS, help="texts in a round")
    options = parser.parse_args()
    print(json.dumps(measure(options.pool, options.rounds, options.texts)))


if __name__ == "__main__":
    main()
