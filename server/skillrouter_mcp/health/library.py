"""Checks of the index and of the folders that it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from skillrouter_gguf import ModelError
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.routing.router import encoder_of
from skillrouter_mcp.settings import Settings
from skillrouter_mcp.skills import Problem, printable

_INDEX = "skillrouter-mcp index"
_PATH_CHARACTERS = 4_096


def check_library(settings: Settings) -> Iterator[Finding]:
    """Whether the index opens and agrees with the folders, and what in them could not be loaded."""
    try:
        fingerprint = Fingerprint.of(encoder_of(settings))
        library = Library(settings.home, settings.search_roots(), fingerprint)
    except ModelError:
        return  # told among the models
    except DatabaseError as error:
        yield Finding(section="index", subject="index", status="broken", text=str(error))
        return
    try:
        yield from _check_index(library)
        yield from _check_folders(library)
    except DatabaseError as error:
        yield Finding(section="index", subject="index", status="broken", text=str(error))
    finally:
        library.close()


def _check_index(library: Library) -> Iterator[Finding]:
    damage = library.damage()
    if damage:
        yield Finding(
            section="index",
            subject=str(library.home),
            status="broken",
            text=f"the database is damaged: {damage}",
            remedy="skillrouter-mcp index --rebuild",
        )
        return
    out_of_step = library.out_of_step()
    pending = library.pending()
    skills = len(library.snapshot.visible)
    text = f"{skills} skills can be found, {pending} not embedded yet"
    if out_of_step:
        text += f", {out_of_step} files differ from what was read last"
    yield Finding(
        section="index",
        subject=str(library.home),
        status="warning" if out_of_step or pending else "ok",
        text=text,
        remedy=f"a running server does it by itself, or: {_INDEX}"
        if out_of_step or pending
        else "",
    )


def _check_folders(library: Library) -> Iterator[Finding]:
    for root in library.roots:
        exists = root.path.is_dir()
        if root.scope == "user" or exists:
            yield Finding(
                section="library",
                subject=printable(str(root.path), _PATH_CHARACTERS),
                status="ok" if exists else "warning",
                text="is there" if exists else "is not there yet, so no skill of it can be found",
                remedy="" if exists else f"mkdir -p {printable(str(root.path), _PATH_CHARACTERS)}",
            )
    for problem in library.problems():
        yield _told(problem, "could not be loaded: ")
    for problem in library.warnings():
        yield _told(problem, "")


def _told(problem: Problem, prefix: str) -> Finding:
    return Finding(
        section="library",
        subject=printable(problem.path, _PATH_CHARACTERS),
        status="warning",
        text=prefix + problem.reason,
    )
