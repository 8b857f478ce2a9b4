from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0


@pytest.fixture
def environment(settled: Path) -> dict[str, str]:
    return dict(os.environ)


def test_who_closes_the_pipe_early_sees_no_traceback(environment: dict[str, str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    ended = subprocess.run(
        [COMMAND, "find", "piano", "--json"],
        stdout=writes,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=PATIENCE,
    )
    os.close(writes)
    assert b"Traceback" not in ended.stderr
    assert b"Exception" not in ended.stderr


def test_interrupted_indexing_keeps_what_it_did(fresh: Path, write_skill: Any) -> None:
    for n in range(400):
        write_skill(f"notes-{n}", body=f"Take note number {n}.\n")
    with subprocess.Popen(
        [COMMAND, "index"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("embedding"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(PATIENCE) == 130, rest
        assert process.stdout.read() == ""
    assert "Traceback" not in rest
    assert "interrupted" in rest


def test_a_terminal_gets_a_bar_with_rate_and_time_left(fresh: Path, write_skill: Any) -> None:
    for n in range(40):
        write_skill(f"notes-{n}", body=f"Take note number {n}.\n")
    terminal, end = pty.openpty()
    with subprocess.Popen([COMMAND, "index"], stdout=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        shown = b""
        try:
            while piece := os.read(terminal, 4096):
                shown += piece
        except OSError:  # how Linux tells that the other end was closed
            pass
        os.close(terminal)
        assert process.stdout is not None
        results = process.stdout.read().decode()
        assert process.wait(PATIENCE) == 0
    bar = rb"embedding: +\d+%\|[^\r]*\| \d+/40 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+(s/)? skills"
    assert re.search(bar, shown), shown
    assert results == "40 files read, 0 gone\n40 skills can be found, 0 not embedded yet\n"
