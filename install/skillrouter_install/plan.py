"""What an install or uninstall will do, shown before it is done."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from skillrouter_install.errors import InstallError
from skillrouter_install.files import (
    back_up,
    missing_folders,
    read_config,
    remove_created,
    write_config,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skillrouter_install.clients import Client
    from skillrouter_install.files import ConfigFile
    from skillrouter_install.own_command import OwnRun, Scope
    from skillrouter_install.record import Record, Records


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file from what it is to what it will be; `after` None deletes it.

    What is put in is remembered by `record`; what is dropped is forgotten. `exact` says that the
    file will again be what it was before the install. `run` is the client's own command where
    that does the same.
    """

    kind: Literal["put", "drop"]
    file: ConfigFile
    after: str | None
    record: Record
    exact: bool = False
    run: OwnRun | None = None

    def diff(self) -> str:
        """The change as a unified diff."""
        old, new = self.file.content, self.after
        name = str(self.file.path)
        lines = difflib.unified_diff(
            _lines(old or ""),
            _lines(new or ""),
            "/dev/null" if old is None else name,
            "/dev/null" if new is None else name,
        )
        return "".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
            for line in lines
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of one client. `notes` are sentences on how and why; `then` is what is left
    for the user to do once they are made. Nothing has been changed until `apply`.
    """

    client: Client
    action: Literal["install", "uninstall"]
    scope: Scope
    changes: tuple[FileChange, ...]
    notes: tuple[str, ...]
    records: Records
    then: str = ""

    @property
    def changes_anything(self) -> bool:
        """Whether there is something to do."""
        return bool(self.changes)

    def diff(self) -> str:
        """All changes as a unified diff, empty where there are none."""
        return "".join(change.diff() for change in self.changes)

    def apply(self) -> list[str]:
        """Make the changes; returns sentences on what was done.

        Raises:
            InstallError: a file has changed since the plan was made, or cannot be written.
        """
        for change in self.changes:
            if read_config(change.file.path).content != change.file.content:
                raise InstallError(
                    f"{change.file.path} has just been changed by another program; run this again"
                )
        done: list[str] = []
        for change in self.changes:
            done += self._put(change) if change.kind == "put" else self._drop(change)
        return done

    def _put(self, change: FileChange) -> Iterator[str]:
        file, record = change.file, change.record
        folders = [str(folder) for folder in missing_folders(file.target)]
        if file.content is not None:
            backup = back_up(file)
            record = replace(record, backup=str(backup))
            yield f"{file.path} was kept as {backup}"
        yield from self._carry_out(change)
        made_folders = (*record.made_folders, *folders)
        self.records.put(replace(record, made_folders=made_folders))

    def _drop(self, change: FileChange) -> Iterator[str]:
        file, record = change.file, change.record
        if change.after is None:
            remove_created(file.target, map(Path, record.made_folders))
            yield f"{file.path} was deleted; the install had created it"
        elif change.exact:
            yield from self._carry_out(change)
            yield f"{file.path} is byte for byte what it was before the install"
            _remove_backup(record, change.after)
        else:
            yield f"{file.path} was kept as {back_up(file)}"
            yield from self._carry_out(change)
        self.records.forget(file.path, record.part)

    def _carry_out(self, change: FileChange) -> Iterator[str]:
        """Run the client's command and check what it wrote, or write the file."""
        assert change.after is not None
        file = change.file
        if change.run:
            mode = file.target.stat().st_mode if file.content is not None else None
            try:
                change.run.run()
            except InstallError as error:
                yield f"{error}; the file was edited instead"
            else:
                yield f"ran `{change.run}`"
            if read_config(file.path).content == change.after:
                if mode is not None:
                    file.target.chmod(mode & 0o7777)
                return
        write_config(file.target, change.after, private=self.scope == "user")
        yield f"{file.path} was written"


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _remove_backup(record: Record, restored: str) -> None:
    """Drop the copy that says the same as the file does again."""
    if record.backup:
        backup = Path(record.backup)
        if not backup.is_symlink() and read_config(backup).content == restored:
            backup.unlink(missing_ok=True)
