from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
import sqlite_vec

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Dial

# Ends the process inside the transaction of its third batch.
DIES_EMBEDDING = """
import os, signal
from skillrouter_mcp.index import encoding

batches = []
quantised = encoding._quantised

def die_at_last(vectors):
    batches.append(len(vectors))
    if len(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return quantised(vectors)

encoding._quantised = die_at_last
"""


def _rows(home: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(home / "index.db"))
    try:
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_nothing_but_protocol_reaches_stdout(dial: Dial, write_skill: Any, root: Path) -> None:
    write_skill("good", body="Tune the treble strings of a grand piano.\n")
    write_skill("bad").write_bytes(b"---\nname: [\n\xff\xfe")
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "SKILL.md")
    wire = dial(GGML_LOG_LEVEL="4", LLAMA_LOG_VERBOSITY="9", PYTHONUNBUFFERED="1")
    wire.greet()
    wire.answer(wire.begin("tools/list"))
    wire.find_until("tune a grand piano", lambda r: r["index"] == {"skills": 1, "pending": 0})
    assert wire.process.stdin is not None
    wire.process.stdin.write(b"this is no JSON\n")
    assert wire.hang_up() == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in wire.heard)
    assert "llama" not in wire.errors
    assert "Traceback" not in wire.errors


@pytest.mark.parametrize("asked", [False, True])
def test_closing_stdin_ends_the_server(dial: Dial, write_skill: Any, asked: bool) -> None:
    for n in range(60):
        write_skill(f"notes-{n}", body=f"Take note number {n} of the meeting.\n" * 60)
    wire = dial()
    wire.greet()
    if asked:
        wire.begin_find("rotate the logs")
    assert wire.hang_up() == 0
    assert wire.errors == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_without_a_traceback(
    dial: Dial, write_skill: Any, number: signal.Signals
) -> None:
    write_skill("tune-piano")
    wire = dial()
    wire.greet()
    wire.find("tune a grand piano")
    wire.process.send_signal(number)
    assert wire.process.wait(120) != 0
    assert "Traceback" not in wire.errors


def test_a_server_killed_while_embedding_resumes(
    dial: Dial, write_skill: Any, tmp_path: Path
) -> None:
    for n in range(40):
        write_skill(f"notes-{n:02}", body=f"Take note number {n}.\n")
    home = tmp_path / "home"
    doomed = dial(home, prelude=DIES_EMBEDDING)
    doomed.greet()
    doomed.begin("tools/list")
    assert doomed.process.wait(120) == -signal.SIGKILL

    assert _rows(home, "PRAGMA integrity_check") == [("ok",)]
    committed = _rows(home, "SELECT DISTINCT document_id FROM view")
    passages = _rows(home, "SELECT id, digest FROM passage ORDER BY id")
    assert len(committed) == 32

    wire = dial(home)
    wire.greet()
    first = wire.find("take note number 7")["structuredContent"]
    assert first["index"]["pending"] <= 8
    assert first["matches"]
    wire.find_until("take note number 7", lambda r: not r["index"]["pending"])
    assert wire.hang_up() == 0
    assert _rows(home, "PRAGMA integrity_check") == [("ok",)]
    assert len(_rows(home, "SELECT DISTINCT document_id FROM view")) == 40
    assert set(passages) < set(_rows(home, "SELECT id, digest FROM passage"))
