"""A server entry as each client writes it, with the time limits that the client needs.

Starting takes a moment; the first request opens the models and may take longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrouter_install.server_entry import ServerEntry

START_SECONDS = 60
REQUEST_SECONDS = 300


def claude_code(server: ServerEntry) -> dict[str, Any]:
    """Claude Code, which takes its time limits from its own environment."""
    return {"type": "stdio", **command_and_args(server), "env": dict(server.env)}


def plain(server: ServerEntry) -> dict[str, Any]:
    """Claude Desktop and Cursor, which have no time limit to set here, and OpenClaw, whose own will
    do: 30 s to connect, 60 s for a request."""
    return {**command_and_args(server), **_env_if_any(server)}


def typed(server: ServerEntry) -> dict[str, Any]:
    """VS Code."""
    return {"type": "stdio", **command_and_args(server), **_env_if_any(server)}


def gemini(server: ServerEntry) -> dict[str, Any]:
    """Gemini CLI; one limit in milliseconds for starting and for each request."""
    return {
        **command_and_args(server),
        **_env_if_any(server),
        "timeout": REQUEST_SECONDS * 1000,
    }


def hermes(server: ServerEntry) -> dict[str, Any]:
    """Hermes; limits in seconds."""
    return {
        **command_and_args(server),
        **_env_if_any(server),
        "timeout": REQUEST_SECONDS,
        "connect_timeout": START_SECONDS,
    }


def codex(server: ServerEntry) -> dict[str, Any]:
    """Codex; limits in seconds, of which it gives too few to a first request by default."""
    return {
        **command_and_args(server),
        "startup_timeout_sec": START_SECONDS,
        "tool_timeout_sec": REQUEST_SECONDS,
        **_env_if_any(server),
    }


def opencode(server: ServerEntry) -> dict[str, Any]:
    """opencode; one limit in milliseconds, 5,000 by default."""
    environment = {"environment": dict(server.env)} if server.env else {}
    return {
        "type": "local",
        "command": [server.command, *server.args],
        **environment,
        "enabled": True,
        "timeout": START_SECONDS * 1000,
    }


def goose(server: ServerEntry) -> dict[str, Any]:
    """Goose; a limit in seconds."""
    return {
        "type": "stdio",
        "name": server.name,
        "enabled": True,
        "cmd": server.command,
        "args": list(server.args),
        "env_keys": [],
        "envs": dict(server.env),
        "timeout": REQUEST_SECONDS,
    }


def command_and_args(server: ServerEntry) -> dict[str, Any]:
    """What nearly every client calls the same."""
    return {"command": server.command, "args": list(server.args)}


def _env_if_any(server: ServerEntry) -> dict[str, Any]:
    return {"env": dict(server.env)} if server.env else {}
