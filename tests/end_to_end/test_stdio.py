from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Connect, Dial

SKILLS = Path(__file__).parents[1] / "skills"
ASKED = ("nitrate-sample", "tax-adviser-batch", "sales-by-region", "donor-money")
GENERATIONS = pytest.mark.parametrize("mode", ["legacy", "auto"])
PATIENCE = 120.0


async def _find(client: Client, query: str, limit: int = 5) -> CallToolResult:
    result = await client.call_tool("find_skill", {"query": query, "limit": limit})
    assert not result.is_error, result.content
    return result


def _matches(result: CallToolResult) -> list[dict[str, Any]]:
    assert result.structured_content is not None
    return list(result.structured_content["matches"])


def _index(result: CallToolResult) -> dict[str, int]:
    assert result.structured_content is not None
    return dict(result.structured_content["index"])


def _text(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def _until(
    client: Client, query: str, holds: Callable[[CallToolResult], bool]
) -> CallToolResult:
    with anyio.fail_after(PATIENCE):
        while not holds(result := await _find(client, query)):
            await anyio.sleep(0.1)
    return result


@GENERATIONS
async def test_an_agent_gets_the_names_of_the_right_skills(
    connect: Connect, skills_home: Path, mode: str
) -> None:
    lines = (SKILLS / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    requests = {request["id"]: request for request in map(json.loads, lines)}
    async with connect(skills_home, root=SKILLS, mode=mode) as client:
        assert client.protocol_version == {"legacy": "2025-11-25", "auto": "2026-07-28"}[mode]
        assert [tool.name for tool in (await client.list_tools()).tools] == ["find_skill"]
        for request in map(requests.__getitem__, ASKED):
            result = await _find(client, request["query"], limit=3)
            assert _index(result)["pending"] == 0
            best, *_ = matches = _matches(result)
            assert best["name"] in request["relevant"], request["id"]
            assert len(matches) <= 3
            assert best["path"] == str(SKILLS / best["name"] / "SKILL.md")
            assert 0 <= best["score"] <= 1
            assert f"{best['name']} {best['score']:.2f} {best['path']}" in _text(result)


@GENERATIONS
async def test_an_empty_library_says_that_it_is_empty(
    connect: Connect, tmp_path: Path, mode: str
) -> None:
    async with connect(root=tmp_path / "not made yet", mode=mode) as client:
        result = await _find(client, "rotate the logs")
    assert result.structured_content == {
        "matches": [],
        "verdict": "empty",
        "index": {"skills": 0, "pending": 0},
    }
    assert _text(result) == "The skill library is empty."


async def test_skills_still_being_embedded_are_found_and_counted(
    connect: Connect, write_skill: Any
) -> None:
    for n in range(150):
        write_skill(f"notes-{n}", body=f"Take note number {n} of the meeting.\n" * 60)
    wanted = write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    async with connect() as client:
        result = await _until(  # they are counted a moment before their words are there
            client,
            "tune a grand piano",
            lambda r: _index(r)["skills"] == 151 and bool(_matches(r)),
        )
    assert 0 < _index(result)["pending"] <= 151
    assert _matches(result)[0]["path"] == str(wanted)
    assert f"{_index(result)['pending']} of 151 skills" in _text(result)


async def test_a_running_server_follows_the_folders(connect: Connect, write_skill: Any) -> None:
    write_skill("bake-bread", body="Knead the dough and let it rise overnight.\n")

    def names(result: CallToolResult) -> list[str]:
        return [match["name"] for match in _matches(result)]

    async with connect() as client:
        assert _index(await _find(client, "grand piano"))["skills"] == 1

        path = write_skill("household", body="Tune the strings of a grand piano.\n")
        await _until(client, "grand piano strings", lambda r: names(r)[:1] == ["household"])

        write_skill("household", body="Descale the espresso machine with citric acid.\n")
        await _until(client, "descale espresso machine", lambda r: names(r)[:1] == ["household"])
        assert "household" not in names(await _find(client, "grand piano strings"))

        shutil.rmtree(path.parent)
        result = await _until(
            client, "descale espresso machine", lambda r: _index(r)["skills"] == 1
        )
        assert "household" not in names(result)


def test_a_request_right_after_the_start_waits_for_the_model(dial: Dial, write_skill: Any) -> None:
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    wire = dial()
    wire.greet()
    result = wire.find("tune a grand piano")
    assert result["structuredContent"]["matches"][0]["name"] == "tune-piano"


def test_two_servers_share_a_home(dial: Dial, write_skill: Any) -> None:
    for n in range(20):
        write_skill(f"notes-{n}", body=f"Take note number {n}.\n")
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    wires = [dial(), dial()]
    for wire in wires:
        wire.greet()
    for wire in wires:
        result = wire.find_until(
            "tune a grand piano", lambda r: r["index"] == {"skills": 21, "pending": 0}
        )
        assert result["matches"][0]["name"] == "tune-piano"
    assert [wire.hang_up() for wire in wires] == [0, 0]
    assert [wire.errors for wire in wires] == ["", ""]
