"""Serving many clients over Streamable HTTP: on loopback, or elsewhere with a bearer token."""

from __future__ import annotations

import hmac
import ipaddress
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from skillrouter_mcp.protocol.server import server_of

if TYPE_CHECKING:
    from skillrouter_mcp.protocol.server import SkillServer
    from skillrouter_mcp.settings import Settings

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765
PATH = "/mcp"

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_BACKLOG = 2_048
_GRACE_SECONDS = 2  # for requests under way once the server is told to end
_IDLE_SECONDS = 75  # until a connection is closed; longer than clients keep theirs


class AddressError(Exception):
    """The server can't, or must not, listen there; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, and who may come in.

    Attributes:
        token: what clients must present as a bearer token, empty where none is needed.
        names: other names by which clients may call the machine.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str = ""
    names: tuple[str, ...] = ()


def listen(address: Address) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        AddressError: there is no such address, it is taken, or it is open to other machines and
            no token protects it.
    """
    try:
        found = socket.getaddrinfo(
            address.host or None,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (OSError, UnicodeError) as error:
        raise AddressError(f"{address.host!r} is no address of this machine: {error}") from None
    if not address.token and not all(map(_is_loopback, (place[4][0] for place in found))):
        raise AddressError(
            f"{address.host or 'an empty host'} can be reached from other machines: set "
            "SKILLROUTER_HTTP_TOKEN (or --token) to a secret that clients must present, or "
            f"listen on {DEFAULT_HOST}"
        )
    if not (address.token.isascii() and address.token.isprintable() and " " not in address.token):
        raise AddressError("the token may hold only letters, digits and signs of ASCII, no spaces")
    family, _, _, _, place = found[0]
    try:
        listener = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise AddressError(
            f"cannot listen on {address.host}, port {address.port}: {error.strerror}; "
            "choose another with --host or --port"
        ) from None
    # Inherited by connections; without it each answer waits 40 ms for the client to acknowledge its
    # head. asyncio sets it only for sockets that name their protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """What clients are to be configured with."""
    host, port = listener.getsockname()[:2]
    return f"http://{_in_url(host)}:{port}{PATH}"


def http_app(server: SkillServer, address: Address) -> ASGIApp:
    """The ASGI application: the server behind checks of token, Host and Origin."""
    names = {*_LOOPBACK_NAMES, *map(_in_url, (*address.names, address.host))} - {""}
    hosts = [pattern for name in sorted(names) for pattern in (name, f"{name}:*")]
    app: ASGIApp = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        transport_security=TransportSecuritySettings(
            allowed_hosts=hosts,
            allowed_origins=[
                f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts
            ],
        ),
    )
    return _RequireToken(app, address.token) if address.token else app


def serve_http(settings: Settings, address: Address) -> None:
    """Serves until interrupted; the URL and logs go to stderr.

    Raises:
        AddressError: see `listen`.
    """
    listener = listen(address)
    config = uvicorn.Config(
        http_app(server_of(settings), address),
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    print(f"skillrouter-mcp serves MCP at {url_of(listener)}", file=sys.stderr)  # noqa: T201
    try:
        uvicorn.Server(config).run([listener])
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


class _RequireToken:
    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_let_in(Headers(scope=scope)):
            refusal = JSONResponse(
                {"error": "invalid_token", "error_description": "a bearer token is required"},
                status_code=401,
                headers={"WWW-Authenticate": 'Bearer realm="skillrouter"'},
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_let_in(self, headers: Headers) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"


def _is_loopback(host: str | int) -> bool:
    return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
