from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from skillrouter_mcp.protocol.probe import Probe, ProbeError, probe

ANSWERS = """\
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    results = {
        "initialize": {"serverInfo": {"name": "skillrouter", "version": "1.2"}},
        "tools/list": {"tools": [{"name": "find_skill"}, {"name": "other"}]},
        "tools/call": {"structuredContent": {"variables": dict(os.environ), "folder": os.getcwd()}},
    }
    if message["method"] in results:
        print('{"jsonrpc": "2.0", "method": "notifications/message"}')
        print("not protocol")
        print("[1]")
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
        print(json.dumps(answer), flush=True)
"""


def _probe(code: str, folder: Path, start_seconds: float = 60, **variables: str) -> Probe:
    return probe(
        sys.executable,
        ["-S", "-c", code],
        variables,
        folder=folder,
        start_seconds=start_seconds,
        answer_seconds=60,
    )


def test_it_tells_what_the_server_said(tmp_path: Path) -> None:
    said = _probe(ANSWERS, tmp_path)
    assert (said.server, said.version) == ("skillrouter", "1.2")
    assert said.tools == ("find_skill", "other")
    assert said.noise[:2] == ("not protocol", "[1]")
    assert len(said.noise) == 5
    assert said.error == ""
    assert 0 < said.start_seconds < 60


def test_the_server_gets_the_given_environment_and_no_more(tmp_path: Path) -> None:
    answer = _probe(ANSWERS, tmp_path, SKILLROUTER_ROOTS="/x").answer
    assert "PATH" not in answer["variables"]
    assert answer["variables"]["SKILLROUTER_ROOTS"] == "/x"
    assert answer["folder"] == str(tmp_path)


@pytest.mark.parametrize("tool", ["isError", "error"])
def test_a_tool_that_fails_tells_why(tmp_path: Path, tool: str) -> None:
    failing = {
        "isError": '{"isError": true, "content": [{"type": "text", "text": "no model"}]}',
        "error": "null",
    }[tool]
    code = ANSWERS.replace(
        '{"structuredContent": {"variables": dict(os.environ), "folder": os.getcwd()}}',
        f"json.loads('{failing}')",
    )
    said = _probe(code, tmp_path)
    assert said.answer == {}
    assert said.error == ("no model" if tool == "isError" else "no result")


def test_a_command_that_is_not_there_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="No such file") as caught:
        probe(str(tmp_path / "gone"), [], {}, folder=tmp_path, start_seconds=1, answer_seconds=1)
    assert caught.value.kind == "not-started"


def test_a_server_that_ends_leaves_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="ended with status 3") as caught:
        _probe("import sys; print('out of memory', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (caught.value.kind, caught.value.last_words) == ("ended", "out of memory")


@pytest.mark.skipif(os.name != "posix", reason="groups of processes")
def test_a_server_that_is_silent_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "if child: open('pids', 'w').write(f'{os.getpid()} {child}')\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(ProbeError, match="no answer to initialize") as caught:
        _probe(code, tmp_path, start_seconds=1)
    assert caught.value.kind == "timeout"
    for pid in (tmp_path / "pids").read_text().split():
        while _runs(int(pid)):
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
