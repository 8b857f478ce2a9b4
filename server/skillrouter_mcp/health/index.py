"""Checks of the home folder and the index in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skillrouter_gguf import ModelError
from skillrouter_mcp.health.file_system import network_file_system
from skillrouter_mcp.health.finding import Finding, Mend, Progress, Status
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import DamagedDatabaseError, DamagedWordsError, DatabaseError
from skillrouter_mcp.index.inspection import damaged_words, inspect
from skillrouter_mcp.index.library import DATABASE_FILE, Library
from skillrouter_mcp.index.opening import set_asides
from skillrouter_mcp.routing.models import encoder_of
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import Settings, SettingsError

_INDEX = "skillrouter-mcp index"
_FIX = "skillrouter-mcp doctor --fix"
_OTHER_HOME = "set SKILLROUTER_HOME to a folder that can be written"
_NOTHING_FOUND = "no skill can be found until it is mended"
_NOT_FOLLOWED = "skills are found as they were last read: changes of theirs are not noticed"


def check_index(settings: Settings, progress: Progress) -> Iterator[Finding]:
    """Whether home and index can be used, and whether the index agrees with the folders.

    A damaged index is left as it is. One that is whole is opened as a server would.
    """
    home = settings.home
    trouble = _trouble_with(home)
    if trouble:
        yield _unwritable(home, trouble)
        return
    network = network_file_system(home)
    if network:
        why = "SQLite cannot share its index there between programs, and may damage it"
        text = f"lies on a network file system ({network})"
        yield _finding(home, "home", "problem", text, why, "set SKILLROUTER_HOME to a local folder")
    try:
        if inspect(home) != "whole":
            yield _no_index(settings, progress)
            return
        # Before opening it mends what it notices; twice, as a server may write at this moment.
        damaged = damaged_words(home) and damaged_words(home)
        if damaged:
            yield _words(settings, progress, f"{damaged[0]} is damaged or gone")
        yield from _check_library(settings, progress, words=not damaged)
    except DamagedDatabaseError as error:
        mend = Mend(
            "the file is set aside under another name and the index made anew",
            lambda: bring_in_step(settings, progress, rebuild=True),
        )
        yield _finding(home, "index", "broken", str(error), _NOTHING_FOUND, _FIX, mend)
    except DatabaseError as error:
        remedy = "end the program that holds it" if "locked" in str(error) else _OTHER_HOME
        yield _finding(home, "index", "broken", str(error), _NOTHING_FOUND, remedy)
    except (ModelError, SettingsError):
        return  # told among the models


def check_set_aside(settings: Settings) -> Iterator[Finding]:
    """Databases that were damaged, which nobody needs any more; they are left to their owner."""
    files = set_asides(settings.home / DATABASE_FILE)
    sizes = [file.stat().st_size for file in files]
    if not files:
        return
    plural = "s" if len(files) > 1 else ""
    text = (
        f"{len(files):,} file{plural} of damaged databases were set aside, "
        f"{sum(sizes) / 1e6:,.1f} MB in all; what they held was read anew from the folders"
    )
    yield Finding(
        section="index",
        check="set-aside",
        subject=str(settings.home),
        status="note",
        text=text,
        why="they take space, and are of use only to find out what damaged them",
        remedy=f"they may be deleted: rm {settings.home / DATABASE_FILE}.damaged-*",
        places=tuple(map(str, files)),
    )


def bring_in_step(settings: Settings, progress: Progress, *, rebuild: bool = False) -> None:
    """Reads and embeds what changed, after setting a damaged index aside."""
    with Router.open(settings, keep=False) as router:
        damaged = rebuild and bool(router.library.damage())
        router.bring_in_step(progress, rebuild=damaged)


def _trouble_with(home: Path) -> str:
    """What keeps files from being written in the home, found by trying; empty if nothing does."""
    folders = (home, *home.parents)
    existing = next(f for f in folders if os.path.exists(f))  # noqa: PTH110 (never raises)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        if existing == home:
            return f"cannot be written: {error.strerror}"
        return f"is not there and cannot be made: {existing}: {error.strerror}"
    return ""


def _unwritable(home: Path, trouble: str) -> Finding:
    try:
        readable = inspect(home) == "whole"
    except DatabaseError:
        readable = False
    if readable:
        remedy = f"make it writable, or {_OTHER_HOME}"
        return _finding(home, "home", "problem", trouble, _NOT_FOLLOWED, remedy)
    return _finding(home, "home", "broken", trouble, _NOTHING_FOUND, _OTHER_HOME)


def _no_index(settings: Settings, progress: Progress) -> Finding:
    return _finding(
        settings.home,
        "no-index",
        "note",
        "there is no index yet",
        "it is made when a client first starts the server, and skills are found from then on",
        _INDEX,
        Mend("the index is made", lambda: bring_in_step(settings, progress)),
    )


def _check_library(settings: Settings, progress: Progress, *, words: bool) -> Iterator[Finding]:
    fingerprint = Fingerprint.of(encoder_of(settings))
    library = Library(settings.home, settings.search_roots(), fingerprint)
    try:
        with library.writing() as mine:
            if not mine:
                text = "another process is bringing it in step at this moment"
                why = "what it has not read yet cannot be found"
                yield _finding(
                    settings.home, "writer", "note", text, why, "wait, and run this again"
                )
            else:
                library.check_writable()
            if mine and words:
                yield from _check_words(library, settings, progress)
            yield _agreement(library, settings, progress)
    finally:
        library.close()


def _check_words(library: Library, settings: Settings, progress: Progress) -> Iterator[Finding]:
    try:
        present, partial = library.words.ids(), library.words.without_sections
    except DamagedWordsError as error:
        yield _words(settings, progress, str(error))
        return
    documents = library.store.document_ids()
    lacking, surplus = len(documents - present - partial), len((present | partial) - documents)
    if lacking or surplus:
        text = (
            f"the word index lacks {lacking:,} of {len(documents):,} texts and has {surplus:,} old"
        )
        yield _words(settings, progress, text)
    elif partial:
        yield _finding(
            settings.home,
            "words",
            "note",
            f"of {len(partial):,} of {len(documents):,} texts the sections are still to be indexed",
            "they are found by their words as a whole, long ones less surely",
            f"a running server does it by itself, or: {_INDEX}",
            Mend("the sections are indexed", lambda: bring_in_step(settings, progress)),
        )


def _words(settings: Settings, progress: Progress, text: str) -> Finding:
    return _finding(
        settings.home,
        "words",
        "problem",
        text,
        "skills are found by their vectors alone, or requests fail",
        _FIX,
        Mend("the word index is made anew", lambda: _renew_words(settings, progress)),
    )


def _renew_words(settings: Settings, progress: Progress) -> None:
    for folder in settings.home.glob("words-*"):
        shutil.rmtree(folder)
    bring_in_step(settings, progress)


def _agreement(library: Library, settings: Settings, progress: Progress) -> Finding:
    out_of_step = library.out_of_step()
    pending = library.pending()
    text = f"{len(library.snapshot.visible):,} skills can be found, {pending:,} not embedded yet"
    if not (out_of_step or pending):
        return _finding(library.home, "index", "ok", text)
    if out_of_step:
        text += f", {out_of_step:,} files differ from what was read last"
    return _finding(
        library.home,
        "pending",
        "problem",
        text,
        "new skills are found by their words alone, or not at all, until this is done",
        f"a running server does it by itself, or: {_INDEX}",
        Mend("what changed is read and embedded", lambda: bring_in_step(settings, progress)),
    )


def _finding(
    home: Path,
    check: str,
    status: Status,
    text: str,
    why: str = "",
    remedy: str = "",
    mend: Mend | None = None,
) -> Finding:
    return Finding(
        section="index",
        check=check,
        subject=str(home),
        status=status,
        text=text,
        why=why,
        remedy=remedy,
        mend=mend,
    )
