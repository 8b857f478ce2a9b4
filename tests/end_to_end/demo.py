"""Asks a real server, over a real stdio connection, for skills of `tests/skills/`; `make demo`.

Beside the answer that an agent gets stands the first choice, however unsure, of a router which sees
names and descriptions only: the same router over copies of the skills without their bodies.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, TextContent

from skillrouter_mcp import Router, load_settings

SKILLS = Path(__file__).parents[1] / "skills"


@asynccontextmanager
async def server(root: Path, home: Path) -> AsyncIterator[Client]:
    """A client of a server over this folder of skills, once everything in it is embedded."""
    parameters = StdioServerParameters(
        command=str(Path(sys.executable).with_name("skillrouter-mcp")),
        env={
            "SKILLROUTER_HOME": str(home),
            "SKILLROUTER_ROOTS": str(root),
            "SKILLROUTER_LINGER": "0",
        },
    )
    async with Client(stdio_client(parameters)) as client:
        while await _pending(client):
            await anyio.sleep(0.2)
        yield client


async def _pending(client: Client) -> int:
    answer = await client.call_tool("find_skill", {"query": "hello"})
    assert answer.structured_content is not None
    return int(answer.structured_content["index"]["pending"])


def text_of(answer: CallToolResult) -> str:
    """The text that the agent sees."""
    return "\n".join(block.text for block in answer.content if isinstance(block, TextContent))


def without_bodies(skills: Path, copies: Path) -> None:
    """Copies of the skills that end with the front matter."""
    for skill in skills.glob("*/SKILL.md"):
        head = re.match(r"---\n.*?\n---\n", skill.read_text(encoding="utf-8"), re.DOTALL)
        assert head is not None
        (copies / skill.parent.name).mkdir(parents=True)
        (copies / skill.parent.name / "SKILL.md").write_text(head.group(), encoding="utf-8")


def mark(name: str, relevant: list[str]) -> str:
    """The name, and whether it is right."""
    return f"{name}  {'right' if name in relevant else 'wrong'}"


async def main() -> None:
    lines = (SKILLS / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    requests = [request for line in lines if (request := json.loads(line)).get("demo")]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        labels = Path(scratch, "labels")
        without_bodies(SKILLS, labels)
        settings = load_settings(home=Path(scratch, "home-of-labels"), roots=(labels,))
        async with server(SKILLS, Path(scratch, "home")) as client:
            label_router = Router.open(settings, keep=False)
            label_router.bring_in_step()
            for request in requests:
                asked = {"query": request["query"], "limit": 3}
                began = time.perf_counter()
                answer = await client.call_tool("find_skill", asked)
                milliseconds = 1000 * (time.perf_counter() - began)
                found = (answer.structured_content or {})["matches"]
                by_texts = found[0]["name"] if found else "(nothing)"
                by_labels = label_router.rank(request["query"], 1).matches[0].name
                print(f"\n> {request['query']}")
                print(f"what the agent sees, after {milliseconds:.0f} ms:")
                print("    " + text_of(answer).replace(f"{SKILLS}/", "").replace("\n", "\n    "))
                print(f"first by whole texts:             {mark(by_texts, request['relevant'])}")
                print(f"first by names and descriptions:  {mark(by_labels, request['relevant'])}")
            label_router.close()


if __name__ == "__main__":
    anyio.run(main)
