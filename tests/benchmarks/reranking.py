"""Pairs a second through `Reranker`, with the shared beginning of a list computed once or not.

    python -m tests.benchmarks.reranking [--documents 6] [--rounds 3] [--layers 28]

Runs on a model of Qwen3-Reranker-0.6B's shape whose weights are random, made and converted for the
purpose in a temporary folder (3 GB), with SkillRouter's kind of prompt: of each pair some 85 tokens
of template, a request of about 60, and a text of about 450. Three ways, in turns, first one order
and then the other, so that what else the machine does weighs on all:

- bare: what llama.cpp does when asked for a score: each pair from its beginning, with flash
  attention, and for every token its chances of every word;
- apart: `Reranker`'s computation, each pair from its beginning;
- shared: `Reranker.score`.

Needs the `dev` extra. Prints a line of JSON: pairs a second each way, by the clock and by the
processors' time, ratios, and by how much scores differ between apart and shared, and between bare
and shared, where flash attention's rounding counts too. `others` is the share of the machine that
other processes took meanwhile: where it is large, only the processors' time means much. Exits with
1 if sharing moves a score by more than 0.01, or gives less than 1.3 times the bare way's pairs.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tests.benchmarks.machine import Others, describe
from tests.gguf.texts import text
from tests.gguf.tiny_tokenizers import qwen_tokenizer, save

from skillrouter_gguf import Model, Reranker, system_info
from skillrouter_gguf.causal import CausalContext
from skillrouter_gguf.convert import convert
from skillrouter_gguf.llama import LlamaContext

_MOST_APART = 0.01
_LEAST_RATIO = 1.3
_CONTEXT = 1024
_TOKENS = 151_936
_INSTRUCTION = "Given a task description, judge whether the skill document is relevant and useful"
_TEMPLATE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    f"<|im_start|>user\n<Instruct>: {_INSTRUCTION} for completing the task\n\n"
    "<Query>: {query}\n\n<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


def make_model(folder: Path, layers: int) -> Model:
    """A reranker of 0.6 billion random weights, all layers the same; gives its entry."""
    tokenizer = qwen_tokenizer(closes=False, also=[_TEMPLATE] * 50)
    save(tokenizer, folder)
    width, inner, heads, shared, single = 1024, 3072, 2048, 1024, 128
    config = {
        "model_type": "qwen3",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads // single,
        "num_key_value_heads": shared // single,
        "head_dim": single,
        "intermediate_size": inner,
        "max_position_embeddings": 4096,
        "vocab_size": _TOKENS,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
    }
    (folder / "config.json").write_text(json.dumps(config))
    source = np.random.default_rng(11)
    matrices = {
        "self_attn.q_proj": (heads, width),
        "self_attn.k_proj": (shared, width),
        "self_attn.v_proj": (shared, width),
        "self_attn.o_proj": (width, heads),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    layer: dict[str, Any] = {
        f"{name}.weight": _random(source, shape) for name, shape in matrices.items()
    }
    for name, size in (
        ("input_layernorm", width),
        ("post_attention_layernorm", width),
        ("self_attn.q_norm", single),
        ("self_attn.k_norm", single),
    ):
        layer[f"{name}.weight"] = np.ones(size, dtype=np.float16)
    tensors = {f"layers.{n}.{name}": part for n in range(layers) for name, part in layer.items()}
    tensors["embed_tokens.weight"] = _random(source, (_TOKENS, width))
    tensors["norm.weight"] = np.ones(width, dtype=np.float16)
    save_file(tensors, folder / "model.safetensors")
    convert(folder, folder / "model.gguf", kind="reranker", template=_TEMPLATE)
    return Model(
        name="random-reranker-0_6b",
        kind="reranker",
        title="Random weights",
        file="model.gguf",
        context=_CONTEXT,
        pooling="rank",
        languages=("en",),
        licence="none",
        source="here",
    )


def measure(model: Model, path: Path, documents: int, rounds: int) -> dict[str, Any]:
    """Each way over `rounds` lists of `documents` texts."""
    source = random.Random(3)
    lists = [
        (text(source, 120), [text(source, 1000) for _ in range(documents)]) for _ in range(rounds)
    ]
    with Reranker.open(model, path=path) as reranker:
        engine, prompt, context = reranker._engine, reranker._prompt, reranker._context
        assert isinstance(context, CausalContext)
        bare = LlamaContext(engine, "rank", tokens=_CONTEXT, threads=reranker.threads)

        def one_by_one(query: str, texts: list[str]) -> list[float]:
            return [reranker._logit(bare.outputs(pair)) for pair in prompt.pairs(query, texts)]

        def apart(query: str, texts: list[str]) -> list[float]:
            scores = []
            for line in texts:
                context.forget()
                scores.extend(reranker.score(query, [line]).tolist())
            return scores

        def shared(query: str, texts: list[str]) -> list[float]:
            return list(reranker.score(query, texts).tolist())

        ways = {"bare": one_by_one, "apart": apart, "shared": shared}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        worked: dict[str, list[float]] = {name: [] for name in ways}
        scores: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            way("warm", ["up"])
        meanwhile = Others()
        for number, (query, texts) in enumerate(lists):
            for name in sorted(ways, reverse=number % 2 == 1):
                began, spent = time.perf_counter(), time.process_time()
                scores[name] += ways[name](query, texts)
                seconds[name].append(time.perf_counter() - began)
                worked[name].append(time.process_time() - spent)
        others = meanwhile.share()
        lengths = [len(pair) for query, texts in lists for pair in prompt.pairs(query, texts)]
        bare.close()
        return {
            "pairs/s": _rates(seconds, documents * rounds),
            "pairs/processor s": _rates(worked, documents * rounds),
            "shared/bare": _ratio(worked["bare"], worked["shared"]),
            "shared/apart": _ratio(worked["apart"], worked["shared"]),
            "shared/bare, clock": _ratio(seconds["bare"], seconds["shared"]),
            "shared/apart, clock": _ratio(seconds["apart"], seconds["shared"]),
            "scores apart": _distance(scores["apart"], scores["shared"]),
            "scores from bare": _distance(scores["bare"], scores["shared"]),
            "scores spread": float(np.ptp(scores["bare"]).round(3)),
            "tokens a pair": round(statistics.mean(lengths)),
            "pairs": documents * rounds,
            "others": round(others, 2),
            "threads": reranker.threads,
            "machine": describe(),
            "engine": system_info(),
        }


def _random(source: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return (source.standard_normal(shape, dtype=np.float32) * 0.03).astype(np.float16)


def _distance(scores: list[float], others: list[float]) -> float:
    return float(np.abs(np.array(scores) - others).max().round(6))


def _rates(spent: dict[str, list[float]], pairs: int) -> dict[str, float]:
    return {name: round(pairs / sum(each), 3) for name, each in spent.items()}


def _ratio(slow: list[float], fast: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.reranking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--documents", type=int, default=6, help="texts in a list")
    parser.add_argument("--rounds", type=int, default=3, help="lists")
    parser.add_argument("--layers", type=int, default=28)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = make_model(Path(scratch), options.layers)
        (Path(scratch) / "model.safetensors").unlink()
        report = measure(model, Path(scratch) / "model.gguf", options.documents, options.rounds)
    print(json.dumps(report))
    good = report["scores apart"] <= _MOST_APART and report["shared/bare"] >= _LEAST_RATIO
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
