"""The machine as the installer sees it, given explicitly so that none of it is read in passing."""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Platform = Literal["linux", "macos", "windows"]

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a user's config files are.

    `variables` are the environment's; `project` is the folder that `--scope project` means.
    """

    platform: Platform
    home: Path
    variables: Mapping[str, str]
    project: Path

    @classmethod
    def current(cls) -> Environment:
        """This process's user, environment and working folder."""
        names: dict[str, Platform] = {"darwin": "macos", "win32": "windows"}
        return cls(names.get(sys.platform, "linux"), Path.home(), dict(os.environ), Path.cwd())

    def expand(self, template: str) -> Path:
        """A path from a template with `~` and shell-style `${NAME:-default}`.

        A variable that is unset or empty is its default; the folders that systems name by
        variable have one of their own.
        """
        defaults = {
            "XDG_CONFIG_HOME": "~/.config",
            "APPDATA": "~/AppData/Roaming",
            "LOCALAPPDATA": "~/AppData/Local",
        }

        def value(found: re.Match[str]) -> str:
            name, default = found.groups()
            return self.variables.get(name) or default or defaults.get(name, "")

        while (expanded := _VARIABLE.sub(value, template)) != template:
            template = expanded
        if template == "~" or template.startswith("~/"):
            return self.home / template[2:]
        return self.project / template

    def program(self, name: str) -> Path | None:
        """The program of that name on the search path."""
        found = shutil.which(name, path=self.variables.get("PATH", ""))
        return Path(found) if found else None
