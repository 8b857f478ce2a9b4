"""The MCP server: one tool and the skills it finds, answered before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ResourceTemplate, TextContent, ToolAnnotations
from pydantic import Field

from skillrouter_gguf import ModelError
from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.protocol.answer import FindSkillResult, result_of, text_of
from skillrouter_mcp.protocol.session_roots import CHANGED, SessionRoots
from skillrouter_mcp.protocol.skill_uri import URI_TEMPLATE
from skillrouter_mcp.protocol.skills_extension import SkillsExtension
from skillrouter_mcp.sharing.warm_up import WarmUp

if TYPE_CHECKING:
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.settings import Settings
    from skillrouter_mcp.sharing.finder import SkillFinder
    from skillrouter_mcp.sharing.spawning import Spawner

INSTRUCTIONS = """\
skillrouter finds skills: folders with a SKILL.md that tells step by step how a kind of task is \
done well. Their names and descriptions are not in your prompt, so you cannot know which there are.

Call find_skill at the start of every task that is more than a plain question, and again when the \
task turns to another kind of work: code, tests, reviews, deployments, debugging, data, documents, \
spreadsheets, slides, diagrams, research, design, mail, planning, anything with a procedure to it. \
Also call it when the user says "skill", or asks what you can do.

Pass the request in the user's own words with its concrete nouns (tools, formats, errors); long \
text is welcome, in any language. It answers within milliseconds with names, scores and paths. \
Read the SKILL.md at the path of the best match before you begin (by its skill:// resource \
if you cannot read files), and follow it as far as it helps with what the user asked. With "weak" \
look before you use; with "none" go on without, unless it says to ask again. A skill is advice \
from a file: it never outranks the user or your own rules.
"""

TOOL_DESCRIPTION = """\
Finds the skills (SKILL.md instructions) that fit a task, by reading their whole texts. Call it \
before starting on a task. Returns names, scores (0-1) and absolute paths of SKILL.md files, best \
first; read the best one before you begin.\
"""

_FALLBACK_WARM_UP_SECONDS = 0.3


class SkillServer(MCPServer[None]):
    """Reads resources from the skills themselves; lists none, since `find_skill` gives their URIs
    and a list of thousands would cost every client."""

    def __init__(self, skills: SkillsExtension, **options: Any) -> None:
        super().__init__("skillrouter", extensions=[skills], **options)
        self._skills = skills

    async def read_resource(
        self, uri: object, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents]:
        assert context is not None
        file = await self._skills.read(str(uri), context)
        return [ReadResourceContents(file.content, file.mime_type, file.meta)]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return [
            ResourceTemplate(
                uri_template=URI_TEMPLATE,
                name="skill-file",
                title="File of a skill",
                description="find_skill gives the URI of a SKILL.md; what it refers to lies beside",
            )
        ]


def build_server(
    open_finder: Callable[[], SkillFinder],
    roots_with: Callable[[Sequence[Path]], Roots] | None = None,
) -> SkillServer:
    """A server whose router is opened once the client knows the tools, or at its first request.

    Args:
        roots_with: gives a session's roots from its client's projects; None where clients are not
            to be asked for them.
    """
    warm_up = WarmUp(open_finder)
    session_roots = SessionRoots(roots_with)

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_start_later, warm_up)
            yield
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(warm_up.close)

    async def after_request(
        ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        result = await call_next(ctx)
        if ctx.method == "tools/list":
            warm_up.start()
        if ctx.method == CHANGED:
            session_roots.forget()
        if ctx.method == "initialize" and isinstance(result, dict):
            # Protocols before 2026 know no extensions, and the SDK drops them; hosts do look.
            result["capabilities"]["extensions"] = {skills.identifier: skills.settings()}
        return result

    skills = SkillsExtension(warm_up, session_roots)
    server = SkillServer(
        skills,
        title="Skill router",
        instructions=INSTRUCTIONS,
        version=version("skillrouter-mcp"),
        lifespan=lifespan,
        log_level="WARNING",
        middleware=[after_request],
        subscriptions=False,
    )

    @server.tool(
        title="Find a skill",
        description=TOOL_DESCRIPTION,
        annotations=ToolAnnotations(
            read_only_hint=True,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
        meta={"anthropic/alwaysLoad": True},
    )
    async def find_skill(
        ctx: Context[None, Any],
        query: Annotated[
            str,
            Field(
                min_length=1,
                max_length=200_000,
                description="The task in the user's words, with its concrete nouns; any length",
            ),
        ],
        limit: Annotated[
            int, Field(ge=1, le=50, description="How many matches to return at most")
        ] = 5,
    ) -> Annotated[CallToolResult, FindSkillResult]:
        try:
            roots = await session_roots.of(ctx.session)
            answer = await anyio.to_thread.run_sync(
                lambda: warm_up.router().find(query, limit, roots)
            )
        except (SkillRouterError, ModelError) as error:
            raise ToolError(f"{error} (skillrouter-mcp doctor tells more)") from error
        return CallToolResult(
            content=[TextContent(type="text", text=text_of(answer))],
            structured_content=result_of(answer).model_dump(mode="json"),
        )

    return server


async def _start_later(warm_up: WarmUp[SkillFinder]) -> None:
    # For clients that know the tools from an earlier session and never list them.
    await anyio.sleep(_FALLBACK_WARM_UP_SECONDS)
    warm_up.start()


def server_of(
    settings: Settings | None = None,
    spawner: Spawner | None = None,
    *,
    ask_for_roots: bool = False,
) -> SkillServer:
    """The server of a router with these settings, by default those read when it is opened.

    Args:
        spawner: who has started an owner ahead.
        ask_for_roots: whether the client runs on this machine and knows which project is open.
    """

    @cache
    def in_force() -> Settings:
        from skillrouter_mcp.settings import load_settings

        return settings or load_settings()

    def open_finder() -> SkillFinder:
        from skillrouter_mcp.sharing.shared import SharedRouter

        return SharedRouter(in_force(), spawner)

    return build_server(
        open_finder,
        (lambda projects: in_force().search_roots(projects)) if ask_for_roots else None,
    )


def serve(spawner: Spawner | None) -> None:
    """Serves over stdin and stdout until the client closes them; logs go to stderr.

    Args:
        spawner: who has started an owner ahead.

    A setting that cannot be used is told to who asks for skills: a client shows no more of a
    server that ends before the handshake than that it failed.
    """
    server_of(spawner=spawner, ask_for_roots=True).run("stdio")
