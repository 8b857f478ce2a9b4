"""Where logs go: to stderr, with nothing in them that a terminal would take for a command."""

from __future__ import annotations

import logging
import sys


class _Legible(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from skillrouter_mcp.skills.sanitise import legible  # only where there is something to log

        return legible(super().format(record))


def log_to_stderr(pattern: str) -> None:
    """Has warnings and errors written to stderr.

    Args:
        pattern: how a record is written, as `logging.Formatter` takes it.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Legible(pattern))
    logging.basicConfig(level="WARNING", handlers=[handler])
