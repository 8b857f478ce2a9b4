"""All checks, in the order in which things stand on each other."""

from __future__ import annotations

from collections.abc import Iterator

from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.health.machine import check_machine
from skillrouter_mcp.settings import Settings

__all__ = ["Finding", "examine"]


def examine(settings: Settings) -> list[Finding]:
    """Every finding; what needs an engine that is broken is left out."""
    findings = list(check_machine())
    if all(finding.status != "broken" for finding in findings):
        findings += _checks_on_engines(settings)
    return findings


def _checks_on_engines(settings: Settings) -> Iterator[Finding]:
    from skillrouter_mcp.health.library import check_library
    from skillrouter_mcp.health.model import check_model

    yield from check_model(settings)
    yield from check_library(settings)
