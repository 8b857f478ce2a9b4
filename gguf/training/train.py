"""Train an encoder to put a request beside the skill that serves it.

    python -m training.train EXAMPLES.jsonl NEIGHBOURS.jsonl MODEL RUN

InfoNCE over the batch, once for labels and once for bodies: a request against the texts of all
skills in the batch. A body is one of its windows or, at every other step with --full-texts, the
full text. Batches hold skills with their written requests, for each of those a neighbour, which is
a hard negative and brings natural requests of its own, skills drawn at random with natural
requests, and near copies: skills of one description, which the bodies alone tell apart. RUN/model
is the model so far, RUN/log.jsonl the losses; the same command again goes on from there.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from training import corpus, views
from training.corpus import Example, Neighbours, Wish
from training.encoder import Encoder

_SAME_COSINE = 0.92
_HARDEST = 16  # neighbours that are drawn from
_COPIES = 2  # near copies that come along with a skill
_LARGEST_FAMILY = 50  # of skills of one description; what larger ones share is boilerplate
_WORD = re.compile(r"[a-z][a-z0-9]{3,}")


@dataclass(frozen=True, slots=True)
class Row:
    """A skill's texts in a batch.

    Attributes:
        requests: none for a skill that is there as a negative only.
    """

    skill_id: str
    name: str
    requests: tuple[str, ...]
    label: str
    body: str


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of a batch's skills are of which kind.

    Attributes:
        copied: those that have near copies, besides `written`; some of the copies of both come
            along, as negatives only.
    """

    written: int
    neighbours: int
    natural: int
    copied: int


class Batches:
    """Draws batches; the same ones for the same seed, whichever of them is asked for first."""

    def __init__(
        self,
        examples: Iterable[Example],
        neighbours: Sequence[Neighbours],
        shares: Shares,
        seed: int,
        *,
        full_texts: bool = False,
    ) -> None:
        learnt = [each for each in examples if each.split == "train" and each.windows]
        self._by_id = {example.skill_id: example for example in learnt}
        self._near = {each.skill_id: each.near for each in neighbours}
        self._same = {each.skill_id: frozenset(each.same) for each in neighbours}
        self._written = [example for example in learnt if example.written]
        self._natural = [example for example in learnt if example.natural]
        self._copies = _near_copies(learnt)
        self._copied = [each for each in self._written if each.skill_id in self._copies]
        self._shares = shares
        self._seed = seed
        self._full_texts = full_texts

    def batch(self, step: int) -> list[Row]:
        """The rows of a step: no skill twice."""
        draw = random.Random(f"{self._seed} {step}")
        body = _full if self._full_texts and step % 2 else _window
        chosen = {each.skill_id: each for each in self._in_order(step)}
        first = list(chosen)[: self._shares.neighbours]
        for each in draw.sample(self._copied, min(self._shares.copied, len(self._copied))):
            chosen.setdefault(each.skill_id, each)
        rows = {skill_id: _row(each, each.written, body, draw) for skill_id, each in chosen.items()}
        for copy in self._copies_of(chosen, draw):
            rows.setdefault(copy.skill_id, _row(copy, [], body, draw))
        for skill_id in first:
            near = [n for n in self._near.get(skill_id, ()) if n in self._by_id and n not in rows]
            if near:
                example = self._by_id[draw.choice(near[:_HARDEST])]
                rows[example.skill_id] = _natural_row(example, body, draw)
        for example in draw.sample(self._natural, min(self._shares.natural, len(self._natural))):
            if example.skill_id not in rows:
                rows[example.skill_id] = _natural_row(example, body, draw)
        return list(rows.values())

    def _in_order(self, step: int) -> Iterator[Example]:
        """The step's skills with written requests: each once before any comes again."""
        count = len(self._written)
        for n in range(step * self._shares.written, (step + 1) * self._shares.written):
            epoch, place = divmod(n, count)
            yield random.Random(f"{self._seed} epoch {epoch}").sample(self._written, count)[place]

    def _copies_of(self, chosen: Iterable[str], draw: random.Random) -> list[Example]:
        """Some near copies of each of these skills, if any are to come along."""
        if not self._shares.copied:
            return []
        copies = [self._copies.get(skill_id, []) for skill_id in chosen]
        return [copy for each in copies for copy in draw.sample(each, min(_COPIES, len(each)))]

    def may_be_same(self, one: Row, other: Row) -> bool:
        """Whether two rows' skills are known to do the same."""
        return (
            one.name.casefold() == other.name.casefold()
            or other.skill_id in self._same.get(one.skill_id, ())
            or one.skill_id in self._same.get(other.skill_id, ())
        )

    def are_near_copies(self, one: Row, other: Row) -> bool:
        """Whether two rows' skills have one description, and bodies of their own."""
        return any(each.skill_id == other.skill_id for each in self._copies.get(one.skill_id, ()))


def _near_copies(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """By id, the other skills of the same description, with another body."""
    families: dict[str, list[Example]] = {}
    for example in examples:
        if example.description:
            families.setdefault(example.description, []).append(example)
    copies = {
        one.skill_id: [other for other in family if other is not one and not one.has_body_of(other)]
        for family in families.values()
        if len(family) <= _LARGEST_FAMILY
        for one in family
    }
    return {skill_id: found for skill_id, found in copies.items() if found}


_Body = Callable[[Example, str, random.Random], str]


def _natural_row(example: Example, body: _Body, draw: random.Random) -> Row:
    """With one or two natural requests that leave the same label; with none if there are none."""
    if not example.natural:
        return _row(example, [], body, draw)
    drawn = draw.choice(example.natural)
    others = [wish for wish in example.natural if wish != drawn and wish.label == drawn.label]
    return _row(example, [drawn, *draw.sample(others, min(1, len(others)))], body, draw)


def _row(example: Example, wishes: Sequence[Wish], body: _Body, draw: random.Random) -> Row:
    requests = tuple(views.request(wish.text) for wish in wishes)
    leaving = replace(example, label=wishes[0].label) if wishes else example
    text = body(leaving, " ".join(requests), draw)
    return Row(example.skill_id, example.name, requests, leaving.label, text)


def _window(example: Example, request: str, draw: random.Random) -> str:
    """One of the windows, the likelier the more words it shares with the request."""
    words = set(_WORD.findall(request.casefold()))
    weights = [1 + len(words & set(_WORD.findall(text.casefold()))) for text in example.windows]
    return draw.choices(example.windows, weights)[0]


def _full(example: Example, _request: str, _draw: random.Random) -> str:
    """The full text, as far as the windows hold it."""
    body = "\n".join(window.partition("\n")[2] for window in example.windows)
    return views.full(example.label, body)


def losses(
    encoder: Encoder, rows: Sequence[Row], batches: Batches, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """InfoNCE of the requests against all labels, and against all bodies.

    Labels that are nearly the same are not held against each other, nor are skills that may do the
    same; near copies are, but only by their bodies.
    """
    requests = [request for row in rows for request in row.requests]
    owners = [n for n, row in enumerate(rows) for _ in row.requests]
    asked, labels, bodies = encoder(
        requests, [row.label for row in rows], [row.body for row in rows]
    )
    same = torch.tensor([[batches.may_be_same(one, other) for other in rows] for one in rows])
    same |= (labels @ labels.T).detach() > _SAME_COSINE
    same.fill_diagonal_(False)
    copies = torch.tensor([[batches.are_near_copies(one, other) for other in rows] for one in rows])
    label, body = (
        torch.nn.functional.cross_entropy(
            (asked @ documents.T / temperature).masked_fill(left_out[owners], -torch.inf),
            torch.tensor(owners),
        )
        for documents, left_out in ((labels, same), (bodies, same & ~copies))
    )
    return label, body


def rate(step: int, steps: int, highest: float) -> float:
    """Learning rate: up over a tenth of the steps, then down to nothing."""
    warm = max(1, steps // 10)
    return highest * min((step + 1) / warm, (steps - step) / (steps - warm + 1))


def train(
    encoder: Encoder,
    batches: Batches,
    run: Path,
    *,
    steps: int,
    highest_rate: float,
    temperature: float,
    save_every: int,
) -> None:
    """Train, from where RUN stands to the last step, and leave the model in RUN/model."""
    run.mkdir(parents=True, exist_ok=True)
    weights = encoder.trainable()
    optimiser = torch.optim.AdamW(weights, weight_decay=0.01)
    state = run / "state.pt"
    first = 0
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        encoder.load_weights(saved["weights"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["step"]
        logging.info("going on from step %d", first)
    for step in tqdm(range(first, steps), initial=first, total=steps, mininterval=10):
        began = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, highest_rate)
        label, body = losses(encoder, batches.batch(step), batches, temperature)
        optimiser.zero_grad()
        torch.autograd.backward([label, body])
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            entry = {"step": step, "label": label.item(), "body": body.item()}
            log.write(json.dumps({**entry, "seconds": time.perf_counter() - began}) + "\n")
        if (step + 1) % save_every == 0 or step + 1 == steps:
            saved = {"weights": encoder.weights(), "optimiser": optimiser.state_dict()}
            partial = state.with_suffix(".partial")
            torch.save({**saved, "step": step + 1}, partial)
            partial.replace(state)
            encoder.save(run / "model")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("examples", type=Path)
    parser.add_argument("neighbours", type=Path)
    parser.add_argument("model", type=Path, help="folder of the model to start from")
    parser.add_argument("run", type=Path, help="folder for the results")
    for name, kind, default in (
        ("--steps", int, 160),
        ("--written", int, 24),
        ("--with-neighbour", int, 24),
        ("--natural", int, 0),
        ("--copied", int, 0),
        ("--rate", float, 2e-4),
        ("--temperature", float, 0.05),
        ("--tokens", int, 160),
        ("--save-every", int, 10),
        ("--seed", int, 1),
        ("--threads", int, 2),
    ):
        parser.add_argument(name, type=kind, default=default, help="default: %(default)s")
    parser.add_argument(
        "--full-texts", action="store_true", help="at every other step; asks for --tokens 256"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    batches = Batches(
        corpus.read_examples(options.examples),
        list(corpus.read_neighbours(options.neighbours)),
        Shares(options.written, options.with_neighbour, options.natural, options.copied),
        options.seed,
        full_texts=options.full_texts,
    )
    train(
        Encoder(options.model, options.tokens),
        batches,
        options.run,
        steps=options.steps,
        highest_rate=options.rate,
        temperature=options.temperature,
        save_every=options.save_every,
    )


if __name__ == "__main__":
    main()
