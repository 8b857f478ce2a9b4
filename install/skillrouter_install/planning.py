"""Plans for installing into a client and uninstalling from it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from skillrouter_install.entries import same
from skillrouter_install.errors import ConfigSyntaxError, EditError, InstallError
from skillrouter_install.files import read_config, remove_created, write_config
from skillrouter_install.formats import format_named
from skillrouter_install.formats.json_format import JsonFormat
from skillrouter_install.own_command import prepare, rehearse
from skillrouter_install.parts import PromptHookPart, ServerPart
from skillrouter_install.plan import FileChange, Plan
from skillrouter_install.record import Record, Records, digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from skillrouter_install.clients import Client
    from skillrouter_install.environment import Environment
    from skillrouter_install.files import ConfigFile
    from skillrouter_install.own_command import Scope
    from skillrouter_install.parts import Part
    from skillrouter_install.server_entry import ServerEntry


def snippets(
    client: Client,
    server: ServerEntry,
    *,
    environment: Environment,
    scope: Scope = "user",
    always_load: bool = False,
    prompt_hook: bool = False,
) -> list[tuple[Path, str]]:
    """What a user can paste, with the file that it goes into.

    Raises:
        InstallError: the client has no such scope or option.
    """
    _check_options(client, always_load=always_load or None, prompt_hook=prompt_hook or None)
    files = client.files(environment, scope)
    file = next((file for file in files if file.exists()), files[0])
    pasted = [(file, _server_part(client, server, always_load=always_load).snippet())]
    if prompt_hook:
        hook = PromptHookPart(server.name)
        pasted.append((_hook_file(client, environment, scope), hook.snippet()))
    return pasted


def plan_install(
    client: Client,
    server: ServerEntry,
    *,
    environment: Environment,
    state: Path,
    scope: Scope = "user",
    always_load: bool | None = None,
    prompt_hook: bool | None = None,
    own_command: bool = True,
) -> Plan:
    """Plan to let a client start the server; a plan without changes where it does already.

    `state` is the folder that records of changes are kept in. `always_load` keeps the tool in
    Claude Code's context instead of behind its tool search, `prompt_hook` asks the tool with
    every prompt there: True for on, False for off, None for as it is. With `own_command` the
    client's own command is used where it does the same to the byte.

    Raises:
        InstallError: the client has no such scope or option, or the file cannot be edited safely;
            then its `snippet` can be pasted.
    """
    _check_options(client, always_load=always_load, prompt_hook=prompt_hook)
    planner = Planner(client, environment, Records(state), scope)
    part = _server_part(client, server, always_load=always_load)
    files = client.files(environment, scope)
    arguments = client.own.add(server.name, part.value, scope) if client.own else None
    planner.install(part, files, arguments=arguments if own_command else None)
    if prompt_hook is not None:
        hook = PromptHookPart(server.name)
        hook_files = [_hook_file(client, environment, scope)]
        if prompt_hook:
            planner.install(hook, hook_files)
        else:
            planner.uninstall(hook, hook_files)
    if not planner.changes:
        planner.notes.append(f"{client.title} has it already; there is nothing to change")
    elif scope == "project":
        planner.notes.append(
            "the entry names a command on this machine: whoever shares the project needs it there"
        )
    return planner.plan("install")


def plan_uninstall(
    client: Client,
    *,
    environment: Environment,
    state: Path,
    scope: Scope = "user",
    name: str = "skillrouter",
    own_command: bool = True,
) -> Plan:
    """Plan to take the server and all that came with it out of a client again.

    Raises:
        InstallError: the client has no such scope, or a file cannot be edited safely.
    """
    planner = Planner(client, environment, Records(state), scope)
    form = format_named(client.form)
    part = ServerPart(form, client.entry_path(name), {})
    own = client.own
    arguments = own.remove(name, scope) if own and own.remove else None
    files = client.files(environment, scope)
    planner.uninstall(part, files, arguments=arguments if own_command else None)
    if client.hook_files:
        hook_files = [_hook_file(client, environment, scope)]
        planner.uninstall(PromptHookPart(name), hook_files)
    if not planner.changes:
        planner.notes.append(f"{client.title} has no server named {name}; nothing to change")
    return planner.plan("uninstall")


def _server_part(
    client: Client, server: ServerEntry, *, always_load: bool | None = None
) -> ServerPart:
    value = client.shape(server)
    if always_load:
        value["alwaysLoad"] = True
    settable = ("alwaysLoad",) if always_load is False else ()
    form = format_named(client.form)
    return ServerPart(form, client.entry_path(server.name), value, settable)


def _check_options(client: Client, *, always_load: bool | None, prompt_hook: bool | None) -> None:
    if always_load is not None and not client.always_load:
        raise InstallError(f"{client.title} has no setting that keeps a server's tools loaded")
    if prompt_hook is not None and client.hook_files is None:
        raise InstallError(f"{client.title} has no hook that could ask the tool with every prompt")


def _hook_file(client: Client, environment: Environment, scope: Scope) -> Path:
    assert client.hook_files is not None
    user, project = client.hook_files
    return environment.expand(user) if scope == "user" else environment.project / project


class _Found(NamedTuple):
    file: ConfigFile
    has_part: bool


class Planner:
    """Gathers the changes and notes of one plan: parts put into files, or taken out of them.

    `install` and `uninstall` raise InstallError where a file cannot be edited safely.
    """

    def __init__(
        self, client: Client, environment: Environment, records: Records, scope: Scope
    ) -> None:
        self.changes: list[FileChange] = []
        self.notes: list[str] = []
        self._client = client
        self._environment = environment
        self._records = records
        self._scope: Scope = scope
        if records.problem:
            self.notes.append(f"{records.problem}; entries are told by their names alone")

    def plan(self, action: Literal["install", "uninstall"]) -> Plan:
        return Plan(
            self._client,
            action,
            self._scope,
            tuple(self.changes),
            tuple(self.notes),
            self._records,
            then=self._client.then if action == "install" and self.changes else "",
        )

    def install(
        self, part: Part, paths: Sequence[Path], *, arguments: list[str] | None = None
    ) -> None:
        file, has_part = self._choose(part, paths)
        try:
            text = part.put(file.text)
        except EditError as error:
            raise InstallError(
                f"{file.path} was left as it is: {error}. Paste the entry by hand",
                snippet=part.snippet(),
            ) from None
        after = file.bom + text
        if after == file.content:
            return
        previous = self._records.find(file.path, part.label)
        if has_part and previous is None:
            self.notes.append(
                f"{file.path} has an entry of that name already; it is changed to fit"
            )
        self._warn_of_refused(part, file)
        change = FileChange("put", file, after, self._record(part, file, after, previous))
        self._add(change, part, None if has_part else arguments)

    def uninstall(
        self, part: Part, paths: Sequence[Path], *, arguments: list[str] | None = None
    ) -> None:
        for path in paths:
            file = read_config(path)
            record = self._records.find(path, part.label)
            if file.content is None:
                continue
            change = self._undo(part, file, record) if record else None
            change = change or self._drop(part, file)
            if change is None:
                continue
            self._add(change, part, arguments)
            if change.after is not None and part.is_in(change.after.removeprefix(file.bom)):
                self.notes.append(f"the entry that {path} had before the install is put back")

    def _choose(self, part: Part, paths: Sequence[Path]) -> _Found:
        """The file that has the part, else the first that exists, else the first."""
        files = [read_config(path) for path in paths]
        existing = [file for file in files if file.content is not None]
        for file in existing:
            if self._has(part, file):
                return _Found(file, has_part=True)
        return _Found(existing[0] if existing else files[0], has_part=False)

    def _has(self, part: Part, file: ConfigFile) -> bool:
        try:
            return part.is_in(file.text)
        except ConfigSyntaxError as error:
            raise InstallError(
                f"{file.path} was left as it is, because it cannot be read: {error}. "
                f"Mend it and run this again",
                snippet=part.snippet(),
            ) from None

    def _record(self, part: Part, file: ConfigFile, after: str, previous: Record | None) -> Record:
        """A record that leads back to the file before the first install, where one is known."""
        origin = file.content
        undone = previous.undo(file.content) if previous and file.content is not None else None
        if previous and undone is not None:
            origin = None if previous.before is None and not undone else undone
        elif previous and file.content is not None:
            with contextlib.suppress(EditError):  # what is there is ours, in another layout
                origin = file.bom + part.drop(file.text)
        record = Record.of_change(
            origin,
            after,
            part=part.label,
            path=file.path,
        )
        folders = previous.made_folders if previous else ()
        return replace(record, made_folders=folders)

    def _undo(self, part: Part, file: ConfigFile, record: Record) -> FileChange | None:
        assert file.content is not None
        undone = record.undo(file.content)
        if undone is None:
            return None
        if record.before is None and not undone:
            return FileChange("drop", file, None, record, exact=True)
        exact = record.before == digest(undone)
        self._has(part, file)
        if not exact and not part.only_this_differs(file.text, undone.removeprefix(file.bom)):
            return None
        return FileChange("drop", file, undone, record, exact=exact)

    def _drop(self, part: Part, file: ConfigFile) -> FileChange | None:
        assert file.content is not None
        if not self._has(part, file):
            return None
        try:
            after = file.bom + part.drop(file.text)
        except EditError as error:
            raise InstallError(
                f"{file.path} was left as it is: {error}. Take the entry out by hand"
            ) from None
        record = Record.of_change(
            file.content,
            after,
            part=part.label,
            path=file.path,
        )
        return FileChange("drop", file, after, record)

    def _warn_of_refused(self, part: Part, file: ConfigFile) -> None:
        if isinstance(part.form, JsonFormat):
            refused = sorted(part.form.extras(file.text) & self._client.refused)
            if refused:
                self.notes.append(
                    f"{file.path} holds {' and '.join(refused)}, which {self._client.title} "
                    f"cannot read: it will report an error until they are gone"
                )

    def _add(self, change: FileChange, part: Part, arguments: list[str] | None) -> None:
        if arguments is not None and change.after is not None:
            change = self._by_own_command(change, part, arguments)
        elif isinstance(part, ServerPart) and self._client.edited_because:
            self.notes.append(f"the file is edited, because {self._client.edited_because}")
        self.changes.append(change)

    def _by_own_command(self, change: FileChange, part: Part, arguments: list[str]) -> FileChange:
        """The same change made by the client's own command, where that does exactly it."""
        own, file = self._client.own, change.file
        if own is None or self._scope not in own.scopes:
            return change
        run = prepare(own, arguments, self._environment)
        if run is None:
            return change
        if file.path.is_symlink():
            self.notes.append(f"the file is edited, because `{own.program}` may replace the link")
            return change
        in_project = self._scope == "project"
        project_file = (
            file.path.relative_to(self._environment.project).as_posix() if in_project else None
        )
        try:
            result = rehearse(
                own, run, scope=self._scope, project_file=project_file, content=file.content
            )
        except InstallError as error:
            self.notes.append(f"the file is edited, because on a copy of it {error}")
            return change
        finally:
            self._restore(part, file)
        if result and not file.text.strip() and _same_content(part, result, change.after):
            record = self._record(part, file, result, None)
            change = replace(change, after=result, record=record)
        if result == change.after:
            self.notes.append(f"`{run}` is run")
            return replace(change, run=run)
        self.notes.append(
            f"the file is edited, because `{own.program}` would change more of it than the entry"
        )
        return change

    def _restore(self, part: Part, file: ConfigFile) -> None:
        """Undo what a client that ignores where its copy lies did to the file itself."""
        now = read_config(file.path)
        if now.content == file.content or self._has(part, now) == self._has(part, file):
            return
        if file.content is None:
            remove_created(file.target, ())
        else:
            write_config(file.target, file.content, private=True)


def _same_content(part: Part, one: str, other: str | None) -> bool:
    try:
        return same(part.form.read(one), part.form.read(other or ""))
    except ConfigSyntaxError:
        return False
