"""The tables of the index and how an older file becomes a newer one."""

from __future__ import annotations

import secrets

from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.errors import DamagedDatabaseError, DatabaseError

_APPLICATION_ID = 0x736B7274  # "skrt": tells our files from other programs' databases

# One script a version; a file at version n is brought up by running the rest in order.
_MIGRATIONS = (
    """
    CREATE TABLE library (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

    -- What is told apart by its text alone: copies of a skill are one document.
    CREATE TABLE document (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX document_name ON document (name);

    -- A SKILL.md that was loaded, with the stamp by which a change is noticed; once for each of
    -- the roots that hold it.
    CREATE TABLE skill (
        path TEXT NOT NULL,
        root TEXT NOT NULL,
        document_id INTEGER NOT NULL REFERENCES document (id),
        hidden INTEGER NOT NULL,
        warnings TEXT NOT NULL,
        stamp TEXT NOT NULL,
        PRIMARY KEY (path, root)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX skill_document ON skill (document_id);
    CREATE INDEX skill_root ON skill (root);

    -- What was found but could not be loaded; stamp is NULL where there was no file to stamp.
    CREATE TABLE problem (
        path TEXT NOT NULL,
        root TEXT NOT NULL,
        reason TEXT NOT NULL,
        stamp TEXT,
        PRIMARY KEY (path, root, reason)
    ) STRICT, WITHOUT ROWID;

    -- A way of turning documents into vectors; each has a vec0 table vectors_<id> of its own.
    CREATE TABLE encoding (
        id INTEGER PRIMARY KEY,
        fingerprint TEXT NOT NULL UNIQUE,
        settings TEXT NOT NULL,
        used_at INTEGER NOT NULL DEFAULT (unixepoch())
    ) STRICT;

    -- A text that was embedded; its vector is the row of the same id in vectors_<encoding_id>.
    CREATE TABLE passage (
        id INTEGER PRIMARY KEY,
        encoding_id INTEGER NOT NULL REFERENCES encoding (id),
        digest BLOB NOT NULL,
        idle_since INTEGER,
        UNIQUE (encoding_id, digest)
    ) STRICT;

    -- Which passages stand for a document, view by view.
    CREATE TABLE view (
        encoding_id INTEGER NOT NULL REFERENCES encoding (id),
        document_id INTEGER NOT NULL REFERENCES document (id),
        name TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        passage_id INTEGER NOT NULL REFERENCES passage (id),
        PRIMARY KEY (encoding_id, document_id, name, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX view_passage ON view (passage_id);
    CREATE INDEX view_document ON view (document_id);
    """,
)


def prepare(database: Database) -> None:
    """Makes the tables in an empty file, and brings an older file up to date.

    Raises:
        DamagedDatabaseError: the file belongs to another program.
        DatabaseError: it belongs to a newer version of this one.
    """
    current = is_current(database)
    database.run("PRAGMA journal_mode = wal")  # only now that the file is known to be ours
    if current:
        return
    with database.transaction():
        version = version_of(database)
        for script in _MIGRATIONS[version:]:
            database.run(script)
        if version == 0:
            database.run(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.run("INSERT INTO library VALUES ('identity', ?)", (new_identity(),))
        if version < len(_MIGRATIONS):
            database.run(f"PRAGMA user_version = {len(_MIGRATIONS)}")


def is_current(database: Database) -> bool:
    """Whether the file has all tables; raises as `prepare` does."""
    return version_of(database) == len(_MIGRATIONS)


def version_of(database: Database) -> int:
    """The version of the file's tables, 0 for an empty file; raises as `prepare` does."""
    version = int(database.value("PRAGMA user_version"))
    owner = int(database.value("PRAGMA application_id"))
    tables = int(database.value("SELECT count(*) FROM sqlite_master"))
    if owner != _APPLICATION_ID and (owner or version or tables):
        raise DamagedDatabaseError(f"{database.path} belongs to another program")
    if version > len(_MIGRATIONS):
        raise DatabaseError(
            f"{database.path} was written by a newer skillrouter-mcp: update this one, or choose "
            "another SKILLROUTER_HOME"
        )
    return version


def identity(database: Database) -> str:
    """A random name of this file; what is derived from it carries it."""
    return str(database.value("SELECT value FROM library WHERE key = 'identity'"))


def new_identity() -> str:
    """A name that no file has yet."""
    return secrets.token_hex(8)


def set_identity(database: Database, identity: str) -> None:
    """Gives the file another name, which turns all processes to what carries that one."""
    database.run("UPDATE library SET value = ? WHERE key = 'identity'", (identity,))
