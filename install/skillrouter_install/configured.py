"""Reading back how a client would start the server: what stands in its config files now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrouter_install.entries import find_entry
from skillrouter_install.errors import ConfigSyntaxError, InstallError
from skillrouter_install.files import read_config
from skillrouter_install.formats import format_named

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_install.clients import Client
    from skillrouter_install.environment import Environment
    from skillrouter_install.own_command import Scope

_OURS = re.compile(r"skillrouter[-_]mcp", re.IGNORECASE)
_NAME = "skillrouter"


@dataclass(frozen=True, slots=True)
class ConfiguredServer:
    """A server as it stands in a client's file, right or wrong.

    `command` is empty where the entry has none; `url` where it is reached over HTTP. `forwarded`
    are names of variables that the entry has passed on. `start_seconds` is how long the client
    waits until it knows the tools.
    """

    client: Client
    scope: Scope
    file: Path
    name: str
    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    forwarded: tuple[str, ...]
    url: str
    enabled: bool
    start_seconds: float

    def variables(self, environment: Environment) -> dict[str, str]:
        """The environment that the client starts it with."""
        own = environment.variables
        passed = self.client.passes.of(own, windows=environment.platform == "windows")
        forwarded = {name: own[name] for name in self.forwarded if name in own}
        return {**passed, **forwarded, **self.env}


def configured(
    client: Client, environment: Environment, scope: Scope = "user"
) -> list[ConfiguredServer]:
    """The entries for this server in a client's files; none where the client has no such scope.

    An entry counts that is named skillrouter, or that starts a skillrouter-mcp.

    Raises:
        InstallError: a file cannot be read or does not parse.
    """
    if scope not in client.scopes():
        return []
    return [
        _configured(client, environment, scope, file, name, entry)
        for file in client.files(environment, scope)
        for name, entry in _servers(client, file).items()
        if isinstance(entry, dict) and (name == _NAME or _OURS.search(" ".join(_words(entry))))
    ]


def _servers(client: Client, file: Path) -> dict[str, Any]:
    text = read_config(file).text
    try:
        found = find_entry(format_named(client.form).read(text), client.keys) if text else None
    except ConfigSyntaxError as error:
        raise InstallError(f"{file} does not parse: {error}") from None
    return found if isinstance(found, dict) else {}


def _configured(
    client: Client,
    environment: Environment,
    scope: Scope,
    file: Path,
    name: str,
    entry: dict[str, Any],
) -> ConfiguredServer:
    command, *args = _words(entry) or [""]
    env = _first(entry, "env", "environment", "envs")
    url = _first(entry, "url", "httpUrl", "uri", "serverUrl")
    return ConfiguredServer(
        client,
        scope,
        file,
        str(name),
        command,
        tuple(args),
        {str(key): str(value) for key, value in env.items()} if isinstance(env, dict) else {},
        tuple(_forwarded(entry)),
        url if isinstance(url, str) else "",
        entry.get("enabled", True) is not False and entry.get("disabled") is not True,
        client.patience.seconds_for(entry, environment.variables),
    )


def _forwarded(entry: Mapping[str, Any]) -> Iterator[str]:
    """The names under `env_vars`, which Codex has; each a text or a table with `name`."""
    listed = entry.get("env_vars")
    for item in listed if isinstance(listed, list) else []:
        name = item.get("name") if isinstance(item, dict) else item
        if isinstance(name, str):
            yield name


def _words(entry: Mapping[str, Any]) -> list[str]:
    """The command and its arguments."""
    command = _first(entry, "command", "cmd")
    words = command if isinstance(command, list) else [command] if command else []
    args = entry.get("args")
    return [str(word) for word in [*words, *(args if isinstance(args, list) else [])]]


def _first(entry: Mapping[str, Any], *keys: str) -> Any:
    return next((entry[key] for key in keys if key in entry), None)
