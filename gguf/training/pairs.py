"""Make training examples: each skill's views, and the requests that it serves.

    python -m training.pairs SKILLS.jsonl.gz REQUESTS.jsonl EXAMPLES.jsonl

Besides the requests written by hand, a skill often says itself what people ask for: "use when"
clauses and quoted phrases of its description, and the list under "When to use". Those become
requests too, and are taken out of the side that they shall find.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from training import corpus, views
from training.corpus import Example, Request, Skill, Wish

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_CLAUSE = re.compile(
    r"^(?:also |always |proactively |auto-?)?(?:use|invoke|triggers?|activates?|apply|load)\b"
    r"(?: this| the)?(?: skill)?(?: proactively)?"
    r"(?: whenever| when| for| if| to| on| with| by)?"
    r"(?: (?:the )?users? (?:asks?|wants?|needs?|requests?|says?|mentions?)(?: (?:to|for|about))?)?"
    r"[:,]?\s*",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“]([^\"“”\n]{8,150})[\"”]")
_SECTION = re.compile(
    r"^(#+)[ \t]+[^\n]*\b(?:when to (?:use|activate|apply)|triggers?|use cases|example (?:requests|"
    r"prompts|queries)|activation)\b[^\n]*\n(.*?)(?=^#{1,6}[ \t]|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d+\.)[ \t]+(.+)$", re.MULTILINE)
_BOILERPLATE = re.compile(r"auto-activating|this skill|in the domain of|rube mcp", re.IGNORECASE)
_LEAST_LETTERS, _MOST_CHARACTERS = 14, 400
_MOST_WISHES = 4
_TOO_COMMON = 3  # a request that so many skills claim tells none of them apart
_LATIN_SHARE = 0.9


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("skills", type=Path)
    parser.add_argument("requests", type=Path)
    parser.add_argument("examples", type=Path, help="the file to write")
    parser.add_argument("--held-out", type=float, default=0.1, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    examples = make_examples(
        tqdm(corpus.read_skills(options.skills), unit=" skills", mininterval=5),
        corpus.read_requests(options.requests),
        options.held_out,
        options.seed,
    )
    count = corpus.write(options.examples, examples)
    logging.info("%s: %d examples", options.examples, count)


def make_examples(
    skills: Iterable[Skill], requests: Iterable[Request], held_out: float, seed: int
) -> list[Example]:
    """The examples of all skills in Latin writing.

    Args:
        held_out: this share of the skills with requests by hand is kept for validation.
    """
    written: dict[str, list[str]] = defaultdict(list)
    for request in requests:
        if request.lang == "en":
            for skill_id in request.relevant:
                written[skill_id].append(request.query)
    asked_for = sorted(written)
    validation = set(random.Random(seed).sample(asked_for, round(held_out * len(asked_for))))
    examples = [
        _example(skill, written.get(skill.skill_id, []), skill.skill_id in validation)
        for skill in skills
        if is_latin(f"{skill.name} {skill.description} {skill.body}")
    ]
    claims = Counter(wish.text.casefold() for each in examples for wish in each.natural)
    return [
        replace(
            each,
            natural=[w for w in each.natural if claims[w.text.casefold()] < _TOO_COMMON],
        )
        for each in examples
    ]


def _example(skill: Skill, written: list[str], validation: bool) -> Example:
    whole = views.label(skill.name, skill.description)
    wishes, body = find_wishes(skill)
    return Example(
        skill_id=skill.skill_id,
        name=skill.name,
        split="validation" if validation else "train",
        label=whole,
        windows=views.windows(skill.name, skill.body if written else body),
        written=[Wish(text, whole) for text in written],
        natural=wishes,
    )


def find_wishes(skill: Skill) -> tuple[list[Wish], str]:
    """The requests that a skill names itself, and its body without those."""
    found: dict[str, str] = {}
    for text, rest in _in_description(skill.description):
        found.setdefault(text, views.label(skill.name, rest))
    body = skill.body
    for section in _SECTION.finditer(skill.body):
        for item in _ITEM.findall(section.group(2)):
            found.setdefault(_tidy(item), views.label(skill.name, skill.description))
        body = body.replace(section.group(0), "")
    wishes = [Wish(text, label) for text, label in found.items() if _is_wish(text)]
    return wishes[:_MOST_WISHES], body


def _in_description(description: str) -> Iterator[tuple[str, str]]:
    """Requests, each with the description that is left without it."""
    sentences = _SENTENCE.split(description)
    for number, sentence in enumerate(sentences):
        clause = _CLAUSE.match(sentence)
        if not clause:
            continue
        rest = " ".join(sentences[:number] + sentences[number + 1 :])
        if len(rest) < _LEAST_LETTERS:
            continue
        quoted = _QUOTED.findall(sentence)
        for text in quoted or [sentence[clause.end() :]]:
            yield _tidy(text), rest


def _tidy(text: str) -> str:
    return re.sub(r"[*`_\"“”]+", "", text).strip(" .:;,-")


def _is_wish(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return (
        letters >= _LEAST_LETTERS
        and len(text) <= _MOST_CHARACTERS
        and not _BOILERPLATE.search(text)
        and not re.match(r"(?:do )?not\b|don.t\b|never\b", text, re.IGNORECASE)
    )


def is_latin(text: str) -> bool:
    """Whether nearly all letters are Latin, as the encoder's vocabulary wants them."""
    if text.isascii():
        return True
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter <= "\u024f" for letter in letters) >= _LATIN_SHARE * len(letters)


if __name__ == "__main__":
    main()
