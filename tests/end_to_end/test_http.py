from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0
TOKEN = "correct-horse-battery-staple"

Served = tuple["subprocess.Popen[str]", str]
Serve = Callable[..., Served]


def _command(*arguments: str) -> list[str]:
    return [COMMAND, "serve", "--http", "--port", "0", *arguments]


@pytest.fixture
def environment(tmp_path: Path, root: Path) -> dict[str, str]:
    """What a server over `root` is started with."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SKILLROUTER_HOME": str(tmp_path / "home"),
        "SKILLROUTER_ROOTS": str(root),
    }


@pytest.fixture
def serve(environment: dict[str, str]) -> Iterator[Serve]:
    """Starts servers; gives the process and the URL that it prints."""
    processes = []

    def start(*arguments: str, **more: str) -> Served:
        process = subprocess.Popen(
            _command(*arguments),
            env=environment | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stderr is not None
        printed = process.stderr.readline()
        url = re.search(r"http://\S+", printed)
        assert url is not None, printed
        return process, url.group()

    yield start
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENCE)


async def _first(client: Client, query: str) -> str:
    """The path of the first match, once everything is embedded."""
    with anyio.fail_after(PATIENCE):
        while True:
            result = await client.call_tool("find_skill", {"query": query})
            assert result.structured_content is not None
            if not result.structured_content["index"]["pending"]:
                return str(result.structured_content["matches"][0]["path"])
            await anyio.sleep(0.05)


async def test_two_clients_share_a_server_that_ends_at_ctrl_c(
    serve: Serve, write_skill: Any
) -> None:
    path = write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    process, url = serve()
    async with Client(url) as client, Client(url, mode="legacy") as other:
        for asking in (client, other):
            assert await _first(asking, "tune the strings of a grand piano") == str(path)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGINT
    assert stdout == ""
    assert stderr == ""


async def test_a_token_in_the_environment_opens_the_server(serve: Serve, write_skill: Any) -> None:
    write_skill("tune-piano")
    _, url = serve("--host", "127.0.0.1", SKILLROUTER_HTTP_TOKEN=TOKEN)
    async with httpx2.AsyncClient() as stranger:
        refused = await stranger.post(url, json={})
    assert refused.status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http_client,
        Client(streamable_http_client(url, http_client=http_client)) as client,
    ):
        assert (await client.list_tools()).tools


def test_other_machines_are_not_served_without_a_token(environment: dict[str, str]) -> None:
    done = subprocess.run(
        _command("--host", "0.0.0.0"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "SKILLROUTER_HTTP_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr
