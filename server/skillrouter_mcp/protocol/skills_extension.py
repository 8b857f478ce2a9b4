"""The MCP Skills extension (SEP-2640): `skills/list`, `skills/get` and directories of skills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, PaginatedRequestParams, RequestParams

from skillrouter_gguf import ModelError
from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.protocol.skill_files import NotServedError
from skillrouter_mcp.sharing.warm_up import WarmUp
from skillrouter_mcp.skills import printable

if TYPE_CHECKING:
    from mcp.server.mcpserver.context import Context

    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.protocol.session_roots import SessionRoots
    from skillrouter_mcp.protocol.skill_catalogue import FileContent, SkillCatalogue
    from skillrouter_mcp.sharing.finder import SkillFinder

    _Context = ServerRequestContext[Any, Any] | Context[None, Any]

# A file may change at any time. Folders need not say so, but hosts refuse those that don't.
_FRESHNESS = {"ttlMs": 0, "cacheScope": "private"}
_T = TypeVar("_T")


class GetSkillParams(RequestParams):
    """Parameters of `skills/get`."""

    uri: str


class ReadDirectoryParams(PaginatedRequestParams):
    """Parameters of `resources/directory/read`."""

    uri: str


class SkillsExtension(Extension):
    """Serves the skills that requests may find; opens the router at the first of its requests."""

    identifier = "io.modelcontextprotocol/skills"

    def __init__(self, warm_up: WarmUp[SkillFinder], roots: SessionRoots) -> None:
        self._warm_up = warm_up
        self._roots = roots

    def settings(self) -> dict[str, Any]:
        return {"directoryRead": True}

    def methods(self) -> Sequence[MethodBinding]:
        return (
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", GetSkillParams, self._get),
            MethodBinding("resources/directory/read", ReadDirectoryParams, self._read_directory),
        )

    async def read(self, uri: str, ctx: _Context) -> FileContent:
        """The file with this URI.

        Raises:
            MCPError: it is not served (invalid parameters), or can't be read (internal error).
        """
        return await self._ask(ctx, lambda catalogue: catalogue.read(uri), uri)

    async def _list(
        self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams
    ) -> dict[str, Any]:
        entries, cursor = await self._ask(ctx, lambda catalogue: catalogue.page(params.cursor))
        return {"resultType": "complete", "skills": entries, **_FRESHNESS, **_next(cursor)}

    async def _get(
        self, ctx: ServerRequestContext[Any, Any], params: GetSkillParams
    ) -> dict[str, Any]:
        entry = await self._ask(ctx, lambda catalogue: catalogue.entry(params.uri), params.uri)
        return {"resultType": "complete", "skill": entry, **_FRESHNESS}

    async def _read_directory(
        self, ctx: ServerRequestContext[Any, Any], params: ReadDirectoryParams
    ) -> dict[str, Any]:
        children, cursor = await self._ask(
            ctx, lambda catalogue: catalogue.children(params.uri, params.cursor), params.uri
        )
        return {"resultType": "complete", "resources": children, **_FRESHNESS, **_next(cursor)}

    async def _ask(
        self, ctx: _Context, question: Callable[[SkillCatalogue], _T], uri: str | None = None
    ) -> _T:
        data = None if uri is None else {"uri": uri}
        try:
            roots = await self._roots.of(ctx.session)
            return await anyio.to_thread.run_sync(lambda: question(self._catalogue(roots)))
        except NotServedError as error:
            raise MCPError(INVALID_PARAMS, str(error), data) from error
        except OSError as error:
            where = printable(str(error.filename or "a file"), 300)
            said = f"{where} can't be read: {error.strerror}"
            raise MCPError(INTERNAL_ERROR, said, data) from error
        except (SkillRouterError, ModelError) as error:
            raise MCPError(
                INTERNAL_ERROR, f"{error} (skillrouter-mcp doctor tells more)", data
            ) from error

    def _catalogue(self, roots: Roots | None) -> SkillCatalogue:
        from skillrouter_mcp.protocol.skill_catalogue import SkillCatalogue  # takes its time

        return SkillCatalogue(self._warm_up.router(), roots)


def _next(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {"nextCursor": cursor}
