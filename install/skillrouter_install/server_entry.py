"""The server as a client should start it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from skillrouter_install.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Mapping

CARRIED_VARIABLES = (
    "SKILLROUTER_HOME",
    "SKILLROUTER_ROOTS",
    "SKILLROUTER_PROFILE",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """A stdio server: its name in the client, an absolute command, arguments and environment.

    Raises:
        InstallError: the command is not absolute or the name has characters that a client
            refuses. A client starts the server from a folder and with a search path of its own,
            so a relative command would be found by luck.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    name: str = "skillrouter"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", self.name):
            raise InstallError(
                f"{self.name!r} cannot be a server's name: use letters, digits and hyphens"
            )
        absolute = (
            PurePosixPath(self.command).is_absolute() or PureWindowsPath(self.command).is_absolute()
        )
        if not absolute:
            raise InstallError(f"the command must be an absolute path, not {self.command!r}")


def carried_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Those settings of this environment that the server needs and a client may filter out."""
    return {name: variables[name] for name in CARRIED_VARIABLES if variables.get(name)}
