"""All checks, in the order in which things stand on each other, and mending what they find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skillrouter_gguf import ModelError
from skillrouter_install import Environment, InstallError
from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.health.finding import Finding, Mend, Progress, Silence
from skillrouter_mcp.health.machine import check_machine
from skillrouter_mcp.health.watching import check_watching
from skillrouter_mcp.settings import Settings

if TYPE_CHECKING:
    from skillrouter_mcp.routing.router import Router

__all__ = ["Finding", "examine", "mend"]


def examine(
    settings: Settings,
    environment: Environment | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Every finding; what needs an engine, a model or an index that is broken is left out.

    Args:
        environment: whose clients are looked at, by default this process's user.
    """
    progress = progress or Silence()
    findings = list(check_machine())
    engines = not _is_broken(findings)
    if engines:
        from skillrouter_mcp.health.index import check_index, check_set_aside
        from skillrouter_mcp.health.model import check_entries, check_model

        findings += check_model(settings)
        findings += check_entries(settings)
        findings += check_index(settings, progress)
        findings += check_set_aside(settings)
        if not _is_broken(findings, "models", "index"):
            from skillrouter_mcp.health.owner import check_owner, check_quarantine

            findings += check_quarantine(settings)
            findings += check_owner(settings)
    findings += check_watching(settings)
    if engines:
        from skillrouter_mcp.health.library import check_library

        usable = not _is_broken(findings, "machine", "models", "index")
        with _router(settings, usable and _has_index(findings)) as router:
            findings += check_library(settings, router, progress)
    from skillrouter_mcp.health.clients import check_clients

    findings += check_clients(settings, environment or Environment.current(), progress)
    return findings


def mend(findings: Sequence[Finding]) -> list[str]:
    """Does what is safe about the findings, each thing once; says what was done and what failed."""
    mends = {finding.mend.what: finding.mend for finding in findings if finding.mend is not None}
    return [_carry_out(each) for each in mends.values()]


def _carry_out(each: Mend) -> str:
    try:
        each.run()
    except (SkillRouterError, ModelError, InstallError, OSError) as error:
        return f"failed: {each.what}: {error}"
    return f"done: {each.what}"


def _is_broken(findings: Sequence[Finding], *sections: str) -> bool:
    return any(
        finding.status == "broken" and (not sections or finding.section in sections)
        for finding in findings
    )


def _has_index(findings: Sequence[Finding]) -> bool:
    """Whether there is an index that can be asked; none is made by looking for what is wrong."""
    checks = {finding.check for finding in findings}
    return bool(checks & {"index", "pending"}) and "words" not in checks


@contextmanager
def _router(settings: Settings, usable: bool) -> Iterator[Router | None]:
    if not usable:
        yield None
        return
    from skillrouter_mcp.routing.router import Router

    first_stage = settings.model_copy(update={"candidates": 0})  # thousands of requests are made
    try:
        router = Router.open(first_stage, keep=False)
    except SkillRouterError:  # it changed since it was looked at
        yield None
        return
    with router:
        yield router
