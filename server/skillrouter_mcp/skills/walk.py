"""Walking the roots: which `SKILL.md` files there are, and what tells that one has changed."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from skillrouter_mcp.skills.reasons import irregular, why
from skillrouter_mcp.skills.sanitise import is_plain, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_DEPTH = 6
"""Folders between a root and a `SKILL.md` in the deepest of them."""

MAX_FOLDERS = 200_000
"""Folders and links that are looked into, per root."""

MAX_ENTRIES = 5_000_000
"""Entries of folders that are looked at, per root."""

MAX_PROBLEMS = 1_000
"""Problems that are told one by one, per root."""

SKILL_NAMES = frozenset({"SKILL.md", "skill.md"})
"""What a skill's file may be called; where both are there, the first counts."""

SKIPPED = frozenset({".git", "node_modules"})
"""Folders in which no skills are looked for."""

# The format's own folders for what belongs to a skill; a SKILL.md in them is a sample.
_RESOURCES = frozenset({"assets", "references", "scripts"})

_MAX_PATH = 4_096
_FOLDERS_AT_A_TIME = 256  # some ten milliseconds
_LEADS_OUT = "is a link out of a skill's folder or git checkout and was not followed"

_Id: TypeAlias = "tuple[int, int] | str"
# Path, folders below the root, and the outermost skill's folder or git checkout around it, if any.
_Place: TypeAlias = "tuple[str, int, str | None]"
# Folders, links, the name of the skill's file or "", and whether it is a git checkout.
_Listing: TypeAlias = "tuple[list[str], list[str], str, bool]"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of skills: the user's own, or that of the project at hand."""

    path: Path
    scope: Literal["project", "user"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What differs when a file was edited, replaced or given other rights; times in ns."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


@dataclass(frozen=True, slots=True)
class SkillFile:
    """A regular file that holds a skill. `path` is absolute, safe to print, and goes through the
    root as it was given, with links kept. `way` is how the path begins, as far as links are on it,
    and where that leads: shared by many files."""

    path: str
    root: Root
    stamp: Stamp
    way: tuple[str, str] = ("", "")

    @property
    def real(self) -> str:
        """Where the file was found to lie: a path without links."""
        return self.way[1] + self.path[len(self.way[0]) :]


@dataclass(frozen=True, slots=True)
class Problem:
    """What was passed over below a root, and why. `path` and `reason` are safe to print; `reason`
    completes "<path> …"."""

    path: str
    root: Root
    reason: str


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk found, by root in the order given, then by path.

    `linked` holds the links that were followed, to folders and to skills' files.
    """

    files: tuple[SkillFile, ...]
    problems: tuple[Problem, ...]
    linked: tuple[str, ...]


def walk(
    roots: Sequence[Root],
    sets: Sequence[Sequence[Root]] | None = None,
    *,
    max_folders: int = MAX_FOLDERS,
    max_entries: int = MAX_ENTRIES,
    give_way: Callable[[], None] = lambda: None,
) -> Walk:
    """Find the skills below `roots`, without opening any of them.

    A root may itself be a skill's folder, may be named twice (the first counts) and need not exist
    yet. Below it, `SKILL.md` (or else `skill.md`) counts in every folder down to `MAX_DEPTH`, also
    in folders of a skill; but not in `.git` and `node_modules`, nor in a skill's own `assets`,
    `references` and `scripts`.

    Links to folders are followed, and a folder that several paths lead to counts once per root:
    under its own path where that lies in the root. No link to a folder is followed from within a
    skill's folder or a git checkout, which others may have packed, nor to a folder that holds the
    root; and a `SKILL.md` in such a package is no link out of it, unless it is the skill's own.
    Links that lead out of a package are told as problems.

    Never raises for what is on the disk.

    Args:
        sets: the roots that each of several people sees, by default all of them. What a link in a
            package leads to counts only where everybody may see it who sees the package.
        give_way: called every few hundred folders, to wait for what is more urgent.
    """
    paths: dict[str, Root] = {}
    for root in roots:
        paths.setdefault(os.path.abspath(root.path), root)  # noqa: PTH100 (keeps links)
    real_paths = {path: _real_path(path) for path in paths}
    seen = [
        {os.path.abspath(root.path) for root in together}  # noqa: PTH100
        for together in (sets or [roots])
    ]
    files: list[SkillFile] = []
    problems: list[Problem] = []
    linked: list[str] = []
    for path, root in paths.items():
        common = set.intersection(*[together for together in seen if path in together] or [{path}])
        # What one project holds is nothing to those who work in another.
        within = tuple(
            real_path
            for other, real_path in real_paths.items()
            if other == path or (paths[other].scope == "user" and other in common)
        )
        found = _RootWalk(root, path, within, max_folders, max_entries, give_way)
        found.run()
        files += sorted(found.files, key=lambda file: file.path)
        problems += sorted(found.problems, key=lambda problem: problem.path)
        linked += sorted(found.linked)
    return Walk(tuple(files), tuple(problems), tuple(linked))


class _LimitError(Exception):
    """One of the limits of a walk was reached."""


class _RootWalk:
    """The walk below one root.

    Breadth first, so that a limit cuts off what lies deepest, and links last, so that a folder is
    known by its own path. A tree without links has no loops: only when the first link is followed
    are the device and inode of each folder asked for.
    """

    def __init__(
        self,
        root: Root,
        path: str,
        real_roots: tuple[str, ...],
        max_folders: int,
        max_entries: int,
        give_way: Callable[[], None],
    ) -> None:
        self.files: list[SkillFile] = []
        self.problems: list[Problem] = []
        self.linked: list[str] = []
        self._root = root
        self._path = path
        self._real_roots = real_roots
        self._real_packages: dict[str, str] = {}
        self._walked: list[str] = []
        self._seen: set[_Id] | None = None
        self._links: deque[tuple[str, int]] = deque()
        self._way = (path, _real_path(path))
        self._max_folders = self._folders_left = max_folders
        self._max_entries = self._entries_left = max_entries
        self._give_way = give_way
        self._untold = 0

    def run(self) -> None:
        try:
            if not stat.S_ISDIR(os.stat(self._path).st_mode):  # noqa: PTH116
                self._tell(self._path, "is not a folder: give the folder that holds the skills")
                return
        except FileNotFoundError:
            return  # not made yet
        except (OSError, ValueError) as error:
            self._tell(self._path, why(error))
            return
        try:
            self._descend(self._path, 0)
            self._follow_links()
        except _LimitError as limit:
            self._tell(self._path, f"{limit}, the rest was left out: choose a smaller root")
        if self._untold:
            more = f"has {self._untold:,} more problems below it: put right those listed first"
            self.problems.append(Problem(printable(self._path, _MAX_PATH), self._root, more))

    def _descend(self, path: str, depth: int) -> None:
        queue: deque[_Place] = deque([(path, depth, None)])
        while queue:
            place = queue.popleft()
            try:
                if self._seen is None:
                    self._walked.append(place[0])
                elif not self._is_new(place[0]):
                    continue
                listing = self._list(place[0])
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed meanwhile
            except OSError as error:
                self._tell(place[0], why(error))
                continue
            self._enter(place, listing, queue)

    def _enter(self, place: _Place, listing: _Listing, queue: deque[_Place]) -> None:
        path, depth, package = place
        folders, links, skill_file, is_checkout = listing
        prefix = path if path.endswith(os.sep) else path + os.sep
        if skill_file:
            around = path if is_checkout and depth > 0 else package
            self._take(prefix + skill_file, skill_file in links, around)
        if package is None and depth > 0 and (skill_file or is_checkout):
            package = path
        if depth == MAX_DEPTH:
            return
        skipped = _RESOURCES if skill_file else ()
        for name in sorted(folders):
            if name not in skipped:
                queue.append((prefix + name, depth + 1, package))
        for name in sorted(links):
            if name in skipped or name.startswith(".#"):  # the latter are Emacs's locks
                continue
            if package is None:
                self._links.append((prefix + name, depth + 1))
            else:
                self._check_stays(prefix + name, package)

    def _list(self, path: str) -> _Listing:
        self._count_folder()
        folders: list[str] = []
        links: list[str] = []
        skill_file = ""
        is_checkout = False
        entries_left = self._entries_left
        with os.scandir(path) as entries:
            for entry in entries:
                entries_left -= 1
                if entries_left < 0:
                    raise _LimitError(f"holds more than {self._max_entries:,} files and folders")
                name = entry.name
                if name == "SKILL.md" or (name == "skill.md" and not skill_file):
                    skill_file = name
                if name in SKIPPED:
                    is_checkout |= name == ".git"
                elif _is_link(entry):
                    links.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
        self._entries_left = entries_left
        return folders, links, skill_file, is_checkout

    def _take(self, path: str, is_link: bool, package: str | None) -> None:
        way = self._way
        if is_link:
            way = (path, _real_path(path))
            if package is not None and self._leads_out(way[1], package):
                self._tell(path, f"{_LEADS_OUT}: if you trust it, put its target in its place")
                return
            self.linked.append(path)
        try:
            status = os.stat(path, follow_symlinks=is_link)  # noqa: PTH116
        except OSError as error:
            self._tell_unless_gone(path, error)
            return
        if not stat.S_ISREG(status.st_mode):
            self._tell(path, irregular(status.st_mode))
        elif not is_plain(path):
            self._tell(
                path,
                "has a name with control characters, invisible ones or bytes that are not UTF-8: "
                "rename the folder",
            )
        else:
            self.files.append(SkillFile(path, self._root, _stamp(status), way))

    def _follow_links(self) -> None:
        if not self._links:
            return
        self._seen = set()
        for path in self._walked:
            with contextlib.suppress(OSError):
                self._is_new(path)
        above = set()
        for parent in Path(_real_path(self._path)).parents:
            with contextlib.suppress(OSError):
                above.add(_identity(str(parent)))
        while self._links:
            path, depth = self._links.popleft()
            self._count_folder()
            try:
                if not stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116
                    continue
                if _identity(path) in above:
                    self._tell(path, "is a link to a folder that holds the root: remove it")
                    continue
            except OSError as error:
                self._tell_unless_gone(path, error)
                continue
            self.linked.append(path)
            self._way = (path, _real_path(path))
            self._descend(path, depth)

    def _check_stays(self, link: str, package: str) -> None:
        """Tell of a link that leads from a package to a folder outside of it and of the roots."""
        self._count_folder()
        target = _real_path(link)
        if self._leads_out(target, package) and os.path.isdir(target):  # noqa: PTH112
            remedy = "put it beside the skills or make its target a root"
            self._tell(link, f"{_LEADS_OUT}: if you trust it, {remedy}")

    def _leads_out(self, target: str, package: str) -> bool:
        if package not in self._real_packages:
            self._real_packages[package] = _real_path(package)
        places = (self._real_packages[package], *self._real_roots)
        return not any(_lies_in(target, place) for place in places)

    def _is_new(self, path: str) -> bool:
        assert self._seen is not None
        identity = _identity(path)
        if identity in self._seen:
            return False
        self._seen.add(identity)
        return True

    def _count_folder(self) -> None:
        self._folders_left -= 1
        if self._folders_left < 0:
            raise _LimitError(f"holds more than {self._max_folders:,} folders and links")
        if self._folders_left % _FOLDERS_AT_A_TIME == 0:
            self._give_way()

    def _tell_unless_gone(self, path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError) or os.path.islink(path):  # noqa: PTH114
            self._tell(path, why(error))

    def _tell(self, path: str, reason: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(printable(path, _MAX_PATH), self._root, reason))
        else:
            self._untold += 1


if sys.platform == "win32":

    def _is_link(entry: os.DirEntry[str]) -> bool:
        tag = entry.stat(follow_symlinks=False).st_reparse_tag
        return tag in (stat.IO_REPARSE_TAG_SYMLINK, stat.IO_REPARSE_TAG_MOUNT_POINT)
else:
    _is_link = os.DirEntry.is_symlink


def _identity(path: str) -> _Id:
    status = os.stat(path)  # noqa: PTH116
    if status.st_ino == 0:  # a file system without inodes
        return _real_path(path)
    return status.st_dev, status.st_ino


def _real_path(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # no path at all, which the walk will find out
        return path


def _lies_in(path: str, place: str) -> bool:
    return path == place or path.startswith(place.rstrip(os.sep) + os.sep)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
    )
