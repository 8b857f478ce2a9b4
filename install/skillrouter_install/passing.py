"""Which variables of their own environment clients pass on to a server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Passing:
    """What a client passes on besides what the entry sets.

    Only `names` (`windows_names` there) and what begins with one of `prefixes`, everything where
    `names` is None; of that nothing whose name holds a match of `withheld`, a regular expression.
    """

    names: frozenset[str] | None = None
    windows_names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    withheld: str = ""

    def of(self, variables: Mapping[str, str], *, windows: bool = False) -> dict[str, str]:
        """The variables that reach the server."""
        return {
            name: value for name, value in variables.items() if self._reaches(name, windows=windows)
        }

    def _reaches(self, name: str, *, windows: bool) -> bool:
        if self.withheld and re.search(self.withheld, name, re.IGNORECASE):
            return False
        if self.names is None or name.startswith(self.prefixes or ("\0",)):
            return True
        return (name.upper() in self.windows_names) if windows else (name in self.names)


_ON_WINDOWS = frozenset(
    {
        *("APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT"),
        *("PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE"),
    }
)

EVERYTHING = Passing()

# `getDefaultEnvironment` of the TypeScript SDK, `get_default_environment` of the Python SDK.
AS_THE_SDK = Passing(
    frozenset({"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}), windows_names=_ON_WINDOWS
)
