"""The files that the programs read and hand on: JSON, one object a line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

_TRIGRAMS_SHARED = 0.6


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill as the router would index it."""

    skill_id: str
    name: str
    description: str
    body: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request with the skills that serve it.

    Attributes:
        kind: "short" or "task".
    """

    id: str
    query: str
    relevant: tuple[str, ...]
    lang: str
    kind: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody may ask for who needs a certain skill.

    Attributes:
        label: the skill's label for this wish: without the words that the wish was taken from.
    """

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Example:
    """A skill's texts on both sides.

    Attributes:
        label: name and description.
        windows: of the body, without the section that the wishes were taken from.
        written: requests that somebody wrote by hand.
        natural: requests found in the skill itself.
    """

    skill_id: str
    name: str
    split: Literal["train", "validation"]
    label: str
    windows: list[str]
    written: list[Wish] = field(default_factory=list)
    natural: list[Wish] = field(default_factory=list)

    @property
    def description(self) -> str:
        """What the label says after the name, for comparison: folded, with single spaces."""
        return " ".join(self.label[len(self.name) + 2 :].casefold().split())

    def has_body_of(self, other: Example) -> bool:
        """Whether the two skills' windows share most of their word trigrams; of few words, all."""
        own, others = _trigrams(self.windows), _trigrams(other.windows)
        if not own and not others:
            return _bodies(self.windows) == _bodies(other.windows)
        return len(own & others) > _TRIGRAMS_SHARED * len(own | others)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a skill is to be told apart from.

    Attributes:
        near: ids of skills like it, the hardest first.
        same: ids of skills that do the same, so that they can't be negatives.
    """

    skill_id: str
    near: list[str]
    same: list[str]


def read_skills(path: Path) -> Iterator[Skill]:
    """The skills of a `.jsonl` or `.jsonl.gz`."""
    for row in _rows(path):
        yield Skill(row["skill_id"], row["name"], row["description"], row["body"])


def read_requests(path: Path) -> Iterator[Request]:
    """The requests of a `.jsonl`."""
    for row in _rows(path):
        yield Request(row["id"], row["query"], tuple(row["relevant"]), row["lang"], row["kind"])


def read_examples(path: Path) -> Iterator[Example]:
    """What `training.pairs` wrote."""
    for row in _rows(path):
        for side in ("written", "natural"):
            row[side] = [Wish(**wish) for wish in row[side]]
        yield Example(**row)


def read_neighbours(path: Path) -> Iterator[Neighbours]:
    """What `training.negatives` wrote."""
    for row in _rows(path):
        yield Neighbours(**row)


def write(path: Path, items: Iterable[Example | Neighbours]) -> int:
    """Write one object a line, all or nothing; gives how many."""
    count = 0
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for item in items:
            file.write(json.dumps(asdict(item), ensure_ascii=False) + "\n")
            count += 1
    partial.replace(path)
    return count


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    # As bytes, for bodies hold characters that text files take for line ends.
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise SystemExit(f"{path}, line {number}: not JSON ({error}).") from error


def _bodies(windows: Iterable[str]) -> str:
    """The windows without the names at their heads."""
    return " ".join(window.partition("\n")[2] for window in windows)


def _trigrams(windows: Iterable[str]) -> set[tuple[str, ...]]:
    words = _bodies(windows).split()
    return set(zip(words, words[1:], words[2:], strict=False))
