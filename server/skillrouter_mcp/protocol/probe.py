"""Starting a server as a client does, and speaking to it over its pipes.

The SDK's client adds variables to the environment and hides what else a server writes to stdout;
both are what is looked for here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Literal

_PROTOCOL = "2025-11-25"
_MOST_NOISE = 5  # lines that are kept
_LONGEST_LINE = 4_000_000
_LAST_WORDS = 2_000  # bytes of stderr
_GOODBYE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server said.

    Attributes:
        server, version: what it calls itself.
        tools: their names.
        start_seconds: from its start until its tools were known.
        answer_seconds: how long `find_skill` took.
        answer: its structured result; empty if it failed, then `error` is its text.
        noise: lines on stdout that are no protocol.
    """

    server: str
    version: str
    tools: tuple[str, ...]
    start_seconds: float
    answer_seconds: float
    answer: dict[str, Any]
    error: str
    noise: tuple[str, ...]


class ProbeError(Exception):
    """The server gave no answer; `last_words` is the end of what it wrote to stderr, unchecked."""

    def __init__(
        self, kind: Literal["not-started", "ended", "timeout"], text: str, last_words: str = ""
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.last_words = last_words


def probe(
    command: str,
    args: Sequence[str],
    variables: Mapping[str, str],
    *,
    folder: Path,
    start_seconds: float,
    answer_seconds: float,
) -> Probe:
    """Greets the server, lists its tools and asks `find_skill`, then ends it.

    Args:
        variables: its whole environment.
        folder: where it is started.
        start_seconds, answer_seconds: how long to wait for its tools, and for a skill.

    Raises:
        ProbeError: it cannot be started, ends, or does not answer in time.
    """
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                [command, *args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(variables),
                cwd=folder,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ProbeError(
                "not-started", getattr(error, "strerror", None) or str(error)
            ) from None
        talk = _Talk(process, errors)
        try:
            return talk.hold(start_seconds, answer_seconds)
        except ProbeError:
            _kill(process)
            raise
        finally:
            talk.end()


class _Talk:
    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._noise: list[str] = []
        self._number = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def hold(self, start_seconds: float, answer_seconds: float) -> Probe:
        began = time.monotonic()
        deadline = began + start_seconds
        greeting = self._ask(
            "initialize",
            {
                "protocolVersion": _PROTOCOL,
                "capabilities": {},
                "clientInfo": {"name": "skillrouter-doctor", "version": version("skillrouter-mcp")},
            },
            deadline,
        )
        self._tell({"method": "notifications/initialized"})
        listing = self._ask("tools/list", {}, deadline).get("tools")
        tools = tuple(str(tool.get("name")) for tool in listing or () if isinstance(tool, dict))
        known = time.monotonic()
        result: dict[str, Any] = {}
        if "find_skill" in tools:
            arguments = {"query": "what can you do", "limit": 1}
            request = {"name": "find_skill", "arguments": arguments}
            result = self._ask("tools/call", request, known + answer_seconds)
        server = greeting.get("serverInfo")
        server = server if isinstance(server, dict) else {}
        answer = result.get("structuredContent")
        return Probe(
            str(server.get("name", "")),
            str(server.get("version", "")),
            tools,
            known - began,
            time.monotonic() - known,
            answer if isinstance(answer, dict) and not result.get("isError") else {},
            _text(result) if result.get("isError") else "",
            tuple(self._noise),
        )

    def _ask(self, method: str, parameters: dict[str, Any], deadline: float) -> dict[str, Any]:
        self._number += 1
        self._tell({"id": self._number, "method": method, "params": parameters})
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ProbeError("timeout", f"no answer to {method}", self._last_words()) from None
            if not line:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GOODBYE_SECONDS)
                status = self._process.returncode
                raise ProbeError("ended", f"ended with status {status}", self._last_words())
            message = _message(line)
            if message is None:
                if len(self._noise) < _MOST_NOISE and line.strip():
                    self._noise.append(line.decode("utf-8", "replace").strip())
            elif message.get("id") == self._number and "method" not in message:
                result = message.get("result")
                return result if isinstance(result, dict) else {"isError": True, **message}

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended, which reading finds out
            self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while line := self._process.stdout.readline(_LONGEST_LINE):
                self._lines.put(line)
        self._lines.put(b"")

    def _last_words(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _LAST_WORDS))
        return self._errors.read().decode("utf-8", "replace").strip()

    def end(self) -> None:
        """Closes its stdin, as clients do in the end, and kills it if that is not enough."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(process)
        self._listener.join(_GOODBYE_SECONDS)
        process.stdout.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and, where systems know groups of processes, those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _message(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and message.get("jsonrpc") == "2.0" else None


def _text(result: Mapping[str, Any]) -> str:
    content = result.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    error = result.get("error")
    return str(error.get("message", "")) if isinstance(error, dict) else "no result"
