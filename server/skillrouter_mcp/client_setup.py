"""`install` and `uninstall` on the command line: which clients, what will change, and doing it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillrouter_install import (
    Client,
    Environment,
    InstallError,
    Plan,
    Scope,
    ServerEntry,
    carried_environment,
    clients,
    detect,
    locked,
    plan_install,
    plan_uninstall,
    snippets,
)
from skillrouter_mcp import client_skills

if TYPE_CHECKING:
    from skillrouter_mcp.client_skills import Way
    from skillrouter_mcp.settings import Settings

_ALWAYS_LOAD = """
{title} keeps the tools of servers behind a search of its own and may not think of find_skill.
Kept loaded (alwaysLoad), the tool is always in view; its description costs tokens every turn."""

_PROMPT_HOOK = """
{title} can ask find_skill with every prompt of yours (a UserPromptSubmit hook), so that skills
that fit are named without its having to think of the tool; the answer costs tokens each time."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the flags of `install` and `uninstall` say; `ask` where the rest may be asked for."""

    scope: Scope = "user"
    dry_run: bool = False
    always_load: bool | None = None
    prompt_hook: bool | None = None
    adopt: Way | None = None
    ask: bool = False


def clients_to_install(every: bool, scope: Scope) -> list[Client]:
    """The clients on this machine, each after a question unless `every`.

    Raises:
        click.ClickException: there is none.
        click.UsageError: nobody can be asked.
    """
    found = [detected for detected in detect(_here()) if scope in detected.client.scopes()]
    if not found:
        known = ", ".join(client.id for client in clients() if scope in client.scopes())
        raise click.ClickException(f"no client was found on this machine; name one of: {known}")
    because = {detected.client.id: detected.because for detected in found}
    return _asked([detected.client for detected in found], every, "Add to", because)


def clients_to_uninstall(every: bool, scope: Scope, settings: Settings) -> list[Client]:
    """The clients that have the server or gave up skills, each after a question unless `every`.

    Raises:
        click.UsageError: nobody can be asked.
    """
    possible = [client for client in clients() if scope in client.scopes()]
    found = [client for client in possible if _has(client, settings, scope)]
    if not found:
        click.echo("no client has it; there is nothing to do")
        return []
    return _asked(found, every, "Take out of", {})


def _has(client: Client, settings: Settings, scope: Scope) -> bool:
    """Whether there is something to take out, or a file that cannot be read and may have it."""
    try:
        plan = plan_uninstall(
            client, environment=_here(), state=settings.home, scope=scope, own_command=False
        )
    except InstallError:
        return True
    return plan.changes_anything or (
        scope == "user" and client_skills.has_adopted(client, settings)
    )


def _asked(
    found: Sequence[Client], every: bool, verb: str, because: dict[str, str]
) -> list[Client]:
    if every:
        return list(found)
    if not sys.stdin.isatty():
        ids = " ".join(client.id for client in found)
        raise click.UsageError(f"found here: {ids}; name those you mean, or give --all")

    def asked(client: Client) -> bool:
        reason = f" ({because[client.id]})" if client.id in because else ""
        return click.confirm(f"{verb} {client.title}{reason}?", err=True)

    return [client for client in found if asked(client)]


def print_snippets(chosen: Sequence[Client], settings: Settings, choices: Choices) -> bool:
    """What to paste into each client's files by hand; whether each has such files."""
    went_well = True
    for client in chosen:
        choices_here = _fitting(client, chosen, choices)
        try:
            pasted = snippets(
                client,
                server_entry(settings),
                environment=_here(),
                scope=choices.scope,
                always_load=bool(choices_here.always_load),
                prompt_hook=bool(choices_here.prompt_hook),
            )
        except InstallError as error:
            click.echo(f"{client.title}: {error}", err=True)
            went_well = False
            continue
        for file, text in pasted:
            click.echo(f"{client.title}, into {file}:", err=True)
            click.echo(text)
    return went_well


def install(chosen: Sequence[Client], settings: Settings, choices: Choices) -> bool:
    """Adds the server to the clients; whether all went well."""
    server = server_entry(settings)

    def plan(client: Client) -> Plan:
        fitting = _fitting(client, chosen, choices)
        make = partial(
            plan_install,
            client,
            server,
            environment=_here(),
            state=settings.home,
            scope=choices.scope,
        )
        if choices.ask:
            fitting = _offered(client, make, fitting)
        return make(always_load=fitting.always_load, prompt_hook=fitting.prompt_hook)

    went_well = [
        _carry_out(client, plan, settings.home, dry_run=choices.dry_run) for client in chosen
    ]
    having_it = [client for client, well in zip(chosen, went_well, strict=True) if well]
    return _adopt(having_it, settings, choices) and all(went_well)


def _adopt(having_it: Sequence[Client], settings: Settings, choices: Choices) -> bool:
    """Adopts the skills of the clients that have the server now, in the way that was chosen."""
    if choices.adopt:
        able = [client for client in having_it if client_skills.can_adopt(client, choices.adopt)]
        # Where none can, each is told why.
        return client_skills.adopt(
            able or having_it, settings, choices.adopt, dry_run=choices.dry_run
        )
    went_well = True
    chosen: dict[Way, list[Client]] = {}
    for client in having_it if choices.ask and choices.scope == "user" else ():
        try:
            way = client_skills.way_chosen(client, settings)
        except InstallError as error:
            click.echo(f"{client.title}: {error}", err=True)
            went_well = False
        else:
            if way:
                chosen.setdefault(way, []).append(client)
    for way, clients_of_it in chosen.items():
        went_well &= client_skills.adopt(clients_of_it, settings, way)
    return went_well


def uninstall(chosen: Sequence[Client], settings: Settings, choices: Choices) -> bool:
    """Takes the server out of the clients and gives their skills back; whether all went well."""

    def plan(client: Client) -> Plan:
        return plan_uninstall(client, environment=_here(), state=settings.home, scope=choices.scope)

    def give_back(having: Sequence[Client]) -> bool:
        if choices.scope != "user" or not having:
            return True
        return client_skills.give_back(having, settings, dry_run=choices.dry_run)

    adopted = [client for client in chosen if client_skills.has_adopted(client, settings)]
    # What came last goes first, as the same file may hold both.
    latest = [client for client in adopted if client_skills.is_latest(client, settings)]
    went_well = [give_back(latest)]
    went_well += [
        _carry_out(client, plan, settings.home, dry_run=choices.dry_run) for client in chosen
    ]
    went_well.append(give_back([client for client in adopted if client not in latest]))
    return all(went_well)


def server_entry(settings: Settings) -> ServerEntry:
    """How clients start this very installation, with the settings of this environment.

    Raises:
        click.ClickException: its command is not to be found.
    """
    name = "skillrouter-mcp"
    command = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if command is None:
        raise click.ClickException(f"{name} is neither beside Python nor on the PATH")
    env = carried_environment(os.environ)
    # A client starts the server in a folder of its own.
    if "SKILLROUTER_HOME" in env:
        env["SKILLROUTER_HOME"] = str(settings.home)
    if "SKILLROUTER_ROOTS" in env:
        env["SKILLROUTER_ROOTS"] = os.pathsep.join(map(str, settings.roots))
    return ServerEntry(os.path.abspath(command), env=env)  # noqa: PTH100 - links are kept


def _here() -> Environment:
    return Environment.current()


def _fitting(client: Client, chosen: Sequence[Client], choices: Choices) -> Choices:
    """The choices less those that only others of the chosen clients can heed."""
    if not client.always_load and any(other.always_load for other in chosen):
        choices = replace(choices, always_load=None)
    if client.hook_files is None and any(other.hook_files for other in chosen):
        choices = replace(choices, prompt_hook=None)
    return choices


def _offered(client: Client, make: Callable[..., Plan], choices: Choices) -> Choices:
    """The choices with what the user adds when asked; what is in force already is not asked."""
    bare = make(own_command=False).diff()

    def wanted(text: str, **option: bool) -> bool | None:
        if make(own_command=False, **option).diff() == bare:
            return None
        click.echo(text.format(title=client.title), err=True)
        return click.confirm("Switch it on?", default=False, err=True) or None

    if client.always_load and choices.always_load is None:
        choices = replace(choices, always_load=wanted(_ALWAYS_LOAD, always_load=True))
    if client.hook_files and choices.prompt_hook is None:
        choices = replace(choices, prompt_hook=wanted(_PROMPT_HOOK, prompt_hook=True))
    return choices


def _carry_out(
    client: Client, make_plan: Callable[[Client], Plan], state: Path, *, dry_run: bool
) -> bool:
    """Shows one client's plan and does it; whether that went well. Errors end only this client."""
    try:
        plan = make_plan(client)
        if dry_run:
            click.echo(plan.diff(), nl=False)
        for note in plan.notes:
            click.echo(f"{client.title}: {note}", err=plan.changes_anything)
        if dry_run:
            return True
        if plan.changes_anything:
            with locked(state):  # a plan sees for itself whether its files have changed since
                done = plan.apply()
            for sentence in done:
                click.echo(f"{client.title}: {sentence}")
        if plan.then:
            click.echo(f"{client.title}: {plan.then}")
    except InstallError as error:
        click.echo(f"{client.title}: {error}", err=True)
        if error.snippet:
            click.echo(error.snippet, err=True)
        return False
    return True
