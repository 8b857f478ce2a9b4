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
    plan_install,
    plan_uninstall,
    snippets,
)

if TYPE_CHECKING:
    from skillrouter_mcp.settings import Settings

ALWAYS_LOAD = """\
{title} keeps the tools of MCP servers behind a search of its own, so it may not think of find_skill.
Kept loaded (alwaysLoad), the tool is always in view; its description then costs tokens every turn."""

PROMPT_HOOK = """\
{title} can ask find_skill with every prompt of yours (a UserPromptSubmit hook), so that fitting
skills are named without its having to think of the tool; the answer costs some tokens each time."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the flags of `install` and `uninstall` say; `ask` where the rest may be asked for."""

    scope: Scope = "user"
    dry_run: bool = False
    always_load: bool | None = None
    prompt_hook: bool | None = None
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


def clients_to_uninstall(every: bool, scope: Scope, state: Path) -> list[Client]:
    """The clients that have the server, each after a question unless `every`; raises as above."""
    found = [
        client for client in clients() if scope in client.scopes() and _has(client, state, scope)
    ]
    if not found:
        return []
    return _asked(found, every, "Take out of", {})


def _has(client: Client, state: Path, scope: Scope) -> bool:
    """Whether there is something to take out, or a file that cannot be read and may have it."""
    try:
        return plan_uninstall(
            client, environment=_here(), state=state, scope=scope, own_command=False
        ).changes_anything
    except InstallError:
        return True


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

    went_well = [_carry_out(client, plan, dry_run=choices.dry_run) for client in chosen]
    return all(went_well)


def uninstall(chosen: Sequence[Client], settings: Settings, choices: Choices) -> bool:
    """Takes the server out of the clients; whether all went well."""

    def plan(client: Client) -> Plan:
        return plan_uninstall(client, environment=_here(), state=settings.home, scope=choices.scope)

    went_well = [_carry_out(client, plan, dry_run=choices.dry_run) for client in chosen]
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
    """The choices with those added that the user makes when asked; what is in force is not."""
    if client.always_load and choices.always_load is None and make(always_load=True) != make():
        ...
    return choices


def _carry_out(client: Client, make_plan: Callable[[Client], Plan], *, dry_run: bool) -> bool:
    """Shows one client's plan and does it; whether that went well. Errors end only this client."""
    try:
        plan = make_plan(client)
        if dry_run:
            click.echo(plan.diff(), nl=False)
        for note in plan.notes:
            click.echo(f"{client.title}: {note}", err=True)
        if dry_run:
            return True
        for sentence in plan.apply():
            click.echo(f"{client.title}: {sentence}")
        if plan.then:
            click.echo(f"{client.title}: {plan.then}")
    except InstallError as error:
        click.echo(f"{client.title}: {error}", err=True)
        if error.snippet:
            click.echo(error.snippet, err=True)
        return False
    return True
