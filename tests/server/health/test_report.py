from __future__ import annotations

from typing import Any

from skillrouter_mcp.health.finding import Finding, Mend
from skillrouter_mcp.health.report import report


def _finding(**fields: Any) -> Finding:
    given = {"section": "index", "check": "index", "subject": "home", "status": "ok", "text": "is"}
    return Finding(**{**given, **fields})


def test_findings_stand_under_their_section_with_what_to_do() -> None:
    findings = [
        _finding(section="machine", subject="Python", text="3.14"),
        _finding(status="broken", text="is damaged", why="nothing is found", remedy="mend it"),
    ]
    assert list(report(findings)) == [
        "machine:",
        "     ok  Python: 3.14",
        "index:",
        " broken  home: is damaged",
        "         why: nothing is found",
        "         do: mend it",
        "1 broken, 0 problems, 0 notes",
    ]


def test_what_alike_findings_have_in_common_is_said_once() -> None:
    findings = [
        _finding(status="note", subject=str(n), why="it is long", remedy="cut it") for n in range(3)
    ]
    lines = list(report(findings))
    assert lines.count("         why: it is long") == 1
    assert lines.count("         do: cut it") == 1
    assert lines.index("         why: it is long") == 4


def test_many_alike_findings_and_places_are_counted() -> None:
    findings = [
        _finding(status="note", subject=str(n), places=tuple(f"/s/{m}" for m in range(6)))
        for n in range(10)
    ]
    lines = list(report(findings))
    assert lines.count("         - and 2 more") == 8
    assert "         and 2 more like these (--json lists all)" in lines


def test_a_place_that_is_the_subject_is_not_repeated() -> None:
    lines = list(report([_finding(status="note", subject="/s:5", places=("/s:5", "/s:8"))]))
    assert [line.strip() for line in lines if "- /s" in line] == ["- /s:8"]


def test_what_fixing_mends_is_marked() -> None:
    lines = list(report([_finding(status="problem", mend=Mend("it is made", lambda: None))]))
    assert "problem* home: is" in lines
    assert "--fix" in lines[-1]
