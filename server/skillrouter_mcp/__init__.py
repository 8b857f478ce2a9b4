"""Finds the right agent skill for a request by reading whole skill bodies, on your own machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrouter_mcp.routing.answer import Answer, Match
    from skillrouter_mcp.routing.router import Router
    from skillrouter_mcp.settings import Settings, load_settings

__all__ = ["Answer", "Match", "Router", "Settings", "load_settings"]

_HOMES = {
    "Answer": "skillrouter_mcp.routing.answer",
    "Match": "skillrouter_mcp.routing.answer",
    "Router": "skillrouter_mcp.routing.router",
    "Settings": "skillrouter_mcp.settings",
    "load_settings": "skillrouter_mcp.settings",
}


def __getattr__(name: str) -> Any:
    # Names are imported when first used: the server must answer before the router is loaded.
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
