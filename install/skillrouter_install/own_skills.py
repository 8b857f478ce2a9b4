"""The skills that a client keeps in folders of its own, and how it lists them in every prompt."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skillrouter_install.errors import InstallError
from skillrouter_install.moving import place

if TYPE_CHECKING:
    from skillrouter_install.clients import Client
    from skillrouter_install.environment import Environment

SKILL_FILE = "SKILL.md"
SHARED_FOLDER = "~/.agents/skills"

_DEEPEST = 6
_SKIPPED = frozenset({"node_modules", "venv", "site-packages", "__pycache__"})


def _nothing_managed(_folder: Path) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class OwnSkills:
    """How a client keeps and lists skills of its own.

    `folders` are templates for `Environment.expand`; a skill lies at most `depth` folders below.
    A skill is listed as `line` says, with name, description (its first `longest` characters) and
    path of its file; `limit` says what the client cuts beyond that. `managed` tells why skills of a
    folder are not the user's, by name. `name_only_file` is the settings file in which Claude Code
    can be told to list skills by their names alone.
    """

    folders: tuple[str, ...]
    depth: int = 1
    line: str = "- {name}: {description}"
    longest: int = 1_024
    limit: str = ""
    managed: Callable[[Path], Mapping[str, str]] = _nothing_managed
    name_only_file: str | None = None

    def listed(self, name: str, description: str, path: Path) -> str:
        """The line of the client's list for a skill."""
        shown = description[: self.longest]
        return self.line.format(name=name, description=shown, path=path) + "\n"

    def listed_by_name(self, name: str) -> str:
        """The line for a skill that is listed by its name alone."""
        return f"- {name}\n"


@dataclass(frozen=True, slots=True)
class OwnSkill:
    """A skill in a client's folder: `path` is its folder or a link to that, `folder` the client's.

    `managed` says why it is not the user's to move.
    """

    path: Path
    folder: Path
    managed: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder, by which clients call it."""
        return self.path.name

    @property
    def place(self) -> Path:
        """Its one place, where the folders above it may be links."""
        return place(self.path)


def own_skills(client: Client, environment: Environment) -> list[OwnSkill]:
    """The skills in the client's own folders, none where it has no such folders.

    Folders whose names begin with a dot are the client's business and not looked into.

    Raises:
        InstallError: a folder cannot be read.
    """
    if client.skills is None:
        return []
    found = []
    for folder in skill_folders(client, environment):
        if folder.is_dir():
            reasons = client.skills.managed(folder)
            found += [
                OwnSkill(path, folder, _why_managed(path, reasons))
                for path in skills_below(folder, client.skills.depth)
            ]
    return found


def skill_folders(client: Client, environment: Environment) -> list[Path]:
    """The folders that the client keeps skills in, whether they exist or not."""
    return [environment.expand(folder) for folder in client.skills.folders] if client.skills else []


def skills_below(folder: Path, depth: int = _DEEPEST) -> Iterator[Path]:
    """The folders, and links to folders, that hold a skill; what is inside a skill is not.

    Raises:
        InstallError: a folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            paths = sorted(Path(entry.path) for entry in entries)
    except OSError as error:
        raise InstallError(f"{folder} cannot be read: {error.strerror}") from None
    for path in paths:
        if path.name.startswith(".") or path.name in _SKIPPED or not os.path.isdir(path):  # noqa: PTH112
            continue
        if os.path.isfile(path / SKILL_FILE):  # noqa: PTH113
            yield path
        elif depth > 1 and not path.is_symlink():
            yield from skills_below(path, depth - 1)


def managed_by_hermes(folder: Path) -> Mapping[str, str]:
    """The skills that came with Hermes or from its hub, which it updates itself."""
    reasons = {}
    manifest = _text(folder / ".bundled_manifest")
    for line in manifest.splitlines():
        reasons[line.partition(":")[0].strip()] = "came with Hermes, which keeps it up to date"
    try:
        installed = json.loads(_text(folder / ".hub" / "lock.json") or "{}").get("installed", {})
        names = list(installed)
    except (ValueError, AttributeError, TypeError):
        raise InstallError(
            f"{folder / '.hub' / 'lock.json'} cannot be understood, so it is not known which "
            f"skills Hermes looks after"
        ) from None
    return {**reasons, **dict.fromkeys(names, "was installed by Hermes, which keeps it up to date")}


def _why_managed(path: Path, reasons: Mapping[str, str]) -> str | None:
    if (path / ".claude-plugin").exists():
        return "is a plugin"
    return reasons.get(path.name) or reasons.get(_stated_name(path))


def _stated_name(path: Path) -> str:
    """The name in the front matter, as Hermes reads it for its manifest; "" where there is none."""
    try:
        with open(path / SKILL_FILE, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            head = file.read(4_000).splitlines()
    except OSError:
        return ""
    names = (line.strip().partition(":") for line in head if line.strip().startswith("name:"))
    return next((value.strip().strip("\"'") for _, _, value in names), "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8") if path.exists() else ""
    except (OSError, ValueError) as error:
        raise InstallError(f"{path} cannot be read: {error}") from None
