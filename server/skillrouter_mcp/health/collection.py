"""All skills of the roots as they lie on the disk, read once for every check of the library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skillrouter_mcp.health.finding import Progress
from skillrouter_mcp.health.near_copies import Shingler, Trigrams
from skillrouter_mcp.health.steering import Suspicion, suspicions
from skillrouter_mcp.skills import Problem, Root, SkillError, read_skill, walk


@dataclass(frozen=True, slots=True)
class ReadSkill:
    """What the checks need to know of one `SKILL.md`; its text is not kept.

    Attributes:
        path: absolute, safe to print.
        name, description: one line each, safe to print.
        digest: the same for the same name, description and body.
        lines, characters: of the whole file.
    """

    path: str
    scope: Literal["project", "user"]
    name: str
    description: str
    hidden: bool
    warnings: tuple[str, ...]
    digest: bytes
    lines: int
    characters: int
    trigrams: Trigrams
    suspicions: tuple[Suspicion, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """The skills that could be read, by root and path, and what could not be."""

    skills: tuple[ReadSkill, ...]
    problems: tuple[Problem, ...]


def read_collection(roots: Sequence[Root], progress: Progress) -> Collection:
    """Walks the roots and reads every skill."""
    found = walk(roots)
    shingler = Shingler()
    skills: list[ReadSkill] = []
    problems = list(found.problems)
    for number, file in enumerate(found.files, 1):
        try:
            skills.append(_read(file.path, file.root.scope, shingler))
        except SkillError as error:
            problems.append(Problem(file.path, file.root, error.reason))
        progress.checking("reading", number, len(found.files), "skills")
    return Collection(tuple(skills), tuple(problems))


def _read(path: str, scope: Literal["project", "user"], shingler: Shingler) -> ReadSkill:
    skill = read_skill(Path(path))
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError as error:
        raise SkillError(f"can't be read ({error.strerror}): look again") from None
    fields = (skill.name, skill.description, skill.body)
    return ReadSkill(
        path,
        scope,
        skill.name,
        skill.description,
        skill.hidden,
        skill.warnings,
        hashlib.sha256("\0".join(fields).encode("utf-8", "replace")).digest(),
        text.count("\n") + 1,
        len(text),
        shingler.trigrams(skill.body),
        tuple(suspicions(text)),
    )
