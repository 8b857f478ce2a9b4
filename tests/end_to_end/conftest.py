from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from skillrouter_mcp.sharing import channel

SKILLS = Path(__file__).parents[1] / "skills"
COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0  # seconds until something that should have happened is given up


class Wire:
    """A server process, and the bare lines that pass between it and a client."""

    def __init__(self, command: list[str], environment: dict[str, str], errors: Path) -> None:
        with errors.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
            )
        self.heard: list[str] = []
        self._errors = errors
        self._ids = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._incoming: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._incoming.put(line.decode())
        self._incoming.put(None)

    @property
    def errors(self) -> str:
        """What the server has written to stderr."""
        return self._errors.read_text(encoding="utf-8")

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Sends a notification."""
        self._send({"method": method, "params": params or {}})

    def begin(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Sends a request; the id to ask for its answer with."""
        number = next(self._ids)
        self._send({"id": number, "method": method, "params": params or {}})
        return number

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, number: int) -> dict[str, Any]:
        """The result of a request that was sent before."""
        while number not in self._answers:
            self._hear()
        return cast("dict[str, Any]", self._answers.pop(number)["result"])

    def answered(self, number: int) -> bool:
        """Whether this request's answer has come in with those heard so far."""
        return number in self._answers

    def _hear(self) -> None:
        line = self._incoming.get(timeout=PATIENCE)
        assert line is not None, f"the server ended: {self.errors}"
        self.heard.append(line)
        message = json.loads(line)
        if "id" in message:
            self._answers[message["id"]] = message

    def greet(self) -> dict[str, Any]:
        """The handshake of the older protocol; what the server says of itself."""
        number = self.begin(
            "initialize",
            {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        )
        result = self.answer(number)
        self.tell("notifications/initialized")
        return result

    def begin_find(self, query: str) -> int:
        """Sends a request for skills."""
        return self.begin("tools/call", {"name": "find_skill", "arguments": {"query": query}})

    def find(self, query: str) -> dict[str, Any]:
        """The result of `find_skill`."""
        return self.answer(self.begin_find(query))

    def find_until(self, query: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The structured result of `find_skill`, asked for until it `holds`."""
        deadline = time.monotonic() + PATIENCE
        while not holds(result := self.find(query)["structuredContent"]):
            assert time.monotonic() < deadline, result
            time.sleep(0.05)
        return cast("dict[str, Any]", result)

    def hang_up(self) -> int:
        """Closes stdin, as a client does in the end; the exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        while (line := self._incoming.get(timeout=PATIENCE)) is not None:
            self.heard.append(line)
        return status

    def end(self) -> None:
        """Ends the process by force, if it still runs, and frees what belongs to it."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._listener.join(PATIENCE)
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


def _owners_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if "skillrouter_mcp.sharing.owner" in command and any(
                Path(part).is_relative_to(folder) for part in command
            ):
                found.append(process)
    return found


@pytest.fixture
def owners_in() -> Callable[[Path], list[psutil.Process]]:
    """Gives the processes that own, or want to own, an index in a folder."""
    return _owners_in


@pytest.fixture
def owner_now() -> Callable[[Path], psutil.Process]:
    """Gives the process that owns the index of a home, waiting until there is one."""
    return _owner_now


def _owner_now(home: Path) -> psutil.Process:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline
        with (
            suppress(channel.ChannelClosedError, psutil.NoSuchProcess),
            closing(channel.connect(home)) as owner,
        ):
            return psutil.Process(owner.receive(PATIENCE)["pid"])
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_owner_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    for owner in _owners_in(tmp_path):
        with suppress(psutil.NoSuchProcess):
            owner.kill()
            owner.wait(PATIENCE)


Dial = Callable[..., Wire]
Connect = Callable[..., AbstractAsyncContextManager[Client]]


def _environment(root: Path, home: Path) -> dict[str, str]:
    return {
        "SKILLROUTER_HOME": str(home),
        "SKILLROUTER_ROOTS": str(root),
        "SKILLROUTER_LINGER": "0",
    }


@pytest.fixture
def dial(tmp_path: Path, root: Path) -> Iterator[Dial]:
    """Starts servers over `root` and gives the wire to them."""
    wires: list[Wire] = []

    def start(
        home: Path | None = None,
        *,
        root: Path = root,
        prelude: str = "",
        within: Sequence[str] = (),
        **environment: str,
    ) -> Wire:
        """
        Args:
            prelude: Python that runs at the start of every process, the owner's included.
            within: a command that runs the command that follows it.
        """
        if prelude:
            folder = tmp_path / f"prelude-{len(wires)}"
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(prelude, encoding="utf-8")
            environment["PYTHONPATH"] = str(folder)
        wire = Wire(
            [*within, COMMAND],
            {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                **_environment(root, home or tmp_path / "home"),
                **environment,
            },
            tmp_path / f"stderr-{len(wires)}",
        )
        wires.append(wire)
        return wire

    yield start
    for wire in wires:
        wire.end()


@pytest.fixture
def connect(tmp_path: Path, root: Path) -> Connect:
    """Starts a server over `root` and connects a client of the SDK to it."""

    @asynccontextmanager
    async def connected(home: Path | None = None, *, root: Path = root, mode: str = "auto") -> Any:
        parameters = StdioServerParameters(
            command=COMMAND, env=_environment(root, home or tmp_path / "home")
        )
        with (tmp_path / "stderr-of-client").open("a", encoding="utf-8") as errors:
            async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
                yield client

    return connected


@pytest.fixture(scope="session")
def skills_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose index holds `tests/skills/`, embedded; one for all workers."""
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "home-of-tests-skills"
    subprocess.run(
        [COMMAND, "index"],
        env={**os.environ, **_environment(SKILLS, home)},
        check=True,
        capture_output=True,
        timeout=5 * PATIENCE,
    )
    return home
