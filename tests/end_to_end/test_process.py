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

# Ends the first process that embeds inside the transaction of its third batch.
DIES_EMBEDDING = """
import os, pathlib, signal
from skillrouter_mcp.index import encoding

mark = pathlib.Path(os.environ["MARK"])

batches = []
quantised = encoding._quantised

def die_at_last(vectors):
    batches.append(len(vectors))
    if len(batches) == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return quantised(vectors)

encoding._quantised = die_at_last
"""
# The next process keeps what the first has left.
COPIES = """
import shutil, sys
if mark.exists() and not os.path.exists(os.environ["COPY"]):
    shutil.copytree(os.environ["SKILLROUTER_HOME"], os.environ["COPY"], ignore=lambda folder, names:
        [name for name in names if not name.startswith("index.db")])
"""


def _rows(home: Path, sql: str) -> list[Any]:
    connection = apsw.Connection(str(home / "index.db"))
    try:
        connection.set_busy_timeout(60_000)  # an owner may still be closing it
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


def test_what_was_embedded_before_a_kill_is_kept_and_the_rest_resumed(
    dial: Dial, write_skill: Any, tmp_path: Path
) -> None:
    for n in range(40):
        write_skill(f"notes-{n:02}", body=f"Take note number {n}.\n")
    home, mark = tmp_path / "home", tmp_path / "mark"
    prelude = DIES_EMBEDDING + COPIES
    wire = dial(home, prelude=prelude, MARK=str(mark), COPY=str(tmp_path / "copy"))
    wire.greet()
    wire.find_until("take note number 7", lambda r: not r["index"]["pending"])
    assert wire.hang_up() == 0
    assert mark.exists()

    committed = _rows(tmp_path / "copy", "SELECT DISTINCT document_id FROM view")
    passages = _rows(tmp_path / "copy", "SELECT id, digest FROM passage ORDER BY id")
    assert 0 < len(committed) < 40
    assert _rows(home, "PRAGMA integrity_check") == [("ok",)]
    assert len(_rows(home, "SELECT DISTINCT document_id FROM view")) == 40
    assert set(passages) < set(_rows(home, "SELECT id, digest FROM passage"))
