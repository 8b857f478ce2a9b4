"""Being told that something below the roots has changed: a hint, to look again sooner.

The one door to watchdog. What is told may be incomplete (queues overflow, network drives say
nothing of other machines' changes), so whoever uses it goes on looking now and then.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from skillrouter_mcp.skills.sanitise import printable
from skillrouter_mcp.skills.walk import SKILL_NAMES, SKIPPED

_MAX_SENTENCE = 600

# Not that a file was opened or closed, which reading it does too; nor that a folder was modified,
# which is told along with whatever happens to what is in it.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder to watch: with all that is in it, or for `names` in it alone. It is another one
    once it was made anew."""

    path: str
    names: frozenset[str] | None
    device: int
    inode: int


class Watch:
    """Watches folders until closed; to be used by one thread.

    Attributes:
        settled: whether all that is watched was so before the last `follow`, and nothing can have
            changed unseen just before it.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        """
        Args:
            changed: is called from a thread of the watch, perhaps many times for one change.
        """
        self._changed = changed
        self._files = set(SKILL_NAMES)
        self._observer: Any = None
        self._watches: dict[_Place, Any] = {}
        self.settled = True

    def follow(self, roots: Iterable[str], linked: Iterable[str]) -> str:
        """Watches these folders from now on, and no others.

        Args:
            roots: paths as they were given. Each is looked for in its parent too, since it may be
                made, moved away, or be a link that is turned elsewhere.
            linked: folders and files that links in the roots lead to.

        Returns: why not all of them can be watched; empty if they are.
        """
        linked = tuple(linked)
        wanted = _places(roots, linked)
        self._files.update(_names(linked))
        self.settled = wanted <= self._watches.keys()
        for place in self._watches.keys() - wanted:
            self._observer.unschedule(self._watches.pop(place))
        for place in wanted - self._watches.keys():
            try:
                self._watches[place] = self._started().schedule(
                    _Handler(self._changed, place, self._files),
                    place.path,
                    recursive=place.names is None,
                    event_filter=_EVENTS,
                )
            except FileNotFoundError:
                continue  # gone meanwhile, of which its parent tells
            except (OSError, RuntimeError) as error:
                return printable(f"{place.path} cannot be watched: {error}", _MAX_SENTENCE)
        return ""

    def _started(self) -> Any:
        if self._observer is None:
            observer = Observer()
            observer.daemon = True
            observer.start()
            self._observer = observer
        return self._observer

    def close(self) -> None:
        """Ends the watch."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()


class _Handler(FileSystemEventHandler):
    """Tells of events that may matter to a walk."""

    def __init__(self, changed: Callable[[], None], place: _Place, files: Collection[str]) -> None:
        """
        Args:
            files: names of files whose content matters.
        """
        self._changed = changed
        self._place = place
        self._files = files

    def on_any_event(self, event: FileSystemEvent) -> None:
        paths = (event.src_path, event.dest_path)
        if any(self._may_matter(event, os.fsdecode(path)) for path in paths if path):
            self._changed()

    def _may_matter(self, event: FileSystemEvent, path: str) -> bool:
        if self._place.names is not None:
            return os.path.basename(path) in self._place.names  # noqa: PTH119
        *folders, name = path.removeprefix(self._place.path).split(os.sep)  # noqa: PTH206
        if not SKIPPED.isdisjoint(folders):
            return False
        if event.is_directory or name in self._files or name in SKIPPED:
            return True
        # Of other files only links matter, and what is gone may have been one.
        return isinstance(event, FileDeletedEvent) or os.path.islink(path)  # noqa: PTH114


def _names(linked: Iterable[str]) -> Iterator[str]:
    """What the files and folders are called that links lead to."""
    for path in linked:
        with suppress(OSError, ValueError):
            yield os.path.basename(os.path.realpath(path))  # noqa: PTH119


def _places(roots: Iterable[str], linked: Iterable[str]) -> set[_Place]:
    whole = set()
    names = defaultdict(set)
    for path in (*roots, *linked):
        try:
            real = os.path.realpath(path)
        except ValueError:
            continue  # no path at all, of which a walk tells
        if os.path.isdir(real):  # noqa: PTH112
            whole.add(real)
        for place in {path, real}:
            parent, name = _nearest_parent(place)
            names[parent].add(name)
    whole = {path for path in whole if not any(_lies_below(path, other) for other in whole)}
    wanted: list[tuple[str, frozenset[str] | None]] = [(path, None) for path in whole]
    wanted += [
        (path, frozenset(found))
        for path, found in names.items()
        if not any(path == other or _lies_below(path, other) for other in whole)
    ]
    places = set()
    for path, only in wanted:
        with suppress(OSError):
            status = os.stat(path)  # noqa: PTH116
            places.add(_Place(path, only, status.st_dev, status.st_ino))
    return places


def _nearest_parent(path: str) -> tuple[str, str]:
    """The folder above that is there, and the name in it that leads to the path."""
    parent, name = os.path.split(path)
    while not os.path.isdir(parent) and parent != os.path.dirname(parent):  # noqa: PTH112, PTH120
        parent, name = os.path.split(parent)
    return os.path.realpath(parent), name


def _lies_below(path: str, place: str) -> bool:
    return path != place and path.startswith(place.rstrip(os.sep) + os.sep)
