"""Checks of the roots and of how changes in them are noticed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from skillrouter_mcp.health.file_system import PROC, network_file_system
from skillrouter_mcp.health.finding import Finding, Status
from skillrouter_mcp.index.keeper import RESCAN_SECONDS
from skillrouter_mcp.settings import Settings
from skillrouter_mcp.skills import Root, walk
from skillrouter_mcp.skills.watching import Watch

_PUT_SKILLS = "put folders with a SKILL.md into it"
_SLOW_LOOK_SECONDS = 1.0
_NEARLY_ALL = 0.9  # of a limit


def check_watching(settings: Settings, proc: Path = PROC) -> Iterator[Finding]:
    """The state of each root, how long a look through all takes, and the limits of inotify.

    Args:
        proc: where Linux tells of mounts, limits and open files.
    """
    roots = settings.search_roots()
    for root in roots:
        yield from _check_root(root, proc)
    yield _look(roots)
    unwatched = _unwatched(roots)
    yield _hint(unwatched)
    yield from _check_inotify(proc, needed=bool(unwatched))


def _check_root(root: Root, proc: Path) -> Iterator[Finding]:
    path = root.path
    try:
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except FileNotFoundError:
        if os.path.islink(path):  # noqa: PTH114 (answers where a folder above cannot be read)
            text, remedy = "is a link that leads nowhere", "put its target back, or remove the link"
            yield _root_finding(path, "root-missing", "problem", text, remedy)
        elif root.scope == "user":  # a project need not have one
            text = "is not there yet, so no skill of it can be found"
            yield _root_finding(path, "root-missing", "problem", text, f"mkdir -p {path}")
        return
    except NotADirectoryError:
        text = "is not a folder, so no skill can be found in it"
        remedy = "set SKILLROUTER_ROOTS, or roots in config.toml, to the folder that holds skills"
        yield _root_finding(path, "root-not-folder", "broken", text, remedy)
        return
    except OSError as error:
        text = f"cannot be read: {error.strerror}, so no skill of it can be found"
        remedy = f"chmod u+rx {path}, or choose another folder by SKILLROUTER_ROOTS"
        yield _root_finding(path, "root-unreadable", "broken", text, remedy)
        return
    network = network_file_system(path, proc)
    if network:
        text = f"lies on a network file system ({network}), where each look takes longer"
        yield _root_finding(path, "root-network", "note", text, "keep skills on a local disk")
    if empty:
        yield _root_finding(path, "root-empty", "note", "is empty", _PUT_SKILLS)
    elif not network:
        yield _root_finding(path, "root", "ok", "is there", "")


def _look(roots: tuple[Root, ...]) -> Finding:
    began = time.perf_counter()
    found = walk(roots)
    seconds = time.perf_counter() - began
    slow = seconds > _SLOW_LOOK_SECONDS
    return Finding(
        section="watching",
        check="look",
        subject="a look through the folders",
        status="note" if slow else "ok",
        text=f"took {seconds:.2f} s for {len(found.files):,} skills",
        why="so long a look keeps the disk busy, and a change is noticed later" if slow else "",
        remedy="choose smaller or local roots by SKILLROUTER_ROOTS" if slow else "",
    )


def _unwatched(roots: tuple[Root, ...]) -> str:
    watch = Watch(lambda: None)
    try:
        return watch.follow([str(root.path) for root in roots], walk(roots).linked)
    finally:
        watch.close()


def _hint(unwatched: str) -> Finding:
    return Finding(
        section="watching",
        check="hint",
        subject="changes",
        status="note" if unwatched else "ok",
        text=f"the server is not told of them: {unwatched}"
        if unwatched
        else "the system tells the server of them at once",
        why=f"it finds them by looking every {RESCAN_SECONDS:g} s, more seldom in a large library"
        if unwatched
        else "",
        remedy="raise the limits of inotify, if they are what is said" if unwatched else "",
    )


def _check_inotify(proc: Path, *, needed: bool) -> Iterator[Finding]:
    limits = proc / "sys" / "fs" / "inotify"
    try:
        most = {
            what: int((limits / f"max_user_{what}").read_text())
            for what in ("instances", "watches")
        }
    except (OSError, ValueError):
        return  # not Linux
    used = _inotify_use(proc)
    exhausted = [what for what in most if used[what] >= _NEARLY_ALL * most[what]]
    why = "editors, and other programs of this user that watch files, may miss changes"
    if needed:
        why = "the server cannot watch the folders and looks by itself; " + why
    counts = ", ".join(f"{used[what]:,} of {most[what]:,} {what}" for what in most)
    yield Finding(
        section="watching",
        check="inotify",
        subject="inotify",
        status="note" if exhausted else "ok",
        text=f"this user's programs hold {counts}",
        why=why if exhausted else "",
        remedy=" ".join(
            f"sudo sysctl fs.inotify.max_user_{what}={max(2 * most[what], 1024)}"
            for what in exhausted
        ),
    )


def _inotify_use(proc: Path) -> dict[str, int]:
    """Inotify instances and watches of this user's programs, as far as their files can be seen."""
    used = {"instances": 0, "watches": 0}
    for process in proc.glob("[0-9]*"):
        try:
            if process.stat().st_uid != os.getuid():
                continue
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) == "anon_inode:inotify":
                    used["instances"] += 1
                    information = (process / "fdinfo" / descriptor.name).read_text()
                    used["watches"] += information.count("inotify wd:")
        except OSError:
            continue  # ended meanwhile, or may not be looked at
    return used


def _root_finding(path: Path, check: str, status: Status, text: str, remedy: str) -> Finding:
    return Finding(
        section="watching",
        check=check,
        subject=str(path),
        status=status,
        text=text,
        why="" if status == "ok" else "a request finds only what lies in a root",
        remedy=remedy,
    )
