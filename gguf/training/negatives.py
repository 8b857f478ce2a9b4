"""Find what each skill with requests is to be told apart from.

    python -m training.negatives EXAMPLES.jsonl MODEL NEIGHBOURS.jsonl

Lexical neighbours are searched by BM25 among all skills. Those, and the skills themselves, are the
subset in which semantic neighbours are searched by the model's vectors of labels; embedding all
skills would cost ten times as much. Skills that may serve the same request are no negatives
(SkillRouter, arXiv 2603.22455): those of the same name, those whose texts share most word
trigrams, and those whose labels have nearly the same vector.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
import torch
from numpy.typing import NDArray

from training import corpus
from training.corpus import Example, Neighbours
from training.encoder import Encoder

Integers = NDArray[np.int64]

_LEXICAL, _SEMANTIC, _RANDOM = 12, 16, 2
_COSINE = 0.92


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("examples", type=Path)
    parser.add_argument("model", type=Path, help="folder of the model to start from")
    parser.add_argument("neighbours", type=Path, help="the file to write")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    examples = list(corpus.read_examples(options.examples))
    found = find_neighbours(examples, Encoder(options.model), options.seed)
    count = corpus.write(options.neighbours, found)
    logging.info("%s: neighbours of %d skills", options.neighbours, count)


def find_neighbours(examples: Sequence[Example], encoder: Encoder, seed: int) -> list[Neighbours]:
    """Neighbours of each skill that has requests written by hand."""
    asked_for = [n for n, example in enumerate(examples) if example.written]
    logging.info("%d of %d skills have requests", len(asked_for), len(examples))
    lexical = _lexical(examples, asked_for)
    subset = sorted({*asked_for, *(int(n) for row in lexical.values() for n in row)})
    logging.info("%d skills in the subset", len(subset))
    labels = encoder.encode([examples[n].label for n in subset])
    requests = encoder.encode([" ".join(w.text for w in examples[n].written) for n in asked_for])
    position = {n: place for place, n in enumerate(subset)}
    draw = random.Random(seed)
    found = []
    for n, request in zip(asked_for, requests, strict=True):
        own = labels[position[n]]
        cosines = labels @ own
        # What is like the request or like the skill, in turn with what shares their words.
        semantic = [subset[place] for place in np.argsort(-(cosines + labels @ request))]
        ranked = _in_turn(semantic[: _SEMANTIC + 1], [int(m) for m in lexical[n]])
        ranked += draw.sample(subset, _RANDOM)
        same = {
            subset[place] for place in np.flatnonzero(cosines > _COSINE) if subset[place] != n
        } | {m for m in ranked if m != n and _same(examples[n], examples[m])}
        near = [m for m in dict.fromkeys(ranked) if m != n and m not in same]
        found.append(
            Neighbours(
                examples[n].skill_id,
                [examples[m].skill_id for m in near],
                sorted(examples[m].skill_id for m in same),
            )
        )
    return found


def _lexical(examples: Sequence[Example], asked_for: Sequence[int]) -> dict[int, Integers]:
    """The best skills by BM25 for the requests of each skill asked for."""
    texts = ["\n".join([example.label, *example.windows]) for example in examples]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    requests = [" ".join(wish.text for wish in examples[n].written) for n in asked_for]
    tokens = bm25s.tokenize(requests, stopwords="en", show_progress=False)
    most = min(_LEXICAL, len(examples))
    ranked, _ = index.retrieve(tokens, k=most, show_progress=False)
    return dict(zip(asked_for, ranked, strict=True))


def _in_turn(*lists: list[int]) -> list[int]:
    """The first of each list, then the second of each, and so on."""
    longest = max(map(len, lists))
    return [each[n] for n in range(longest) for each in lists if n < len(each)]


def _same(one: Example, other: Example) -> bool:
    """Whether two skills have one name or nearly one text."""
    return one.name.casefold() == other.name.casefold() or one.has_body_of(other)


if __name__ == "__main__":
    main()
