"""Checks of the clients: whether each that should start the server can, tried as it would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from skillrouter_install import (
    Client,
    ConfiguredServer,
    Environment,
    InstallError,
    Scope,
    ServerEntry,
    clients,
    configured,
    detect,
    locked,
    plan_install,
)
from skillrouter_mcp.health.connection import try_connection
from skillrouter_mcp.health.finding import Finding, Mend, Progress, Status
from skillrouter_mcp.health.machine import own_command
from skillrouter_mcp.settings import Settings
from skillrouter_mcp.skills import printable

_CHARACTERS = 4_096
_SCOPES: tuple[Scope, ...] = ("user", "project")
_NOT_CALLED = "the client goes on without find_skill"
_ANOTHER_PATH = "started from a desktop or a service, the client has another PATH"
# What a project's file may set without our hesitating to start its server.
_HARMLESS = ("SKILLROUTER_", "HF_")


def check_clients(
    settings: Settings, environment: Environment, progress: Progress
) -> Iterator[Finding]:
    """What each client has configured, and how the server answers when started so.

    A server that a project's file configures is started only if it is this very installation:
    such a file may come from strangers.
    """
    found: list[ConfiguredServer] = []
    unknown: set[str] = set()
    for client in clients():
        for scope in _SCOPES:
            if scope == "project" and environment.project == environment.home:
                continue  # where a project's file may be the user's
            try:
                found += configured(client, environment, scope)
            except InstallError as error:
                unknown.add(client.id)
                yield _unparsable(client, error)
    for number, server in enumerate(found):
        progress.checking("starting the server for", number, len(found), "clients")
        yield from _check_server(server, settings, environment)
    if found:
        progress.checking("starting the server for", len(found), len(found), "clients")
    yield from _without(environment, {server.client.id for server in found} | unknown)


def _check_server(
    server: ConfiguredServer, settings: Settings, environment: Environment
) -> Iterator[Finding]:
    if server.url:
        text = f"reaches the server over HTTP at {server.url}, which is not tried here"
        why = "it answers only while that server runs"
        yield _told(server, "http", "note", text, why, "skillrouter-mcp serve --http starts it")
        return
    if not server.enabled:
        text = f"the entry in {server.file} is switched off"
        yield _told(server, "disabled", "problem", text, _NOT_CALLED, "switch it on in the client")
        return
    variables = server.variables(environment)
    yield from _check_variables(server, variables, environment)
    trouble = _trouble_with_command(server, variables)
    if trouble:
        check, status, text = trouble
        yield _told(
            server,
            check,
            status,
            text,
            _NOT_CALLED if status == "broken" else _ANOTHER_PATH,
            f"skillrouter-mcp install {server.client.id}",
            _reinstall(server, settings, environment),
        )
        if status == "broken":
            return
    if server.scope == "project" and not _is_harmless(server):
        yield _told(
            server,
            "not-started",
            "note",
            f"{server.file} starts something else than this installation; it was not started "
            "here, as a project's file may come from strangers",
            "the client asks you before it does",
            "look at the entry before you trust the project",
        )
        return
    yield from try_connection(server, variables, environment, partial(_told, server))


def _check_variables(
    server: ConfiguredServer, variables: dict[str, str], environment: Environment
) -> Iterator[Finding]:
    lost = sorted(
        name
        for name, value in environment.variables.items()
        if name in ("SKILLROUTER_HOME", "SKILLROUTER_ROOTS", "SKILLROUTER_PROFILE")
        and value
        and name not in variables
    )
    if lost:
        yield _told(
            server,
            "lost-settings",
            "problem",
            f"{server.client.title} does not pass on {', '.join(lost)}, which is set here",
            "its server reads other skills, or another index, than you see here",
            f"skillrouter-mcp install {server.client.id}",
        )
    if not variables.get("PATH"):
        yield _told(
            server,
            "no-path",
            "note",
            "the server is started without a PATH",
            "only a command with an absolute path is found so",
            "take PATH out of the entry's environment",
        )


def _trouble_with_command(
    server: ConfiguredServer, variables: dict[str, str]
) -> tuple[str, Status, str] | None:
    """Check, status and text, None where the command is as it should be."""
    command = server.command
    if not command:
        return "command", "broken", f"the entry in {server.file} has no command"
    if "${" in command:
        return None
    found = shutil.which(command, path=variables.get("PATH") or "")
    if not Path(command).is_absolute():
        if found is None:
            text = f"{command} is not on the PATH that the client passes"
            return "command", "broken", text
        text = f"{command} is not an absolute path; with this PATH it happens to be {found}"
        return "relative-command", "problem", text
    if not os.path.exists(command):  # noqa: PTH110 (answers where a folder cannot be read)
        return "command", "broken", f"{command} is not there any more"
    if found is None:
        return "command", "broken", f"{command} cannot be executed"
    interpreter = _interpreter(Path(command))
    if interpreter is not None and not interpreter.exists():
        return "stale-environment", "broken", f"{command} wants {interpreter}, which is gone"
    return None


def _interpreter(script: Path) -> Path | None:
    """What the first line of a script names, None for what is no script with an absolute one."""
    try:
        with script.open("rb") as file:
            start = file.read(1_024)
    except OSError:
        return None
    first, _, _ = start.partition(b"\n")
    words = first.removeprefix(b"#!").split()
    if not first.startswith(b"#!") or not words:
        return None
    if words[0] == b"/bin/sh" and b"exec" in start:  # how long paths of interpreters are written
        return None
    return Path(os.fsdecode(words[0]))


def _is_harmless(server: ConfiguredServer) -> bool:
    own = own_command()
    return (
        own is not None
        and os.path.realpath(server.command) == os.path.realpath(own)
        and server.args in ((), ("serve",))
        and all(name.startswith(_HARMLESS) for name in server.env)
    )


def _reinstall(
    server: ConfiguredServer, settings: Settings, environment: Environment
) -> Mend | None:
    own = own_command()
    if own is None or server.scope == "project":  # which others share
        return None

    def run() -> None:
        variables = {name: value for name, value in server.env.items() if name != "PATH"}
        entry = ServerEntry(str(own), env=variables, name=server.name)
        with locked(settings.home):
            plan_install(
                server.client,
                entry,
                environment=environment,
                state=settings.home,
                own_command=False,
            ).apply()

    return Mend(f"the entry of {server.client.title} starts {own} again", run)


def _without(environment: Environment, told: Collection[str]) -> Iterator[Finding]:
    """The clients on this machine that have no entry, but for those told of already, by id."""
    on_machine = [detected.client for detected in detect(environment)]
    for client in on_machine:
        if client.id not in told:
            yield Finding(
                section="clients",
                check="not-installed",
                subject=client.title,
                status="note",
                text="is on this machine and does not know the server",
                why=_NOT_CALLED,
                remedy=f"skillrouter-mcp install {client.id}",
            )
    if not on_machine and not told:
        yield Finding(
            section="clients",
            check="none",
            subject="clients",
            status="note",
            text="none was found on this machine",
            why="the server is of use only to a client that calls it",
            remedy="skillrouter-mcp install CLIENT, once there is one",
        )


def _unparsable(client: Client, error: InstallError) -> Finding:
    return Finding(
        section="clients",
        check="client-file",
        subject=client.title,
        status="broken",
        text=printable(str(error), _CHARACTERS),
        why="the client reads none of its servers from it",
        remedy="mend the file; a copy that an install left ends in .skillrouter-backup",
    )


def _told(
    server: ConfiguredServer,
    check: str,
    status: Status,
    text: str,
    why: str = "",
    remedy: str = "",
    mend: Mend | None = None,
) -> Finding:
    """A finding about one client's entry; its file and what the server says are not trusted."""
    scope = "" if server.scope == "user" else " (project)"
    return Finding(
        section="clients",
        check=check,
        subject=server.client.title + scope,
        status=status,
        text=printable(text, _CHARACTERS),
        why=why,
        remedy=remedy,
        mend=mend,
    )
