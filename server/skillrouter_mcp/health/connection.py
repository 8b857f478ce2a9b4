"""One server started as its client would start it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

from skillrouter_install import ConfiguredServer, Environment
from skillrouter_mcp.health.finding import Finding, Status
from skillrouter_mcp.protocol.probe import Probe, ProbeError, probe

_MOST_SECONDS = 60.0  # that are waited for a server, however patient its client is
_ANSWER_SECONDS = 60.0
_NEARLY_ALL = 0.5  # of a client's patience

Tell = Callable[..., Finding]

_NOT_CALLED = "the client drops the server, often without a word"


def try_connection(
    server: ConfiguredServer, variables: Mapping[str, str], environment: Environment, tell: Tell
) -> Iterator[Finding]:
    """Starts the server, lists its tools and asks it for a skill.

    Args:
        variables: the environment that the client starts it with.
        tell: makes a finding of check, status, text, why and remedy.
    """
    patience = min(server.start_seconds, _MOST_SECONDS)
    try:
        said = probe(
            server.command,
            server.args,
            variables,
            folder=environment.home,
            start_seconds=patience,
            answer_seconds=_ANSWER_SECONDS,
        )
    except ProbeError as error:
        yield _failure(server, error, patience, tell)
        return
    faults = list(_faults(server, said, tell))
    yield from faults
    if not any(fault.status == "broken" for fault in faults):
        yield _connected(server, said, tell)


def _failure(server: ConfiguredServer, error: ProbeError, patience: float, tell: Tell) -> Finding:
    last = error.last_words.rpartition("\n")[2]
    said = f"; the last it said: {last}" if last else ""
    if error.kind == "timeout":
        return tell(
            "timeout",
            "broken",
            f"{error} within the {patience:g} s that the client waits{said}",
            _NOT_CALLED,
            "start it by hand to see what it waits for, or raise the client's time limit",
        )
    if error.kind == "ended":
        text = f"the server {error} before it answered{said}"
        remedy = f"{_install(server)}; if that does not help, start the same command by hand"
        return tell("ended", "broken", text, _NOT_CALLED, remedy)
    text = f"the server cannot be started: {error}"
    return tell("not-started", "broken", text, _NOT_CALLED, _install(server))


def _faults(server: ConfiguredServer, said: Probe, tell: Tell) -> Iterator[Finding]:
    install = _install(server)
    if said.noise:
        yield tell(
            "noise",
            "problem",
            f"on stdout there is what is no protocol: {said.noise[0]}",
            "strict clients end the connection at it",
            "find what prints it: a wrapper script, or the profile of a shell",
        )
    if "find_skill" not in said.tools:
        text = f"what answers is {said.server or 'unnamed'} and has no tool find_skill"
        yield tell("other-server", "broken", text, "an agent cannot ask for skills", install)
        return
    own = version("skillrouter-mcp")
    if said.version != own:
        yield tell(
            "second-version",
            "problem",
            f"{server.command} is version {said.version}, this is {own}",
            "two versions take turns at one index",
            f"{install}, and uninstall the other",
        )
    if said.start_seconds > _NEARLY_ALL * server.start_seconds:
        yield tell(
            "slow-start",
            "problem",
            f"its tools were known after {said.start_seconds:.1f} s; the client waits "
            f"{server.start_seconds:g} s",
            "on a busy day it is too late",
            f"{install}, which sets a longer limit where the client has one",
        )
    if said.error:
        text = f"find_skill fails: {said.error}"
        yield tell("tool-fails", "broken", text, "an agent gets no skills", "see above")


def _install(server: ConfiguredServer) -> str:
    return f"skillrouter-mcp install {server.client.id}"


def _connected(server: ConfiguredServer, said: Probe, tell: Tell) -> Finding:
    index = said.answer.get("index")
    skills = index.get("skills") if isinstance(index, dict) else None
    status: Status = "ok" if skills else "problem"
    return tell(
        "connection",
        status,
        f"connects in {said.start_seconds:.1f} s (limit {server.start_seconds:g} s), answers in "
        f"{said.answer_seconds:.1f} s, {skills if skills is not None else 'unknown'} skills",
        ""
        if skills
        else "it has no skills to find, by the settings that the client starts it with",
        "" if skills else "see library; SKILLROUTER_HOME and SKILLROUTER_ROOTS in the entry",
    )
