"""Where a session's skills are looked for: also in the projects that its client has open."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import anyio
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from mcp_types import ListRootsRequest, ListRootsResult
from pydantic import ValidationError

from skillrouter_mcp.skills import is_plain

if TYPE_CHECKING:
    from skillrouter_mcp.index.attendance import Roots

CHANGED = "notifications/roots/list_changed"
_PATIENCE_SECONDS = 2.0
_MOST_PROJECTS = 16


class SessionRoots:
    """Asks the client of a session which folders it has open, once and after each change of them.

    Only protocols before 2026-07-28 let a server ask; other clients say it by
    `CLAUDE_PROJECT_DIR` or `SKILLROUTER_PROJECT`.
    """

    def __init__(self, roots_with: Callable[[Sequence[Path]], Roots] | None) -> None:
        """
        Args:
            roots_with: gives the roots of a session with these projects; None where clients are
                not to be asked.
        """
        self._roots_with = roots_with
        self._roots: Roots | None = None
        self._asked = False
        self._asking = anyio.Lock()

    def forget(self) -> None:
        """Asks again at the next request."""
        self._asked = False

    async def of(self, session: ServerSession) -> Roots | None:
        """The session's roots, None for those of the settings."""
        if self._roots_with is None:
            return None
        async with self._asking:
            if not self._asked:
                self._asked = True
                projects = await _projects(session)
                if projects is not None:
                    self._roots = self._roots_with(projects)
            return self._roots


async def _projects(session: ServerSession) -> list[Path] | None:
    """None where the client does not say."""
    capabilities = session.client_capabilities
    if capabilities is None or capabilities.roots is None:
        return None
    try:
        with anyio.fail_after(_PATIENCE_SECONDS):
            answer: Any = await session.send_request(ListRootsRequest(), ListRootsResult)
    except (MCPError, ValidationError, TimeoutError, RuntimeError):
        return None
    paths = [_path_of(str(root.uri)) for root in answer.roots]
    return [path for path in paths if path is not None][:_MOST_PROJECTS]


def _path_of(uri: str) -> Path | None:
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    path = (
        url2pathname(parts.path)
        if os.name == "nt"
        else unquote(parts.path, errors="surrogateescape")
    )
    return Path(os.path.normpath(path)) if is_plain(path) and os.path.isabs(path) else None  # noqa: PTH117
