from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from skillrouter_mcp.protocol.http import Address, AddressError, http_app, listen, url_of
from skillrouter_mcp.protocol.server import build_server
from skillrouter_mcp.routing.answer import Answer, Match

TOKEN = "correct-horse-battery-staple"
ANSWER = Answer((Match("rotate-logs", "/skills/rotate-logs/SKILL.md", 0.9, {}),), "match", 1, 0)
ASKED = {"query": "logs fill the disk"}
HEADERS = {"Accept": "application/json, text/event-stream"}
GREETING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


class _Router:
    """Answers always the same; routing has its own tests."""

    def __init__(self) -> None:
        self.closed = False

    def find(self, query: str, limit: int, roots: Any = None) -> Answer:
        return ANSWER

    def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def _served(address: Address, router: _Router | None = None) -> AsyncIterator[str]:
    """The URL of a server that listens at the address."""
    listener = listen(address)
    app = http_app(build_server(lambda: cast("Any", router or _Router())), address)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="warning"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The URL of a server on a free port of 127.0.0.1."""
    async with _served(Address(port=0)) as url:
        yield url


async def _greet(url: str, **headers: str) -> httpx2.Response:
    sent = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient() as client:
        response: httpx2.Response = await client.post(url, json=GREETING, headers=sent)
    return response


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_finds_skills(url: str, mode: str) -> None:
    async with Client(url, mode=cast("Any", mode)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["find_skill"]
        result = await client.call_tool("find_skill", ASKED)
    assert result.structured_content is not None
    assert result.structured_content["matches"][0]["name"] == "rotate-logs"


async def test_many_clients_are_served_at_once(url: str) -> None:
    found: list[bool] = []

    async def ask() -> None:
        async with Client(url) as client:
            found.append(not (await client.call_tool("find_skill", ASKED)).is_error)

    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(ask)
    assert found == [True] * 12


async def test_the_router_is_closed_when_the_server_ends() -> None:
    router = _Router()
    async with _served(Address(port=0), router) as url, Client(url) as client:
        await client.call_tool("find_skill", ASKED)
        assert not router.closed
    assert router.closed


async def test_names_of_this_machine_are_let_in(url: str) -> None:
    for host in ("localhost", "localhost:80", "127.0.0.1:1", "[::1]:8765"):
        greeted = await _greet(url, Host=host, Origin=f"http://{host}")
        assert greeted.status_code == 200, host


async def test_a_foreign_host_is_refused(url: str) -> None:
    for host in ("attacker.example", "localhost.attacker.example:8765", "127.0.0.1.nip.io"):
        assert (await _greet(url, Host=host)).status_code == 421, host


async def test_a_foreign_origin_is_refused(url: str) -> None:
    for host in ("http://attacker.example", "null", "http://localhost.attacker.example:80"):
        assert (await _greet(url, Origin=host)).status_code == 403, host


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_both_generations_are_checked(url: str, version: str) -> None:
    foreign = {"Host": "attacker.example", "MCP_Protocol_Version": version}
    assert (await _greet(url, **foreign)).status_code == 421


async def test_further_names_are_let_in_where_they_are_told() -> None:
    async with _served(Address(port=0, names=("skills.example",))) as url:
        assert (await _greet(url, Host="skills.example")).status_code == 200
        assert (await _greet(url, Host="other.example")).status_code == 421


async def test_with_a_token_only_those_who_present_it_are_let_in() -> None:
    async with _served(Address(port=0, token=TOKEN)) as url:
        assert (await _greet(url, Authorization=f"Bearer {TOKEN}")).status_code == 200
        assert (await _greet(url, Authorization=f"bearer {TOKEN}")).status_code == 200
        for wrong in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"):
            refused = await _greet(url, Authorization=wrong)
            assert refused.status_code == 401, wrong
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
            assert TOKEN not in refused.text
        assert (await _greet(url)).status_code == 401


async def test_a_token_does_not_replace_the_check_of_the_host() -> None:
    async with _served(Address(port=0, token=TOKEN)) as url:
        greeted = await _greet(url, Authorization=f"Bearer {TOKEN}", Host="attacker.example")
    assert greeted.status_code == 421


async def test_a_client_presents_its_token() -> None:
    async with (
        _served(Address(port=0, token=TOKEN)) as url,
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http_client,
        Client(streamable_http_client(url, http_client=http_client)) as client,
    ):
        assert not (await client.call_tool("find_skill", ASKED)).is_error


async def test_a_request_over_the_limit_is_refused(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        response = await client.post(url, content=b" " * (4 * 2**20 + 1), headers=HEADERS)
    assert response.status_code == 413


async def test_ipv6_is_served(ipv6: None) -> None:
    async with _served(Address("::1", 0)) as url, Client(url) as client:
        assert url.startswith("http://[::1]:")
        assert not (await client.call_tool("find_skill", ASKED)).is_error


@pytest.fixture
def ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("host", ["0.0.0.0", "", "0", "192.0.2.1", "::", "2001:db8::1"])
def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    with pytest.raises(AddressError, match="SKILLROUTER_HTTP_TOKEN"):
        listen(Address(host, 0))


def test_beyond_loopback_a_token_suffices() -> None:
    with listen(Address("0.0.0.0", 0, TOKEN)) as listener:
        assert listener.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    with listen(Address(host, 0)) as listener:
        assert url_of(listener).startswith("http://")


def test_connections_send_without_delay() -> None:
    with (
        listen(Address(port=0)) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("token", ["two words", "Schlüssel", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(AddressError, match="token"):
        listen(Address(port=0, token=token))


def test_a_port_that_is_taken_is_told(taken: int) -> None:
    with pytest.raises(AddressError, match=f"port {taken}: .*in use.*--port"):
        listen(Address(port=taken))


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(AddressError, match=r"192\.0\.2\.1.*--host"):
        listen(Address("192.0.2.1", 0, TOKEN))


@pytest.mark.parametrize("host", ["a..b", "\0", "ä" * 100])
def test_what_is_no_address_is_told(host: str) -> None:
    with pytest.raises(AddressError, match="no address of this machine"):
        listen(Address(host, 0))
