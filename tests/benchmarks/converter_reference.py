"""Converted models, run by llama.cpp, against `transformers`, which knows nothing of GGUF.

    pip install torch transformers sentencepiece
    python -m tests.benchmarks.converter_reference [--texts 200] [--lists 200] [--lines 1000]

Tiny models with random weights are made in the architectures that the catalogue's models have,
saved as `transformers` saves them, and converted in every number format. Compared are

- token ids of `--lines` made-up texts with Chinese, code and emoji;
- vectors of `--texts` texts, in 5 lengths up to all that the model reads;
- scores of `--lists` lists of 20 texts, which the reference puts at least 0.01 apart, and whether
  both put them in the same order.

Needs the `dev` extra besides. Prints a line of JSON for each model. Exits with 1 if token ids
differ, or with F32 or F16 weights a cosine is below 0.999, a score is off by more than 0.01 or an
order differs. Q8_0 and BF16 are reported alone: tiny models suffer more from rounding than real
ones.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tests.gguf import published
from tests.gguf.published import Published
from tests.gguf.texts import text, texts
from tests.gguf.tiny_qwen3 import TEMPLATE

from skillrouter_gguf import Encoder, Model, Reranker
from skillrouter_gguf.convert import WeightType, convert
from skillrouter_gguf.llama import LlamaModel

Report = dict[str, Any]

ENCODERS: dict[str, tuple[Callable[[Path], Published], str, int]] = {
    "qwen3 encoder": (published.qwen3_encoder, "last", 4096),
    "bert encoder, mean": (partial(published.bert_encoder, pooling="mean"), "mean", 512),
    "bert encoder, cls": (partial(published.bert_encoder, pooling="cls"), "cls", 512),
    "bert encoder, unigram": (published.e5_encoder, "mean", 512),
}
RERANKERS: dict[str, tuple[Callable[[Path], Published], int]] = {
    "qwen3 reranker": (published.qwen3_reranker, 4096),
    "bert cross-encoder": (published.bert_cross_encoder, 512),
    "xlm-roberta cross-encoder": (published.xlmr_cross_encoder, 512),
}
NAMES = (*ENCODERS, *RERANKERS)
WEIGHTS: tuple[WeightType, ...] = ("F32", "F16", "BF16", "Q8_0")
EXACT = ("F32", "F16")
LEAST_COSINE = 0.999
MOST_APART = 0.01
LIST = 20
_SHARES = (0.01, 0.1, 0.3, 0.6, 1.0)  # of the context


def compare_encoder(name: str, weights: Sequence[WeightType], count: int, lines: int) -> Report:
    """Token ids and cosines of the encoder `name`."""
    make, pooling, context = ENCODERS[name]
    with tempfile.TemporaryDirectory() as scratch:
        model = make(Path(scratch) / "published")
        target = Path(scratch) / "model.gguf"
        limits = [max(4, round(share * context)) for share in _SHARES]
        source = random.Random(1)
        rows = []
        for number in range(count):
            limit = limits[number % len(limits)]
            line = text(source, 6 * limit)
            rows.append((limit, line, model.encode(model.tokenise(line, limit))))
        report: Report = {"model": name, "texts": count}
        for form in weights:
            convert(model.folder, target, form)
            if form == weights[0]:
                report["ids differ"] = _differing(model, target, lines)
            cosines = []
            for limit in limits:
                entry = _entry("encoder", pooling, limit, rows[0][2].size)
                with Encoder.open(entry, path=target) as encoder:
                    own = [row for row in rows if row[0] == limit]
                    found = encoder.encode_documents([line for _, line, _ in own])
                    cosines += [
                        float(vector @ row[2]) for vector, row in zip(found, own, strict=True)
                    ]
            report[f"cosine {form}"] = round(min(cosines), 6)
        return report


def compare_reranker(name: str, weights: Sequence[WeightType], count: int, lines: int) -> Report:
    """Token ids, scores and orders of the reranker `name`."""
    make, context = RERANKERS[name]
    causal = name.startswith("qwen3")
    with tempfile.TemporaryDirectory() as scratch:
        model = make(Path(scratch) / "published")
        target = Path(scratch) / "model.gguf"

        def judge(query: str, document: str) -> float:
            if causal:
                asked = TEMPLATE.replace("{query}", query)
                return model.judge(asked.replace("{document}", document))
            return model.classify(query, document, context)

        lists = [_list(judge, number) for number in range(count)]
        report: Report = {"model": name, "lists": count}
        for form in weights:
            template = TEMPLATE if causal else None
            convert(model.folder, target, form, kind="reranker", template=template)
            if form == weights[0]:
                report["ids differ"] = _differing(model, target, lines)
            apart, orders = 0.0, 0
            with Reranker.open(_entry("reranker", "rank", context), path=target) as reranker:
                for query, documents, expected in lists:
                    found = reranker.score(query, documents)
                    apart = max(apart, float(np.abs(found - expected).max()))
                    orders += bool((found.argsort() == expected.argsort()).all())
            report[f"apart {form}"] = round(apart, 6)
            report[f"same order {form}"] = orders
        return report


def holds(report: Report) -> bool:
    """Whether everything that must agree does."""
    return report["ids differ"] == 0 and all(
        report.get(f"cosine {form}", 1.0) >= LEAST_COSINE
        and report.get(f"apart {form}", 0.0) <= MOST_APART
        and report.get(f"same order {form}") == report.get("lists")
        for form in EXACT
        if f"cosine {form}" in report or f"apart {form}" in report
    )


def _differing(model: Published, target: Path, lines: int) -> int:
    """How many texts the GGUF file's tokenizer turns into other ids."""
    llama = LlamaModel(target)
    differing: int = sum(
        llama.tokenise(line, 100_000).tolist() != model.tokenise(line)
        for line in texts(lines, 150, seed=8)
    )
    llama.close()
    return differing


def _list(judge: Callable[[str, str], float], seed: int) -> tuple[str, list[str], Any]:
    """A request, texts whose scores are not too near to each other, and the scores."""
    source = random.Random(seed)
    while True:
        query = text(source, 60)
        found: dict[str, float] = {}
        for _ in range(8 * LIST):
            document = text(source, source.choice((40, 150, 500)))
            score = judge(query, document)
            if all(abs(score - other) >= MOST_APART for other in found.values()):
                found[document] = score
            if len(found) == LIST:
                return query, list(found), np.array(list(found.values()))


def _entry(kind: str, pooling: str, context: int, dimensions: int = 0) -> Model:
    return Model.model_validate(
        {
            "name": "tiny",
            "kind": kind,
            "title": "Tiny",
            "file": "model.gguf",
            "dimensions": dimensions,
            "context": context,
            "pooling": pooling,
            "languages": ["en"],
            "licence": "none",
            "source": "here",
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.converter_reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--texts", type=int, default=200, help="for each encoder")
    parser.add_argument("--lists", type=int, default=200, help="for each reranker")
    parser.add_argument("--lines", type=int, default=1000, help="for each tokenizer")
    parser.add_argument("--weights", nargs="+", choices=WEIGHTS, default=WEIGHTS)
    parser.add_argument("--models", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    options = parser.parse_args()
    good = True
    for name in options.models:
        compare, count = (
            (compare_encoder, options.texts)
            if name in ENCODERS
            else (compare_reranker, options.lists)
        )
        report = compare(name, options.weights, count, options.lines)
        good &= holds(report)
        print(json.dumps(report), flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
