"""What installs changed, so that an uninstall can put back each byte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from skillrouter_install.files import write_config

_FILE_NAME = "installed.json"


@dataclass(frozen=True, slots=True)
class Record:
    """One change of one file: `removed` at character `offset` became `inserted`.

    `part` says what it was for, `path` is the file's name. The digests are SHA-256 of the file
    before and after; `before` is None where there was no file. `made_folders`
    were made for it, outermost first; `backup` is the copy left beside it.
    """

    part: str
    path: str
    offset: int
    removed: str
    inserted: str
    before: str | None
    after: str
    made_folders: tuple[str, ...] = ()
    backup: str | None = None

    @classmethod
    def of_change(cls, before: str | None, after: str, *, part: str, path: Path) -> Record:
        """The smallest single replacement that leads from one content to the other."""
        old = before or ""
        start = 0
        while start < min(len(old), len(after)) and old[start] == after[start]:
            start += 1
        end = 0
        while end < min(len(old), len(after)) - start and old[-1 - end] == after[-1 - end]:
            end += 1
        return cls(
            part,
            str(path),
            offset=start,
            removed=old[start : len(old) - end],
            inserted=after[start : len(after) - end],
            before=None if before is None else digest(before),
            after=digest(after),
        )

    def undo(self, content: str) -> str | None:
        """The content with the change taken back; None where it can no longer be told apart."""
        if digest(content) == self.after:
            offset = self.offset
        elif self.inserted.strip() and content.count(self.inserted) == 1:
            offset = content.index(self.inserted)
        else:
            return None
        return content[:offset] + self.removed + content[offset + len(self.inserted) :]


def digest(content: str) -> str:
    """SHA-256 of a text as UTF-8, in hexadecimal."""
    return hashlib.sha256(content.encode("utf-8")).hexdigest()


class Records:
    """The records of one user, in one file of the state folder.

    `problem` says why records that should be there could not be read: uninstalling then takes
    entries out by their structure.
    """

    def __init__(self, state: Path) -> None:
        self._file = state / _FILE_NAME
        self.problem: str | None = None
        self._load()

    def find(self, path: Path, part: str) -> Record | None:
        """The record of a part in a file."""
        return self._load().get((str(path), part))

    def put(self, record: Record) -> None:
        """Store a record, in place of one for the same part of the same file."""
        self._save({**self._load(), (record.path, record.part): record})

    def forget(self, path: Path, part: str) -> None:
        """Drop a record, if there is one; others inherit the folders made for it that they use."""
        records = self._load()
        dropped = records.pop((str(path), part), None)
        if dropped is None:
            return
        for key, other in records.items():
            above = {str(folder) for folder in Path(other.path).parents}
            used = {folder for folder in dropped.made_folders if folder in above}
            folders = sorted({*other.made_folders, *used}, key=len)
            records[key] = replace(other, made_folders=tuple(folders))
        self._save(records)

    def _load(self) -> dict[tuple[str, str], Record]:
        """The stored records: read each time, as other plans store theirs in between."""
        records = {}
        try:
            stored = json.loads(self._file.read_text("utf-8")) if self._file.exists() else []
            for item in stored:
                record = Record(**{**item, "made_folders": tuple(item["made_folders"])})
                records[record.path, record.part] = record
        except (OSError, ValueError, TypeError, KeyError) as error:
            self.problem = f"{self._file} cannot be used ({error})"
            return {}
        return records

    def _save(self, records: dict[tuple[str, str], Record]) -> None:
        items = [asdict(record) for record in records.values()]
        write_config(self._file, json.dumps(items, indent=2) + "\n", private=True)
