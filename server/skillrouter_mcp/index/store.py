"""What the database remembers of skills: the files, the documents they hold, what went wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from skillrouter_mcp.index.database import Database, Row
from skillrouter_mcp.skills import Problem, Root, Skill, SkillFile, Stamp

Place: TypeAlias = tuple[str, str]
"""The path of a skill's file and that of the root it was found under; roots may lie in others."""


@dataclass(frozen=True, slots=True)
class Document:
    """A skill's text, wherever its copies lie."""

    id: int
    name: str
    description: str
    body: str


@dataclass(frozen=True, slots=True)
class Location:
    """One place where a document can be read."""

    document_id: int
    name: str
    path: str


def place_of(file: SkillFile) -> Place:
    """Where a file was found."""
    return file.path, str(file.root.path)


def stamp_text(stamp: Stamp) -> str:
    """A stamp as the database keeps it."""
    return f"{stamp.size} {stamp.mtime_ns} {stamp.ctime_ns} {stamp.inode} {stamp.device}"


_DAY_SECONDS = 24 * 3600
_KEEP_UNUSED_SECONDS = 30 * _DAY_SECONDS
_USED = "root used at: "


class SkillStore:
    """Reads and writes the tables `document`, `skill` and `problem`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stamps(self, roots: Sequence[Root]) -> dict[Place, str]:
        """The stamp of every file under the roots that was read before, loadable or not."""
        marks, names = _in_list(roots)
        rows = self._database.rows(
            f"SELECT path, root, stamp FROM skill WHERE root IN {marks} UNION ALL "
            f"SELECT path, root, stamp FROM problem WHERE root IN {marks} AND stamp IS NOT NULL",
            names * 2,
        )
        return {(path, root): stamp for path, root, stamp in rows}

    def save(
        self,
        loaded: Sequence[tuple[SkillFile, Skill]],
        failed: Sequence[tuple[SkillFile, str]] = (),
    ) -> None:
        """Remembers files just read, in one transaction."""
        with self._database.transaction():
            for file, skill in loaded:
                self._database.run(
                    "INSERT OR REPLACE INTO skill VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        *place_of(file),
                        self._document_id(skill),
                        skill.hidden,
                        json.dumps(skill.warnings),
                        stamp_text(file.stamp),
                    ),
                )
            self._forget("problem", [place_of(file) for file, _ in loaded])
            self._forget("skill", [place_of(file) for file, _ in failed])
            self._forget("problem", [place_of(file) for file, _ in failed])
            self._database.run_many(
                "INSERT OR REPLACE INTO problem VALUES (?, ?, ?, ?)",
                [(*place_of(file), reason, stamp_text(file.stamp)) for file, reason in failed],
            )

    def _document_id(self, skill: Skill) -> int:
        fields = (skill.name, skill.description, skill.body)
        digest = hashlib.sha256("\0".join(fields).encode()).digest()
        known = self._database.value("SELECT id FROM document WHERE digest = ?", (digest,))
        if known is not None:
            return int(known)
        return self._database.run(
            "INSERT INTO document (digest, name, description, body) VALUES (?, ?, ?, ?)",
            (digest, *fields),
        )

    def _forget(self, table: str, places: Sequence[Place]) -> None:
        self._database.run_many(f"DELETE FROM {table} WHERE path = ? AND root = ?", places)

    def replace_walk_problems(self, roots: Sequence[Root], problems: Sequence[Problem]) -> None:
        """Remembers what the last walk stumbled over, in place of what the one before did."""
        marks, names = _in_list(roots)
        found = {(problem.path, str(problem.root.path), problem.reason) for problem in problems}
        known = self._database.rows(
            f"SELECT path, root, reason FROM problem WHERE stamp IS NULL AND root IN {marks}", names
        )
        if found == set(known):
            return
        with self._database.transaction():
            self._database.run(
                f"DELETE FROM problem WHERE stamp IS NULL AND root IN {marks}", names
            )
            self._database.run_many(
                "INSERT OR REPLACE INTO problem VALUES (?, ?, ?, NULL)", sorted(found)
            )

    def remove(self, places: Sequence[Place]) -> None:
        """Forgets files that are gone."""
        with self._database.transaction():
            self._forget("skill", places)
            self._forget("problem", places)

    def forget_unused(self, used: Sequence[Root], now: int) -> None:
        """Notes, once a day, that these roots are in use, and forgets the files of those that have
        not been for thirty days.

        Args:
            now: in seconds since the epoch.
        """
        in_use = {str(root.path) for root in used}
        noted = {
            str(key).removeprefix(_USED): int(value)
            for key, value in self._database.rows(
                "SELECT key, value FROM library WHERE substr(key, 1, ?) = ?", (len(_USED), _USED)
            )
        }
        today = {root for root, at in noted.items() if now - _DAY_SECONDS < at <= now}
        if in_use <= today:
            return
        known = {
            root
            for (root,) in self._database.rows(
                "SELECT root FROM skill UNION SELECT root FROM problem"
            )
        }
        fresh = (in_use | known - noted.keys()) - today
        unused = [
            root
            for root, at in noted.items()
            if root not in in_use and at < now - _KEEP_UNUSED_SECONDS
        ]
        with self._database.transaction():
            self._database.run_many(
                "INSERT OR REPLACE INTO library VALUES (?, ?)",
                [(_USED + root, str(now)) for root in sorted(fresh)],
            )
            for root in unused:
                self._database.run("DELETE FROM skill WHERE root = ?", (root,))
                self._database.run("DELETE FROM problem WHERE root = ?", (root,))
                self._database.run("DELETE FROM library WHERE key = ?", (_USED + root,))

    def drop_orphans(self) -> int:
        """Deletes documents that no file holds any more; how many there were."""
        orphans = self._database.rows(
            "SELECT id FROM document WHERE id NOT IN (SELECT document_id FROM skill)"
        )
        if orphans:
            with self._database.transaction():
                self._database.run_many("DELETE FROM view WHERE document_id = ?", orphans)
                self._database.run_many("DELETE FROM document WHERE id = ?", orphans)
        return len(orphans)

    def document_ids(self, *, after: int = 0) -> set[int]:
        """The ids of all documents, of whatever root, that were added after that of this id."""
        rows = self._database.rows("SELECT id FROM document WHERE id > ?", (after,))
        return {row[0] for row in rows}

    def count(self) -> int:
        """How many documents there are, of whatever root."""
        return int(self._database.value("SELECT count(*) FROM document"))

    def clear(self) -> None:
        """Forgets everything that was read."""
        with self._database.transaction():
            for table in ("view", "skill", "problem", "document"):
                self._database.run(f"DELETE FROM {table}")

    def documents(self, ids: Sequence[int]) -> list[Document]:
        """The documents of these ids that still exist, by id."""
        rows = self._database.rows(
            "SELECT id, name, description, body FROM document "
            "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(ids)),),
        )
        return [Document(*row) for row in rows]

    def visible(self, roots: Sequence[Root]) -> list[int]:
        """Sorted ids of the documents that a request over these roots may find."""
        where, bindings = _visible(roots)
        # In one row: between two rows another thread may take the interpreter and keep it a while.
        ids = self._database.value(
            f"SELECT json_group_array(s.document_id) FROM skill s WHERE {where}", bindings
        )
        return sorted(set(json.loads(ids)))

    def locate(self, ids: Sequence[int], roots: Sequence[Root]) -> dict[int, Location]:
        """Where to read each of the documents: the first place in the order of the roots."""
        where, bindings = _visible(roots)
        rows = self._database.rows(
            "SELECT s.document_id, d.name, s.path, s.root FROM json_each(?) wanted "
            # In this order: SQLite would rather go through all skills of the roots.
            "CROSS JOIN document d ON d.id = wanted.value "
            f"CROSS JOIN skill s ON s.document_id = d.id WHERE {where}",
            (json.dumps(list(ids)), *bindings),
        )
        order = {str(root.path): rank for rank, root in enumerate(roots)}
        first: dict[int, Location] = {}
        for document_id, name, path, _ in sorted(rows, key=lambda row: (order[row[3]], row[2])):
            first.setdefault(document_id, Location(document_id, name, path))
        return first

    def locations(self, roots: Sequence[Root]) -> list[Location]:
        """Every place where a request over these roots may find a skill, sorted by path."""
        where, bindings = _visible(roots)
        rows = self._database.rows(
            "SELECT DISTINCT s.document_id, d.name, s.path "
            f"FROM skill s JOIN document d ON d.id = s.document_id WHERE {where} ORDER BY s.path",
            bindings,
        )
        return [Location(*row) for row in rows]

    def shadowed(self, roots: Sequence[Root]) -> list[Problem]:
        """User skills that a project's skill of the same name hides."""
        project, user = _by_scope(roots)
        rows = self._database.rows(
            f"""
            SELECT u.path, u.root, d.name, p.path FROM skill u
            JOIN document d ON d.id = u.document_id
            JOIN document e ON e.name = d.name
            JOIN skill p ON p.document_id = e.id
            WHERE u.root IN {user[0]} AND p.root IN {project[0]} AND p.path <> u.path
            ORDER BY u.path
            """,
            (*user[1], *project[1]),
        )
        return _told(
            roots,
            [
                (path, root, f"hidden by the project's skill {name!r} at {winner}")
                for path, root, name, winner in rows
            ],
        )

    def problems(self, roots: Sequence[Root]) -> list[Problem]:
        """What could not be loaded under these roots, and why."""
        marks, names = _in_list(roots)
        rows = self._database.rows(
            f"SELECT path, root, reason FROM problem WHERE root IN {marks} ORDER BY path", names
        )
        return _told(roots, rows)

    def warned(self, roots: Sequence[Root]) -> list[Problem]:
        """What was loaded, with something wrong about it."""
        marks, names = _in_list(roots)
        rows = self._database.rows(
            f"SELECT path, root, warnings FROM skill WHERE root IN {marks} AND warnings <> '[]' "
            "ORDER BY path",
            names,
        )
        return _told(
            roots,
            [(path, root, text) for path, root, packed in rows for text in json.loads(packed)],
        )


def _in_list(roots: Sequence[Root]) -> tuple[str, tuple[str, ...]]:
    names = tuple(str(root.path) for root in roots)
    return f"({', '.join('?' * len(names))})", names


_Scoped = tuple[str, tuple[str, ...]]


def _by_scope(roots: Sequence[Root]) -> tuple[_Scoped, _Scoped]:
    return (
        _in_list([root for root in roots if root.scope == "project"]),
        _in_list([root for root in roots if root.scope == "user"]),
    )


def _visible(roots: Sequence[Root]) -> tuple[str, tuple[str, ...]]:
    """The condition on `skill s` under which a request may find it."""
    project, user = _by_scope(roots)
    where = (
        f"NOT s.hidden AND (s.root IN {project[0]} OR (s.root IN {user[0]} "
        "AND s.document_id NOT IN (SELECT id FROM document WHERE name IN "
        "(SELECT e.name FROM skill p JOIN document e ON e.id = p.document_id "
        f"WHERE p.root IN {project[0]}))))"
    )
    return where, (*project[1], *user[1], *project[1])


def _told(roots: Sequence[Root], rows: Iterable[Row]) -> list[Problem]:
    """Problems from rows of path, root and reason; what lies under several roots is told once."""
    by_name = {str(root.path): root for root in roots}
    first: dict[tuple[str, str], Problem] = {}
    for path, root, reason in rows:
        first.setdefault((path, reason), Problem(path, by_name[root], reason))
    return list(first.values())
