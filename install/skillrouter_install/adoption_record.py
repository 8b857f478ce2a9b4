"""What adoptions moved or set, written down before it is done, so that each can be undone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from skillrouter_install.errors import InstallError
from skillrouter_install.files import write_config

if TYPE_CHECKING:
    from pathlib import Path

_FILE_NAME = "adopted.json"


@dataclass(frozen=True, slots=True)
class Adopted:
    """A skill of a client, `source`, that is now at `target` in the library.

    Of a link, `link` is what it said and `new_link` what the one at `target` says; `new_link` is
    None where `target` is the skill that it led to, and the link was only taken away. `relinked`
    are links elsewhere that led to the source and now to the target, with what they said. While
    not `done` the move may have been interrupted at any step.
    """

    client: str
    source: str
    target: str
    link: str | None = None
    new_link: str | None = None
    relinked: tuple[tuple[str, str], ...] = ()
    done: bool = False

    @property
    def moved(self) -> bool:
        """Whether the skill is at `target` because of this."""
        return self.link is None or self.new_link is not None


@dataclass(slots=True)
class AdoptionRecord:
    """All adoptions of one user, in one file of the state folder.

    `adopted` are in the order of their making, `name_only` the names of skills that each client
    was told to list by name alone, `made_folders` the folders that were made for the library.
    """

    file: Path
    adopted: list[Adopted] = field(default_factory=list)
    name_only: dict[str, list[str]] = field(default_factory=dict)
    made_folders: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, state: Path) -> AdoptionRecord:
        """The record as stored.

        Raises:
            InstallError: it cannot be read: without it nothing may be moved.
        """
        file = state / _FILE_NAME
        try:
            stored = json.loads(file.read_text("utf-8")) if file.exists() else {}
            adopted = [
                Adopted(**{**item, "relinked": tuple((a, b) for a, b in item["relinked"])})
                for item in stored.get("adopted", [])
            ]
            return cls(file, adopted, stored.get("name_only", {}), stored.get("made_folders", []))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InstallError(
                f"{file}, which says where adopted skills came from, cannot be used ({error}); "
                f"mend it, or move it away to give up undoing those adoptions"
            ) from None

    def write(self) -> None:
        """Store it; the file goes when there is nothing to say.

        Raises:
            InstallError: it cannot be written.
        """
        if not (self.adopted or self.name_only):
            self.file.unlink(missing_ok=True)
            return
        value = {
            "adopted": [asdict(item) for item in self.adopted],
            "name_only": self.name_only,
            "made_folders": self.made_folders,
        }
        write_config(self.file, json.dumps(value, indent=2) + "\n", private=True)

    def replace(self, old: Adopted, new: Adopted | None) -> None:
        """Put another in the place of one, or drop it."""
        at = self.adopted.index(old)
        self.adopted[at : at + 1] = [new] if new else []
