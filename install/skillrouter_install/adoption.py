"""Moving skills of clients into the library, where no client lists them in every prompt."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skillrouter_install import clients as table
from skillrouter_install.adoption_record import Adopted, AdoptionRecord
from skillrouter_install.files import missing_folders
from skillrouter_install.moving import (
    clear_link_trace,
    clear_traces,
    led_to,
    link_text,
    move_folder,
    place,
    put_link,
    remove_folder,
    same_tree,
    steps,
)
from skillrouter_install.own_skills import OwnSkill, skill_folders, skills_below

if TYPE_CHECKING:
    from skillrouter_install.clients import Client
    from skillrouter_install.environment import Environment


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence on one skill, which begins with its path; `well` is False for a problem."""

    path: Path
    sentence: str
    well: bool = True


@dataclass(frozen=True, slots=True)
class Adoption:
    """What adopting will do: nothing has been moved until `apply`.

    `left` are the skills that stay where they are, with the reason.
    """

    moves: tuple[Adopted, ...]
    left: tuple[Told, ...]
    root: Path
    state: Path

    def apply(self) -> Iterator[Told]:
        """Move the skills, one after the other; a problem with one leaves the others be.

        All moves are on record before the first: one that was interrupted is finished by the next
        `settle` or undone by `give_back`.

        Raises:
            InstallError: the record cannot be written; then nothing is moved.
        """
        if not self.moves:
            return
        record = AdoptionRecord.read(self.state)
        record.made_folders += map(str, missing_folders(self.root / "skill"))
        again = {move.source for move in self.moves}
        record.adopted = [move for move in record.adopted if move.source not in again]
        record.adopted += self.moves
        record.write()
        try:
            for move in self.moves:
                told = _adopt(move)
                yield told
                after = replace(move, done=True) if told.well else None
                if after or not _begun(move):
                    record.replace(move, after)
        finally:
            record.write()


def plan_adoption(
    skills: Sequence[tuple[Client, OwnSkill]], *, root: Path, environment: Environment, state: Path
) -> Adoption:
    """Plan to move skills of clients into the library at `root`, each under its folder's name.

    A folder that is a link itself, skills that the client manages and names that are taken stay.

    Raises:
        InstallError: a folder or the record of earlier adoptions cannot be read.
    """
    AdoptionRecord.read(state)
    planner = _Planner(root, environment)
    # Links come after what they lead to, when that is where it will be.
    for client, skill in sorted(skills, key=lambda pair: steps(pair[1].path)):
        planner.add(client, skill)
    return Adoption(tuple(planner.moves), tuple(planner.left), root, state)


class _Planner:
    def __init__(self, root: Path, environment: Environment) -> None:
        self.moves: list[Adopted] = []
        self.left: list[Told] = []
        self._root = root
        self._taken = {path.name: path for path in skills_below(root)} if root.is_dir() else {}
        self._moved: dict[Path, Path] = {}  # from place to target
        self._links: dict[Path, list[Path]] = {}  # the links to a place
        folders = [root]
        for client in table.clients():
            folders += skill_folders(client, environment)
        for folder in {place(folder): folder for folder in folders}.values():
            if folder.is_dir() and not folder.is_symlink():
                for path in skills_below(folder):
                    if path.is_symlink():
                        self._links.setdefault(led_to(path), []).append(path)

    def add(self, client: Client, skill: OwnSkill) -> None:
        source = skill.place
        if source in self._moved:
            return
        target = self._root / skill.name
        led = self._led_to(source) if source.is_symlink() else None
        here = self._place_in_library(led) if led else None
        reason = self._stays(skill) or (None if here else self._cannot_go(skill, target))
        if reason:
            self.left.append(Told(skill.path, reason))
            return
        if led is None:
            relinked = self._relinked(source)
            move = Adopted(client.id, str(source), str(target), relinked=relinked)
        elif here:
            moves_too = led in self._moved.values()
            text = str(led) if moves_too else str(link_text(source))
            relinked = self._relinked(source)
            move = Adopted(client.id, str(source), str(here), text, relinked=relinked)
        else:
            text = str(link_text(source))
            new = text if os.path.isabs(text) else str(led)  # noqa: PTH117 - it is text
            relinked = self._relinked(source)
            move = Adopted(client.id, str(source), str(target), text, new, relinked)
        if move.moved:
            self._taken[skill.name] = target
        self._moved[source] = Path(move.target)
        self.moves.append(move)

    def _stays(self, skill: OwnSkill) -> str | None:
        """Why the skill should not be moved at all."""
        if skill.managed:
            return f"{skill.managed}; it stays"
        if skill.folder.is_symlink():
            return f"stays: {skill.folder} is a link, to a folder that others may use too"
        folder, root = (Path(os.path.realpath(path)) for path in (skill.folder, self._root))
        if folder == root or root in folder.parents or folder in root.parents:
            return f"stays: {skill.folder} and the library {self._root} are one in the other"
        return None

    def _cannot_go(self, skill: OwnSkill, target: Path) -> str | None:
        """Why the skill's name is no place for it."""
        there = self._taken.get(skill.name, target)
        if not os.path.lexists(there) and there not in self._moved.values():
            return None
        if os.path.lexists(there) and os.path.realpath(there) == os.path.realpath(skill.path):
            return f"stays: {there} is a link to it"
        with contextlib.suppress(OSError):
            if there.exists() and same_tree(skill.path.resolve(), there.resolve()):
                return f"stays: {there} is an identical copy; delete one of the two"
        return f"stays: its name is taken by {there}; rename one of the two"

    def _led_to(self, link: Path) -> Path:
        """Where a link leads when what comes before it has been moved."""
        there = led_to(link)
        return self._moved.get(there, there)

    def _place_in_library(self, path: Path) -> Path | None:
        """The place in the library that the path is, or leads to by links outside of it."""
        for _ in range(steps(path) + 1):
            if place(self._root / "skill").parent in place(path).parents:
                return path
            if path.is_symlink():
                path = self._led_to(path)
        return None

    def _relinked(self, source: Path) -> tuple[tuple[str, str], ...]:
        return tuple(
            (str(place(path)), str(link_text(path))) for path in self._links.get(source, [])
        )


def _adopt(move: Adopted) -> Told:
    source, target = Path(move.source), Path(move.target)
    try:
        if move.link is None:
            if source.is_symlink() or not source.is_dir():
                return Told(source, "has just been changed by another program", well=False)
            move_folder(source, target)
        elif link_text(source) != move.link:
            return Told(source, "has just been changed by another program", well=False)
        else:
            _move_link(source, target, move.new_link)
        _relink(move)
    except OSError as error:
        return Told(source, f"could not be moved: {error.strerror or error}", well=False)
    if not move.moved:
        return Told(source, f"was taken away, a link to {target}")
    return Told(source, f"was moved to {target}")


def _clear(move: Adopted) -> None:
    """Delete what an interrupted move there or back has left."""
    source, target = Path(move.source), Path(move.target)
    clear_traces(source, target)
    clear_traces(target, source)
    for link in (source, *(Path(path) for path, _ in move.relinked)):
        clear_link_trace(link)


def _move_link(source: Path, target: Path, new: str | None) -> None:
    if new is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(new, target_is_directory=True)
    try:
        source.unlink()
    except OSError:
        if new is not None:
            target.unlink()
        raise


def _relink(move: Adopted) -> None:
    """Let the links that led to the source lead to the target."""
    for path, text in move.relinked:
        if link_text(Path(path)) == text:
            put_link(Path(path), move.target)


def _begun(move: Adopted) -> bool:
    return not os.path.lexists(move.source)


def settle(state: Path) -> list[Told]:
    """Finish the moves that were interrupted, forget those that had not begun.

    Raises:
        InstallError: the record cannot be read or written.
    """
    record = AdoptionRecord.read(state)
    told = []
    for move in [move for move in record.adopted if not move.done]:
        source = Path(move.source)
        try:
            finished = _finish(move)
        except OSError as error:
            told.append(Told(source, f"could not be moved: {error.strerror or error}", well=False))
            continue
        if finished:
            told.append(Told(source, f"is now at {move.target}: an interrupted move was finished"))
        record.replace(move, replace(move, done=True) if finished else None)
    _store(record)
    return told


def _finish(move: Adopted) -> bool:
    """Whether an interrupted move could be finished; else it had not begun."""
    source, target = Path(move.source), Path(move.target)
    _clear(move)
    if os.path.lexists(source):
        if not os.path.lexists(target) or not move.moved:
            return False
        if move.link is None and same_tree(source, target):
            remove_folder(source)
        elif move.link is not None and link_text(target) == move.new_link:
            source.unlink()
        else:
            return False
    elif not os.path.lexists(target):
        return False
    _relink(move)
    return True


@dataclass(frozen=True, slots=True)
class Return:
    """What giving skills back to clients will do; nothing has been moved until `apply`."""

    moves: tuple[Adopted, ...]
    state: Path

    def apply(self) -> Iterator[Told]:
        """Bring the skills back to where they were, the latest first.

        Raises:
            InstallError: the record cannot be read or written.
        """
        if not self.moves:
            return
        record = AdoptionRecord.read(self.state)
        try:
            for source in [move.source for move in self.moves]:
                # Giving back one may change what is recorded of another.
                move = next(move for move in record.adopted if move.source == source)
                told = _give_back(move, record)
                yield told
                if told.well:
                    record.replace(move, None)
        finally:
            _store(record)


def plan_return(clients: Sequence[Client], *, state: Path) -> Return:
    """Plan to bring back what was adopted from those clients.

    With a skill come the links to it that were taken away from other clients.

    Raises:
        InstallError: the record cannot be read.
    """
    ids = {client.id for client in clients}
    moves: list[Adopted] = []
    for move in AdoptionRecord.read(state).adopted:
        follows = any(move.target == other.target and other.moved for other in moves)
        if move.client in ids or follows:
            moves.append(move)
    return Return(tuple(reversed(moves)), state)


def _give_back(move: Adopted, record: AdoptionRecord) -> Told:
    source, target = Path(move.source), Path(move.target)
    try:
        _clear(move)
        problem = (
            _return_folder(source, target) if move.link is None else _return_link(move, record)
        )
        if problem:
            return Told(source, problem, well=False)
        for path, text in move.relinked:
            if link_text(Path(path)) == move.target:
                put_link(Path(path), text)
            for other in [other for other in record.adopted if other.source == path]:
                if other.link == move.target:
                    record.replace(other, replace(other, link=text))
    except OSError as error:
        return Told(source, f"could not be brought back: {error.strerror or error}", well=False)
    if not os.path.lexists(source):
        return Told(source, f"is gone: {target} was deleted since")
    if not source.exists():
        return Told(source, "is back in its place, a link that leads nowhere at present")
    return Told(source, "is back in its place")


def _return_folder(source: Path, target: Path) -> str | None:
    if target.is_symlink() or not target.is_dir():
        return None  # it was moved or deleted by someone else, or the move had not begun
    if not os.path.lexists(source):
        move_folder(target, source)
    elif same_tree(source, target):
        remove_folder(target)
    else:
        return f"is there again and differs from {target}; keep one of the two and run this again"
    return None


def _return_link(move: Adopted, record: AdoptionRecord) -> str | None:
    source, target = Path(move.source), Path(move.target)
    assert move.link is not None
    if not os.path.lexists(source):
        put_link(source, move.link)
    elif link_text(source) != move.link:
        return "is there again and is not the link that it was; remove it and run this again"
    if move.new_link is not None:
        # A later move may have led it to where its own target went.
        relinked = [
            later.target
            for later in record.adopted
            if (move.target, move.new_link) in later.relinked
        ]
        if link_text(target) in (move.new_link, *relinked):
            target.unlink()
    return None


def _store(record: AdoptionRecord) -> None:
    """Write the record; the folders that were made for the library go when it has nothing left."""
    if not record.adopted:
        with contextlib.suppress(OSError):
            for folder in reversed(record.made_folders):
                Path(folder).rmdir()
        record.made_folders = []
    record.write()
