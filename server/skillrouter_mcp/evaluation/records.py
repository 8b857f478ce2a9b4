"""The files an evaluation reads: labelled requests, and pools of skills."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from skillrouter_mcp.errors import SkillRouterError

_FOLDER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_COMPLETE = ".complete"

_Record = TypeVar("_Record", bound=BaseModel)


class RecordError(SkillRouterError):
    """A file of requests or skills cannot be used; says which line and why."""


class Request(BaseModel, frozen=True):
    """A request and the ids of the skills that are right for it."""

    id: str
    query: str
    relevant: frozenset[str]
    lang: str = ""
    kind: str = ""


class PooledSkill(BaseModel, frozen=True):
    """A skill as a line of a pool."""

    skill_id: str
    name: str
    description: str
    body: str


def read_requests(path: Path) -> list[Request]:
    """The labelled requests of a JSON lines file.

    Raises:
        RecordError: the file cannot be read, a line is no request, or two have the same id.
    """
    requests = list(_records(path, Request, "id"))
    if not requests:
        raise RecordError(f"{path} holds no requests")
    return requests


def pool_folder(pool: Path, cache: Path) -> Path:
    """A folder of skills for the pool: itself, or its lines written out as `<skill_id>/SKILL.md`.

    Args:
        cache: where written-out pools are kept, by content.

    Raises:
        RecordError: the pool cannot be read or is empty, a line is no skill, or two have the same
            id.
    """
    if pool.is_dir():
        return pool
    try:
        digest = hashlib.sha256(pool.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise RecordError(f"{pool} cannot be read: {error.strerror}") from None
    folder = cache / digest / "skills"
    if not (folder / _COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_pool(read_pool(pool), folder)
        if not any(folder.iterdir()):
            raise RecordError(f"{pool} holds no skills")
        (folder / _COMPLETE).touch()
    return folder


def read_pool(pool: Path) -> Iterator[PooledSkill]:
    """The skills of a JSON lines file.

    Raises:
        RecordError: the pool cannot be read, a line is no skill, or two have the same id.
    """
    return _records(pool, PooledSkill, "skill_id")


def write_pool(skills: Iterator[PooledSkill], folder: Path) -> None:
    """Writes each skill as a folder with a `SKILL.md`.

    Raises:
        RecordError: a skill's id cannot name a folder.
    """
    for skill in skills:
        if _FOLDER_NAME.fullmatch(skill.skill_id) is None:
            raise RecordError(f"skill id {skill.skill_id!r} cannot name a folder")
        place = folder / skill.skill_id
        place.mkdir(parents=True, exist_ok=True)
        front_matter = f"name: {json.dumps(skill.name)}\n"
        if skill.description:
            front_matter += f"description: {json.dumps(skill.description)}\n"
        (place / "SKILL.md").write_text(
            f"---\n{front_matter}---\n{skill.body}", encoding="utf-8", newline=""
        )


def _records(path: Path, kind: type[_Record], id_field: str) -> Iterator[_Record]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    first_lines: dict[str, int] = {}
    try:
        with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                record = kind.model_validate_json(line)
                first = first_lines.setdefault(getattr(record, id_field), number)
                if first != number:
                    raise RecordError(
                        f"{path}, line {number}: {id_field} was there before, in line {first}"
                    )
                yield record
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise RecordError(f"{path}, line {number}: {where} {wrong['msg']}".rstrip()) from None
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}, after line {number}: {error}") from None
