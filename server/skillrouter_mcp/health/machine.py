"""Checks of what the router runs on: Python, SQLite, Tantivy, llama.cpp."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skillrouter_mcp.health.finding import Finding

REINSTALL = "reinstall skillrouter-mcp: pip install --force-reinstall skillrouter-mcp"


def check_machine() -> Iterator[Finding]:
    """One finding for each engine, proven by using it."""
    yield Finding(
        section="machine",
        subject="Python",
        status="ok",
        text=f"{platform.python_version()} at {sys.executable}",
    )
    yield _check_sqlite()
    yield _check_tantivy()
    yield _check_llama()


def _check_sqlite() -> Finding:
    try:
        from skillrouter_mcp.index.database import versions

        found = versions()
    except Exception as error:
        return _broken("SQLite", f"sqlite-vec does not load: {error}")
    text = f"{found['sqlite']} with sqlite-vec {found['sqlite-vec']}"
    return Finding(section="machine", subject="SQLite", status="ok", text=text)


def _check_tantivy() -> Finding:
    try:
        from skillrouter_mcp.index.store import Document
        from skillrouter_mcp.index.words import WordIndex

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            words = WordIndex(Path(folder))
            words.update([Document(1, "probe", "", "rotate the logs")])
            found = words.ids() == {1}
    except Exception as error:
        return _broken("Tantivy", f"cannot make an index: {error}")
    if not found:
        return _broken("Tantivy", "does not find what it was given")
    return Finding(
        section="machine", subject="Tantivy", status="ok", text="makes and reads an index"
    )


def _check_llama() -> Finding:
    try:
        from skillrouter_gguf import system_info

        text = system_info()
    except Exception as error:
        return _broken("llama.cpp", f"does not load: {error}")
    return Finding(section="machine", subject="llama.cpp", status="ok", text=text)


def _broken(subject: str, text: str) -> Finding:
    return Finding(section="machine", subject=subject, status="broken", text=text, remedy=REINSTALL)
