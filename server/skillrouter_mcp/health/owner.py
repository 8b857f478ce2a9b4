"""Checks of the process that owns the index, and of what it keeps from the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.health.finding import Finding, Section, Status
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.quarantine import Quarantine
from skillrouter_mcp.routing.models import encoder_of, engine_key
from skillrouter_mcp.sharing.remote import AloneError, RemoteRouter

if TYPE_CHECKING:
    from skillrouter_mcp.settings import Settings

_MANY = 20


def check_owner(settings: Settings) -> Iterator[Finding]:
    """Which process owns the index, and what it says of itself."""
    try:
        with RemoteRouter(settings, start=False) as owner:
            status = owner.status()
    except AloneError as error:
        yield _alone(settings.home, error)
        return
    except SkillRouterError as error:
        yield _silent(settings.home, str(error))
        return
    connections = status["sessions"] - 1  # without this one
    text = f"process {status['pid']} owns it, with {connections} open connections of servers"
    yield _finding(settings.home, "owner", "ok", text)
    if status["unwatched"]:
        yield _finding(
            settings.home,
            "unwatched",
            "note",
            f"{status['unwatched']}; the running server finds changes by looking",
            "a change is found within seconds rather than at once",
            "see the limits below",
            section="watching",
        )
    if status["follower"]:
        yield _finding(
            settings.home,
            "profile-follows",
            "note",
            f"{status['follower']}; until then profile {status['profile']} does",
            "both have models in memory meanwhile",
            "nothing: it goes over by itself",
        )
    if status["refused"]:
        yield _finding(
            settings.home,
            "profile-refused",
            "problem",
            f"{status['refused']}; profile {status['profile']} answers instead",
            "the profile that was asked for is not used",
            "mend the cause, then `skillrouter-mcp models use` again",
        )
    if status["complaint"]:
        yield _finding(
            settings.home,
            "not-kept",
            "problem",
            f"process {status['pid']} cannot keep it in step: {status['complaint']}",
            "new and changed skills are not found",
            "mend the cause; the process goes on by itself",
        )


def _alone(home: Path, error: AloneError) -> Finding:
    if error.about is None:
        return _finding(home, "owner", "ok", "no server runs at the moment")
    if not error.about:
        return _silent(home, str(error))
    return _finding(
        home,
        "owner-differs",
        "problem",
        str(error),
        "servers that differ from it work alone, each with models of its own in memory",
        "restart the clients, so that all servers are of one installation",
    )


def _silent(home: Path, text: str) -> Finding:
    return _finding(
        home,
        "owner-silent",
        "broken",
        f"the process that owns it does not do what it is asked for: {text}",
        "no server finds skills",
        "end `python -m skillrouter_mcp.sharing.owner`: the next request starts another",
    )


def check_quarantine(settings: Settings) -> Iterator[Finding]:
    """Which texts are kept from llama.cpp since it has ended the process over them."""
    held = Quarantine(settings.home, engine_key(encoder_of(settings))).held()
    if not held:
        return
    places = _places(settings, held)
    what = f"{len(held)} text{'s' if len(held) > 1 else ''} (of skills or requests)"
    yield Finding(
        section="models",
        check="quarantine",
        subject="llama.cpp",
        status="note",
        text=f"has ended its process over {what}, which it is no longer given",
        why="such skills are found by their words alone",
        remedy=f"to have them tried again: remove {settings.home / 'quarantine.json'}, then "
        "skillrouter-mcp index",
        places=tuple(places[:_MANY]),
    )


def _places(settings: Settings, held: dict[bytes, float]) -> list[str]:
    from skillrouter_mcp.index.encoding import Fingerprint

    try:
        library = Library(
            settings.home, settings.search_roots(), Fingerprint.of(encoder_of(settings))
        )
    except SkillRouterError:
        return []
    try:
        return [place.path for place in library.locate_texts(list(held))]
    finally:
        library.close()


def _finding(
    home: Path,
    check: str,
    status: Status,
    text: str,
    why: str = "",
    remedy: str = "",
    section: Section = "index",
) -> Finding:
    return Finding(
        section=section,
        check=check,
        subject=str(home),
        status=status,
        text=text,
        why=why,
        remedy=remedy,
    )
