"""Spawn to `initialize` answered, beside an empty server of the MCP SDK, in turns.

    python -m tests.benchmarks.start_up [RUNS]

The SDK's import is nearly all of it, and takes twice as long on a slow day: only the ratio says
something of this project.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.wire import COMMAND

EMPTY = 'from mcp.server import MCPServer; MCPServer("empty").run("stdio")'
GREETING = (
    b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": '
    b'"2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "0"}}}\n'
)


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        environment = {
            **os.environ,
            "SKILLROUTER_HOME": str(Path(scratch, "home")),
            "SKILLROUTER_ROOTS": str(Path(scratch, "skills")),
        }
        pairs = [
            (seconds([sys.executable, "-c", EMPTY], environment), seconds([COMMAND], environment))
            for _ in range(runs)
        ]
    empty, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / bare for bare, mine in pairs)
    print(f"empty server {empty:.2f} s, skillrouter-mcp {ours:.2f} s, ratio {ratio:.2f}")


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """From the start of the process to its first answer."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(GREETING)
        process.stdin.flush()
        process.stdout.readline()
        taken = time.perf_counter() - began
        process.kill()
    return taken


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
