from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from mcp import Client
from mcp_types import TextContent

from skillrouter_gguf import ModelError
from skillrouter_mcp.protocol.server import INSTRUCTIONS, TOOL_DESCRIPTION, build_server
from skillrouter_mcp.routing.answer import Answer, Match

MATCH = Match("rotate-logs", "/skills/rotate-logs/SKILL.md", 0.9, {})
GENERATIONS = pytest.mark.parametrize("mode", ["legacy", "auto"])


class _Router:
    """Answers with what it was given; routing has its own tests."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, int]] = []
        self.opened = threading.Event()

    def open(self) -> Any:
        self.opened.set()
        return self

    def find(self, query: str, limit: int, roots: Any = None) -> Answer:
        self.asked.append((query, limit))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self) -> None:
        pass


def _client(router: _Router, mode: str) -> Client:
    return Client(build_server(router.open), mode=cast("Any", mode))


@GENERATIONS
async def test_tool_declares_what_clients_rely_on(mode: str) -> None:
    async with _client(_Router(Answer((), "empty", 0, 0)), mode) as client:
        (tool,) = (await client.list_tools()).tools
    assert tool.name == "find_skill"
    assert tool.annotations is not None
    assert tool.annotations.read_only_hint
    assert tool.annotations.open_world_hint is False
    assert (tool.meta or {})["anthropic/alwaysLoad"] is True
    assert tool.input_schema["required"] == ["query"]
    assert tool.input_schema["properties"]["limit"]["default"] == 5
    assert tool.output_schema is not None
    assert set(tool.output_schema["properties"]) == {"matches", "verdict", "index"}


@GENERATIONS
async def test_answer_is_text_and_structure(mode: str) -> None:
    router = _Router(Answer((MATCH,), "match", skills=3, pending=1))
    async with _client(router, mode) as client:
        result = await client.call_tool("find_skill", {"query": "logs fill the disk", "limit": 2})
    assert not result.is_error
    assert router.asked == [("logs fill the disk", 2)]
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert block.text.startswith("rotate-logs 0.90 /skills/rotate-logs/SKILL.md")
    assert result.structured_content is not None
    assert result.structured_content["verdict"] == "match"
    assert result.structured_content["index"] == {"skills": 3, "pending": 1}
    assert result.structured_content["matches"][0]["uri"].startswith("skill://")


@GENERATIONS
async def test_listing_tools_comes_before_opening_the_router(mode: str) -> None:
    router = _Router(Answer((), "empty", 0, 0))
    async with _client(router, mode) as client:
        assert not router.opened.is_set()
        await client.list_tools()
        assert router.opened.wait(5)


@pytest.mark.parametrize("arguments", [{}, {"query": ""}, {"query": "x", "limit": 0}])
async def test_bad_arguments_are_refused_with_a_reason(arguments: dict[str, Any]) -> None:
    router = _Router(Answer((), "empty", 0, 0))
    async with _client(router, "auto") as client:
        result = await client.call_tool("find_skill", arguments)
    assert result.is_error
    assert not router.asked


async def test_a_failure_reaches_the_agent_as_a_sentence() -> None:
    router = _Router(ModelError("the model file is cut short"))
    async with _client(router, "auto") as client:
        result = await client.call_tool("find_skill", {"query": "anything"})
    assert result.is_error
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert "cut short" in block.text
    assert "doctor" in block.text
    assert "Traceback" not in block.text


def test_texts_stay_below_what_clients_cut() -> None:
    assert len(INSTRUCTIONS.encode()) < 2_000
    assert len(TOOL_DESCRIPTION.encode()) < 2_000
