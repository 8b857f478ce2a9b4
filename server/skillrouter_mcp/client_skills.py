"""Adopting the skills of clients on the command line: what they cost, what moves, and moving it.

A client lists each skill of its own in every prompt. Moved into the library, a skill costs nothing
until it is found; listed by its name alone, it stays where it is and costs less.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from skillrouter_install import (
    SKILL_FILE,
    Client,
    Environment,
    InstallError,
    OwnSkill,
    Told,
    detect,
    locked,
    own_skills,
    plan_adoption,
    plan_full_listing,
    plan_name_only,
    plan_return,
    plan_uninstall,
    settle,
    skill_folders,
    skill_overrides,
)
from skillrouter_mcp.skills import SkillError, printable, read_skill

if TYPE_CHECKING:
    from skillrouter_mcp.settings import Settings

Way = Literal["move", "name-only"]

_CHARACTERS_A_TOKEN = 4
_TEXT_CHARACTERS = 10_000

_KEEP = """\
  keep       they stay as they are"""
_MOVE = """\
  move       into {root}: out of every prompt, found with find_skill, and no longer called
             by name in {title}"""
_NAME_ONLY = """\
  name-only  they stay in place, listed by their names without descriptions"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A skill of a client's own, and the line that it takes in the client's list.

    The line is empty where the client does not list it; `stays` says why it cannot be adopted.
    """

    skill: OwnSkill
    line: str
    stays: str | None = None


def listed_skills(client: Client, environment: Environment) -> list[Listed]:
    """The client's own skills, none where it is not known to have any.

    Raises:
        InstallError: its folders or settings cannot be read.
    """
    overrides = skill_overrides(client, environment)
    return [
        _listed(client, skill, overrides.get(skill.name))
        for skill in own_skills(client, environment)
    ]


def tokens(listed: Iterable[Listed]) -> int:
    """What a list takes in every turn, at four characters a token."""
    return math.ceil(sum(len(each.line) for each in listed) / _CHARACTERS_A_TOKEN)


def way_chosen(client: Client, settings: Settings) -> Way | None:
    """Asks whether and how to adopt the client's skills: None for not, or if it has none.

    Raises:
        InstallError: the client's folders or settings cannot be read.
    """
    listed = listed_skills(client, Environment.current())
    if client.skills is None or not any(each.line and not each.stays for each in listed):
        return None
    offered: dict[str, tuple[Way | None, str]] = {"keep": (None, _KEEP), "move": ("move", _MOVE)}
    if client.skills.name_only_file:
        offered["name-only"] = ("name-only", _NAME_ONLY)
    click.echo(f"\n{client.title}: {_cost(client, listed)}", err=True)
    for _, text in offered.values():
        click.echo(text.format(root=_root(settings), title=client.title), err=True)
    click.echo(f"`skillrouter-mcp adopt --undo {client.id}` takes it back.", err=True)
    answer = click.prompt("Your choice", type=click.Choice(list(offered)), default="keep", err=True)
    way, _ = offered[answer]
    return way


def adopt(chosen: Sequence[Client], settings: Settings, way: Way, *, dry_run: bool = False) -> bool:
    """Moves the clients' skills into the first root, or has them listed by name.

    Returns whether all went well: a skill that has to stay where it is is no problem.
    """
    environment = Environment.current()
    do = _move if way == "move" else _list_by_name
    try:
        with _alone(settings, dry_run=dry_run):
            lists = _lists(chosen, environment)
            went_well = len(lists) == len(set(chosen))
            return do(lists, settings, environment, dry_run=dry_run) and went_well
    except InstallError as error:
        click.echo(_safe(str(error)), err=True)
        return False


def give_back(chosen: Sequence[Client], settings: Settings, *, dry_run: bool = False) -> bool:
    """Undoes what `adopt` did to the clients' skills; whether all went well."""
    try:
        with _alone(settings, dry_run=dry_run):
            return _give_back(chosen, settings.home, dry_run=dry_run)
    except InstallError as error:
        click.echo(_safe(str(error)), err=True)
        return False


def _give_back(chosen: Sequence[Client], state: Path, *, dry_run: bool) -> bool:
    environment, went_well = Environment.current(), True
    plan = plan_return(chosen, state=state)
    if dry_run:
        for move in plan.moves:
            click.echo(_safe(f"{move.target} -> {move.source}"))
    else:
        went_well = _tell(plan.apply())
    for client in chosen:
        listing = plan_full_listing(client, environment=environment, state=state)
        if dry_run:
            click.echo(listing.plan.diff(), nl=False)
        else:
            for sentence in listing.apply():
                _say(client, sentence)
        if not listing.names and not any(move.client == client.id for move in plan.moves):
            _say(client, "nothing of it is adopted", err=True)
    return went_well


def _alone(settings: Settings, *, dry_run: bool) -> contextlib.AbstractContextManager[None]:
    """Keeps other processes out, unless nothing will be changed."""
    return contextlib.nullcontext() if dry_run else locked(settings.home)


def has_adopted(client: Client, settings: Settings) -> bool:
    """Whether there is something to give back to the client, or that cannot be told."""
    try:
        if plan_return([client], state=settings.home).moves:
            return True
        listing = plan_full_listing(client, environment=Environment.current(), state=settings.home)
    except InstallError:
        return True
    return bool(listing.names)


def is_latest(client: Client, settings: Settings) -> bool:
    """Whether nothing has been done to the client's settings since its skills were adopted."""
    try:
        listing = plan_full_listing(client, environment=Environment.current(), state=settings.home)
    except InstallError:
        return True
    return all(change.exact for change in listing.plan.changes)


def can_adopt(client: Client, way: Way) -> bool:
    """Whether the client is known to have skills that can be adopted that way."""
    return client.skills is not None and (way == "move" or bool(client.skills.name_only_file))


def _listed(client: Client, skill: OwnSkill, override: str | None) -> Listed:
    assert client.skills is not None
    file = skill.path / SKILL_FILE
    try:
        read = read_skill(file)
    except SkillError as error:
        return Listed(skill, "", f"stays: its {SKILL_FILE} {error.reason}")
    if read.hidden:
        return Listed(skill, "", "stays: it is hidden from agents and costs nothing")
    if override in ("off", "user-invocable-only"):
        return Listed(skill, "")
    if override == "name-only":
        return Listed(skill, client.skills.listed_by_name(skill.name))
    return Listed(skill, client.skills.listed(skill.name, read.description, file))


def _lists(chosen: Iterable[Client], environment: Environment) -> dict[Client, list[Listed]]:
    """The lists of those clients of which they can be told; says what they cost."""
    lists = {}
    for client in chosen:
        try:
            if client.skills is None:
                raise InstallError("where it keeps skills of its own is not known")
            lists[client] = listed_skills(client, environment)
        except InstallError as error:
            _say(client, str(error), err=True)
        else:
            _say(client, _cost(client, lists[client]))
    return lists


def _cost(client: Client, listed: Collection[Listed]) -> str:
    assert client.skills is not None
    limit = f"; {client.skills.limit}" if client.skills.limit else ""
    return (
        f"listing {_counted(listed)} of its own takes some {tokens(listed):,} tokens in every turn "
        f"(at {_CHARACTERS_A_TOKEN} characters a token{limit})"
    )


def _counted(listed: Collection[Listed]) -> str:
    count = sum(bool(each.line) for each in listed)
    return f"{count} skill" if count == 1 else f"{count} skills"


def _move(
    lists: dict[Client, list[Listed]],
    settings: Settings,
    environment: Environment,
    *,
    dry_run: bool,
) -> bool:
    went_well = dry_run or _tell(settle(settings.home))
    skills = [(client, x.skill) for client, listed in lists.items() for x in listed if not x.stays]
    plan = plan_adoption(skills, root=_root(settings), environment=environment, state=settings.home)
    _tell(_staying(lists))
    _tell(plan.left)
    gone = {move.source for move in plan.moves}
    if dry_run:
        for move in plan.moves:
            click.echo(_safe(f"{move.source} -> {move.target}"))
    else:
        went_well &= _tell(plan.apply())
    for client, listed in lists.items():
        if dry_run:
            left = [each for each in listed if str(each.skill.place) not in gone]
        else:
            left = listed_skills(client, environment)
        _say_after(client, left, dry_run=dry_run)
        moved = [skill for owner, skill in skills if owner is client and str(skill.place) in gone]
        _warn_of_readers(client, {skill.folder for skill in moved}, lists, environment)
        if moved and not dry_run:
            _warn_without_server(client, settings, environment)
    return went_well


def _list_by_name(
    lists: dict[Client, list[Listed]],
    settings: Settings,
    environment: Environment,
    *,
    dry_run: bool,
) -> bool:
    went_well = True
    _tell(_staying(lists))
    for client, listed in lists.items():
        names = [x.skill.name for x in listed if not (x.stays or x.skill.managed)]
        try:
            plan = plan_name_only(client, names, environment=environment, state=settings.home)
            for name, value in plan.kept:
                if value != "name-only":
                    _say(client, f"{name} stays: it is set to {value} already")
            if dry_run:
                click.echo(plan.plan.diff(), nl=False)
                left = [_by_name(client, x) if x.skill.name in plan.names else x for x in listed]
            else:
                for sentence in plan.apply():
                    _say(client, sentence)
                left = listed_skills(client, environment)
        except InstallError as error:
            _say(client, str(error), err=True)
            went_well = False
            continue
        _say_after(client, left, dry_run=dry_run)
        for folder in skill_folders(client, environment):
            if plan.names and folder not in settings.roots:
                _say(
                    client,
                    f"find_skill does not read {folder} yet: add it to `roots` in "
                    f"{settings.home / 'config.toml'}",
                    err=True,
                )
    return went_well


def _by_name(client: Client, listed: Listed) -> Listed:
    assert client.skills is not None
    return replace(listed, line=client.skills.listed_by_name(listed.skill.name))


def _staying(lists: dict[Client, list[Listed]]) -> Iterator[Told]:
    for listed in lists.values():
        for each in listed:
            if each.stays:
                yield Told(each.skill.path, each.stays)


def _warn_of_readers(
    client: Client,
    folders: Set[Path],
    named: Collection[Client],
    environment: Environment,
) -> None:
    """Name the other clients here that have lost the same skills from their lists."""
    others = [
        found.client.title
        for found in detect(environment)
        if found.client not in named
        and not folders.isdisjoint(skill_folders(found.client, environment))
    ]
    if others:
        _say(
            client,
            f"the same folder was read by {' and '.join(others)}: add find_skill there too",
            err=True,
        )


def _warn_without_server(client: Client, settings: Settings, environment: Environment) -> None:
    plan = plan_uninstall(client, environment=environment, state=settings.home, own_command=False)
    if not plan.changes_anything:
        _say(
            client,
            f"it does not have find_skill yet: run `skillrouter-mcp install {client.id}`",
            err=True,
        )


def _root(settings: Settings) -> Path:
    if not settings.roots:
        raise InstallError("no folder of skills is configured that they could move to")
    return settings.roots[0]


def _say(client: Client, sentence: str, *, err: bool = False) -> None:
    click.echo(_safe(f"{client.title}: {sentence}"), err=err)


def _say_after(client: Client, left: Collection[Listed], *, dry_run: bool) -> None:
    verb = "would then take" if dry_run else "now takes"
    _say(client, f"listing {_counted(left)} {verb} some {tokens(left):,} tokens in every turn")


def _tell(told: Iterable[Told]) -> bool:
    """Print sentences on skills; whether none of them is a problem."""
    went_well = True
    for each in told:
        click.echo(_safe(f"{each.path} {each.sentence}"), err=not each.well)
        went_well &= each.well
    return went_well


def _safe(text: str) -> str:
    return printable(text, _TEXT_CHARACTERS)
