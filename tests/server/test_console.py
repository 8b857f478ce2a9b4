from __future__ import annotations

import json
from typing import Any

import pytest

from skillrouter_mcp import console
from skillrouter_mcp.console import (
    ConsoleProgress,
    print_answer,
    print_evaluation,
    print_findings,
    print_index,
    print_passed_over,
)
from skillrouter_mcp.evaluation.evaluate import Evaluation
from skillrouter_mcp.evaluation.metrics import MEASURES
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.index.account import Account, Remark
from skillrouter_mcp.index.synchroniser import Changes
from skillrouter_mcp.routing.answer import Answer, Match

CLEAR = "\x1b[2J"
LOGS = Match("rotate-logs", "/skills/rotate-logs/SKILL.md", 0.87123, {"text": 1.5, "label": -0.25})


def _account(problems: int = 0) -> Account:
    paths = [f"/s/{n}{CLEAR}/SKILL.md" for n in range(problems)]
    return Account(
        skills=3,
        pending=1,
        problems=tuple(Remark(path, "is a pipe") for path in paths),
        warnings=(Remark("/s/a/SKILL.md", "has a bad name"),),
    )


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(console, "time", clock)
    return clock


def test_progress_away_from_a_terminal_is_a_line_now_and_then(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with ConsoleProgress() as progress:
        for done in range(1, 8):
            progress.reading(done, 7)
            clock.now += 2
        progress.embedding(3, 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "reading 1 of 7 skills",
        "reading 4 of 7 skills",
        "reading 7 of 7 skills",
        "embedding 3 of 3 skills",
    ]


def test_explained_answer_shows_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    print_answer(Answer((LOGS,), "weak", 40, 2), explain=True, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "weak, 40 skills, 2 pending",
        "0.87 rotate-logs  /skills/rotate-logs/SKILL.md",
        "       +1.500 text",
        "       -0.250 label",
    ]


def test_explained_answer_says_how_much_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    read = Answer((LOGS,), "match", 40, 0, candidates=20, read=7)
    print_answer(read, explain=True, as_json=False)
    assert capsys.readouterr().out.splitlines()[1] == "the reranker has read 7 of 20 candidates"
    unread = Answer((LOGS,), "match", 40, 0, candidates=20, unread_because=f"no file{CLEAR}")
    print_answer(unread, explain=True, as_json=False)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("the reranker has read 0 of 20 candidates: no file")
    assert "\x1b" not in line
    print_answer(read, explain=True, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["reranker"] == {"candidates": 20, "read": 7, "unread_because": ""}
    print_answer(read, explain=False, as_json=True)
    assert "reranker" not in json.loads(capsys.readouterr().out)


def test_answer_as_json_has_parts_only_if_explained(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Answer((LOGS,), "match", 40, 0)
    print_answer(answer, explain=False, as_json=True)
    plain = json.loads(capsys.readouterr().out)
    print_answer(answer, explain=True, as_json=True)
    explained = json.loads(capsys.readouterr().out)
    assert explained["matches"][0].pop("parts") == {"text": 1.5, "label": -0.25}
    assert explained == plain


def test_a_hostile_path_reaches_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = Match("name", f"/s/{CLEAR}\n/SKILL.md", 0.5, {})
    print_answer(Answer((hostile,), "match", 1, 0), explain=True, as_json=False)
    out = capsys.readouterr().out
    assert CLEAR not in out
    assert "\n/SKILL.md" not in out


@pytest.mark.parametrize(
    ("problems", "end"),
    [(1, "is a pipe\n"), (3, "is a pipe (and 2 more: skillrouter-mcp index)\n")],
)
def test_what_was_passed_over_is_a_safe_line_on_stderr(
    capsys: pytest.CaptureFixture[str], problems: int, end: str
) -> None:
    print_passed_over(_account(problems))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"not loaded: /s/0\\x1b[2J/SKILL.md: {end}"


def test_index_lists_the_first_problems_and_counts_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_index(_account(problems=23), Changes(read=3, removed=1), as_json=False)
    out = capsys.readouterr().out
    assert out.startswith(
        "3 files read, 1 gone\n3 skills can be found, 1 not embedded yet\n23 could not be loaded:\n"
    )
    assert "  and 3 more (--json lists all)\n1 loaded with a warning:\n" in out
    assert "/s/19\\x1b[2J/SKILL.md: is a pipe" in out
    assert CLEAR not in out


def test_index_as_json_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    print_index(_account(problems=23), None, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert len(shown.pop("problems")) == 23
    assert shown == {
        "skills": 3,
        "pending": 1,
        "read": 0,
        "removed": 0,
        "warnings": [{"path": "/s/a/SKILL.md", "reason": "has a bad name"}],
    }


def test_evaluation_is_a_table_with_a_row_for_each_group(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {"n": 2, **dict.fromkeys(MEASURES, 0.5)}
    report = {
        **row,
        "groups": {f"en/{CLEAR}": row},
        "latency_ms": {"p50": 3.5, "p95": 7.0},
        "index": {"skills": 9, "seconds": 1.25},
        "profile": "embedded",
    }
    print_evaluation(Evaluation(report, {}), as_json=False)
    out = capsys.readouterr().out
    header, group, total, last = out.splitlines()
    assert header.split() == ["n", *MEASURES]
    assert group.split()[1:] == total.split()[1:] == ["2"] + ["50.0%"] * len(MEASURES)
    assert total.startswith("all ")
    assert "9 skills" in last
    assert CLEAR not in out
    print_evaluation(Evaluation(report, {}), as_json=True)
    assert json.loads(capsys.readouterr().out) == report


@pytest.mark.parametrize(
    ("statuses", "code"), [(["ok"], 0), (["ok", "problem"], 0), (["broken", "note"], 1)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_findings_set_the_exit_status(
    capsys: pytest.CaptureFixture[str], statuses: list[Any], code: int, as_json: bool
) -> None:
    findings = [
        Finding(section="index", check="x", subject=f"part {n}", status=status, text="is so")
        for n, status in enumerate(statuses)
    ]
    assert print_findings(findings, as_json=as_json) == code
    out = capsys.readouterr().out
    if as_json:
        assert [finding["status"] for finding in json.loads(out)] == statuses
    else:
        assert f"{statuses[0]:>7}  part 0: is so\n" in out


def test_findings_reach_no_terminal_unchecked(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = f"a{CLEAR}\nb"
    print_findings(
        [
            Finding(
                section="index",
                check="x",
                subject=hostile,
                status="note",
                text=hostile,
                why=hostile,
                remedy=hostile,
                places=(f"/{hostile}",),
            )
        ],
        as_json=False,
    )
    out = capsys.readouterr().out
    assert CLEAR not in out
    assert len(out.splitlines()) == 6
