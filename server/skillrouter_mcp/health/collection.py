"""All skills of the roots as they lie on the disk, read once for every check of the library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skillrouter_mcp.health.finding import Progress
from skillrouter_mcp.health.near_copies import Shingler, Trigrams
from skillrouter_mcp.health.side_by_side import side_by_side
from skillrouter_mcp.health.steering import Suspicion, suspicions
from skillrouter_mcp.skills import (
    Problem,
    Root,
    SkillError,
    SkillFile,
    parse_skill,
    read_text,
    walk,
)


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
    skills: list[ReadSkill] = []
    problems = list(found.problems)
    done = 0
    for part in side_by_side(_read_part, found.files):
        done += len(part)
        skills += (read for read in part if isinstance(read, ReadSkill))
        problems += (read for read in part if isinstance(read, Problem))
        progress.checking("reading", done, len(found.files), "skills")
    return Collection(tuple(skills), tuple(problems))


def _read_part(files: Sequence[SkillFile]) -> list[ReadSkill | Problem]:
    shingler = Shingler()
    return [_read(file, shingler) for file in files]


def _read(file: SkillFile, shingler: Shingler) -> ReadSkill | Problem:
    path = file.path
    try:
        text = read_text(Path(path), real=file.real)
        skill = parse_skill(text, Path(path))
    except SkillError as error:
        return Problem(path, file.root, error.reason)
    fields = (skill.name, skill.description, skill.body)
    return ReadSkill(
        path,
        file.root.scope,
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
