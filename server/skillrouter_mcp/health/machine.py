"""Checks of what the router runs on: Python, SQLite, Tantivy, llama.cpp, the command itself."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skillrouter_mcp.health.finding import Finding

REINSTALL = "pip install --force-reinstall skillrouter-mcp"
COMMAND = "skillrouter-mcp"

_NO_ENGINE = "without it no skill can be found"


def check_machine() -> Iterator[Finding]:
    """One finding for each engine, proven by using it, and one for the command on the PATH."""
    yield Finding(
        section="machine",
        check="python",
        subject="Python",
        status="ok",
        text=f"{platform.python_version()} at {sys.executable}",
    )
    yield _check_sqlite()
    yield _check_tantivy()
    yield _check_llama()
    yield from _check_command()


def own_command() -> Path | None:
    """The command of this installation, beside its Python; None where it was started otherwise."""
    name = f"{COMMAND}.exe" if os.name == "nt" else COMMAND
    beside = Path(sys.executable).with_name(name)
    return beside if beside.exists() else None


def _check_sqlite() -> Finding:
    try:
        from skillrouter_mcp.index.database import versions

        found = versions()
    except Exception as error:
        return _broken("sqlite", "SQLite", f"sqlite-vec does not load: {error}")
    text = f"{found['sqlite']} with sqlite-vec {found['sqlite-vec']}"
    return _ok("sqlite", "SQLite", text)


def _check_tantivy() -> Finding:
    try:
        from skillrouter_mcp.index.store import Document
        from skillrouter_mcp.index.words import WordIndex

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            words = WordIndex(Path(folder))
            words.update([Document(1, "probe", "", "rotate the logs")])
            found = words.ids() == {1}
    except Exception as error:
        return _broken("tantivy", "Tantivy", f"cannot make an index: {error}")
    if not found:
        return _broken("tantivy", "Tantivy", "does not find what it was given")
    return _ok("tantivy", "Tantivy", "makes and reads an index")


def _check_llama() -> Finding:
    try:
        from skillrouter_gguf import system_info

        text = system_info()
    except Exception as error:
        return _broken("llama", "llama.cpp", f"does not load: {error}")
    return _ok("llama", "llama.cpp", text)


def _check_command() -> Iterator[Finding]:
    own, first = own_command(), shutil.which(COMMAND)
    if own is None or first is None or os.path.realpath(own) == os.path.realpath(first):
        return
    yield Finding(
        section="machine",
        check="second-installation",
        subject=first,
        status="note",
        text=f"another {COMMAND} than this one, {own}, comes first on the PATH",
        why="two versions take turns at one index, and what is mended in one is not in the other",
        remedy="uninstall the one that you do not use",
    )


def _ok(check: str, subject: str, text: str) -> Finding:
    return Finding(section="machine", check=check, subject=subject, status="ok", text=text)


def _broken(check: str, subject: str, text: str) -> Finding:
    return Finding(
        section="machine",
        check=check,
        subject=subject,
        status="broken",
        text=text,
        why=_NO_ENGINE,
        remedy=REINSTALL,
    )
