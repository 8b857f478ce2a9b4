"""Loads a server over HTTP with many clients at once and compares them with a single one.

    python -m tests.benchmarks.http_load --seconds 60

Prints the errors and the times until an answer is there: of one client alone, of that many clients
of which each asks again `--pause` seconds after its answer, as agents at work would at most, and of
as many that ask without a pause.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.http_server import SKILLS, served

PROTOCOL = "2026-07-28"
TARGET = 5.0  # times the single client's p95
PATIENCE = 60.0


@dataclass(slots=True)
class Load:
    """Seconds until each answer, and what went wrong instead of one."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def p95(self) -> float:
        return self.percentile(95)

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50, help="at once")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--pause", type=float, default=5, help="seconds of a client at work")
    parser.add_argument("--skills", type=Path, default=SKILLS, help="folder of skills to serve")
    parser.add_argument("--home", type=Path, help="where their index is kept, if it is to be")
    parser.add_argument(
        "--requests", type=Path, default=SKILLS / "requests.jsonl", help="JSON lines with `query`"
    )
    arguments = parser.parse_args()
    lines = arguments.requests.read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line)["query"] for line in lines if line]

    with tempfile.TemporaryDirectory() as scratch:
        home = arguments.home or Path(scratch)
        with served(arguments.skills, home) as url:
            clients, seconds = arguments.clients, arguments.seconds
            asyncio.run(_load(url, queries, 1, 1, 0))
            alone = asyncio.run(_load(url, queries, 1, min(10, seconds), 0))
            at_work = asyncio.run(_load(url, queries, clients, seconds, arguments.pause))
            at_most = asyncio.run(_load(url, queries, clients, seconds, 0))
    print("| clients | requests/s | errors | p50 ms | p95 ms | × alone |")
    print(row("1", alone, alone, min(10, seconds)))
    print(row(f"{clients}, every {arguments.pause:g} s", at_work, alone, seconds))
    print(row(f"{clients}, without a pause", at_most, alone, seconds))
    errors = [*alone.errors, *at_work.errors, *at_most.errors]
    for error in sorted(set(errors)):
        print(f"{errors.count(error)} times: {error}", file=sys.stderr)
    sys.exit(bool(errors) or at_work.p95 > TARGET * alone.p95)


def row(clients: str, load: Load, alone: Load, seconds: float) -> str:
    return (
        f"| {clients} | {len(load.seconds) / seconds:.3g} | {len(load.errors)} "
        f"| {1000 * load.percentile(50):.3g} | {1000 * load.p95:.3g} "
        f"| {load.p95 / alone.p95:.2g} |"
    )


async def _load(
    url: str, queries: Sequence[str], clients: int, seconds: float, pause: float
) -> Load:
    load = Load()
    end = time.perf_counter() + seconds
    order = random.Random(0)

    async def client() -> None:
        mine = itertools.cycle(order.sample(queries, len(queries)))
        await asyncio.sleep(order.random() * pause)
        try:
            connection = await Connection.open(url)
            while time.perf_counter() < end:
                began = time.perf_counter()
                await connection.find(next(mine))
                load.seconds.append(time.perf_counter() - began)
                await asyncio.sleep(order.expovariate(1 / pause) if pause else 0)
            connection.close()
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            load.errors.append(f"{type(error).__name__}: {error}")

    await asyncio.gather(*(client() for _ in range(clients)))
    return load


@dataclass(frozen=True, slots=True)
class Connection:
    """A kept-alive connection that speaks the protocol of 2026-07-28, and costs little itself."""

    path: str
    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, url: str) -> Connection:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        return cls(parts.path, parts.netloc, reader, writer)

    async def find(self, query: str) -> None:
        """Asks for skills.

        Raises:
            ValueError: the answer is none; holds what came instead.
            OSError, EOFError, TimeoutError: the connection failed.
        """
        body = json.dumps(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {
                    "name": "find_skill",
                    "arguments": {"query": query},
                    "_meta": {
                        "io.modelcontextprotocol/protocolVersion": PROTOCOL,
                        "io.modelcontextprotocol/clientInfo": {"name": "load", "version": "0"},
                        "io.modelcontextprotocol/clientCapabilities": {},
                    },
                },
            }
        ).encode()
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            f"MCP-Protocol-Version: {PROTOCOL}\r\nMcp-Method: tools/call\r\n"
            f"Mcp-Name: find_skill\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        answered = await asyncio.wait_for(self._answer(), PATIENCE)
        if "verdict" not in json.loads(answered).get("result", {}).get("structuredContent", {}):
            raise ValueError(answered.decode()[:300])

    async def _answer(self) -> bytes:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"(?im)^content-length: (\d+)", head)
        if not head.startswith("HTTP/1.1 200") or length is None:
            raise ValueError(head)
        return await self.reader.readexactly(int(length.group(1)))

    def close(self) -> None:
        self.writer.close()


if __name__ == "__main__":
    main()
