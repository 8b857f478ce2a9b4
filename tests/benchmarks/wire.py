"""A bare MCP client over stdio: nothing of its own to add to what is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))


class Wire:
    """A server process and the JSON-RPC messages exchanged with it."""

    def __init__(self, home: Path, roots: Path) -> None:
        environment = {
            **os.environ,
            "SKILLROUTER_HOME": str(home),
            "SKILLROUTER_ROOTS": str(roots),
            "SKILLROUTER_LINGER": "0",
        }
        self.spawned = time.perf_counter()
        self._process = subprocess.Popen(
            [COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._id = 0
        self.heard: Counter[int] = Counter()
        """How often each request was answered."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def memory(self) -> int:
        """Bytes that the server and the owner that it has started hold."""
        server = psutil.Process(self._process.pid)
        processes = [server, *server.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes)

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a request and waits for its result."""
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            self.heard[message.get("id")] += 1
            if message.get("id") == self._id:
                if "error" in message:
                    raise RuntimeError(message["error"])
                result: dict[str, Any] = message["result"]
                return result
        raise RuntimeError(f"the server ended with status {self._process.wait()}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def initialize(self) -> None:
        """The handshake of 2025-11-25."""
        self.request(
            "initialize",
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "benchmark", "version": "0"},
        )
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def find(self, query: str, limit: int = 5) -> dict[str, Any]:
        """The structured answer of `find_skill`."""
        result = self.request(
            "tools/call", name="find_skill", arguments={"query": query, "limit": limit}
        )
        if result.get("isError"):
            raise RuntimeError(result["content"][0]["text"])
        answer: dict[str, Any] = result["structuredContent"]
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        for line in self._process.stdout:
            self.heard[json.loads(line).get("id")] += 1
        self._process.wait(30)
        self._process.stdout.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
