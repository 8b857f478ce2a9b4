from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from skillrouter_mcp.routing.signals import SIGNALS

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run, RunJson


def test_prints_a_line_for_each_match(run: Run, settled: Path) -> None:
    best, *_ = run("find", "tune a grand piano").stdout.splitlines()
    name, score, path = best.split(" ", 2)
    assert (name, path) == ("tune-piano", str(settled / "skills" / name / "SKILL.md"))
    assert 0 <= float(score) <= 1


def test_json_is_the_result_of_the_tool(run_json: RunJson, settled: Path) -> None:
    result = run_json("find", "tune a grand piano", "--limit", "1")
    (match,) = result.pop("matches")
    assert result == {"verdict": "match", "index": {"skills": 3, "pending": 0}}
    assert set(match) == {"name", "path", "uri", "score"}
    assert match["uri"].startswith("skill://")


def test_explains_each_match_by_its_parts(run: Run, run_json: RunJson, settled: Path) -> None:
    shown = run("find", "tune a grand piano", "--explain").stdout
    assert shown.startswith("match, 3 skills, 0 pending\n")
    assert re.search(rf"^ +[+-]\d+\.\d{{3}} {SIGNALS[0]}$", shown, re.MULTILINE)
    match, *_ = run_json("find", "tune a grand piano", "--explain")["matches"]
    assert set(match["parts"]) == set(SIGNALS)


def test_explains_what_came_nearest_where_nothing_fits(
    run: Run, run_json: RunJson, settled: Path
) -> None:
    asked = "translate a medieval Icelandic saga into Finnish verse"
    assert run_json("find", asked)["matches"] == []
    shown = run("find", asked, "--explain").stdout
    assert shown.startswith("none, 3 skills, 0 pending\n")
    assert "tune-piano" in shown
    assert run_json("find", asked, "--explain")["matches"]


def test_reads_the_request_from_stdin(run: Run, settled: Path) -> None:
    shown = run("find", "-", input="tune a grand piano\nand more\n" * 200).stdout
    assert shown.startswith("tune-piano ")


@pytest.mark.parametrize("broken", [b"grand piano \xff\xfe", b"\xed\xa0\x80 grand piano"])
def test_bytes_that_are_no_text_do_no_harm(run: Run, settled: Path, broken: bytes) -> None:
    assert run("find", "-", input=broken).stdout.startswith("tune-piano ")
    assert run("find", os.fsdecode(broken)).stdout.startswith("tune-piano ")


def test_looks_at_the_roots_that_it_is_given(
    run: Run, run_json: RunJson, settled: Path, root: Path, write_skill: Any
) -> None:
    write_skill("prune-roses", body="Cut the canes above a bud.")
    at = ("--root", str(root))
    assert run("find", "cut the roses", *at).stdout.startswith("prune-roses ")
    both = (*at, "--root", str(settled / "skills"))
    assert run_json("find", "cut the roses", *both)["index"]["skills"] == 4


def test_an_empty_library_is_no_problem(run: Run, run_json: RunJson, fresh: Path) -> None:
    shown = run("find", "anything")
    assert (shown.stdout, shown.stderr) == ("The skill library is empty.\n", "")
    assert run_json("find", "anything")["verdict"] == "empty"


@pytest.mark.parametrize(
    "arguments",
    [
        ["find"],
        ["find", ""],
        ["find", " \n"],
        ["find", "x", "--limit", "0"],
        ["find", "x", "y"],
    ],
)
def test_bad_usage_is_told_on_stderr(run: Run, fresh: Path, arguments: list[str]) -> None:
    result = run(*arguments, status=2)
    assert result.stderr.startswith("Usage: skillrouter-mcp find ")
    assert result.stdout == ""


@pytest.mark.parametrize("kind", ["file", "gone", "loop"])
def test_a_root_without_skills_to_read_is_told_on_stderr(
    run: Run, fresh: Path, root: Path, kind: str
) -> None:
    given = root / kind
    if kind == "file":
        given.touch()
    if kind == "loop":
        given.symlink_to(given)
    shown = run("find", "anything", "--root", str(given))
    assert shown.stdout == "The skill library is empty.\n"
    (line,) = shown.stderr.splitlines()
    assert line.startswith(f"not loaded: {given}: ")


def test_what_could_not_be_loaded_is_told_in_a_line(
    run: Run, fresh: Path, write_skill: Any
) -> None:
    write_skill("tune-piano", body="Tune the strings of a grand piano.")
    for name in ("a", "b", "c"):
        write_skill(name).write_bytes(b"\xff\xfe")
    shown = run("find", "tune a grand piano")
    assert shown.stdout.startswith("tune-piano ")
    *_, line = shown.stderr.splitlines()
    assert line.startswith("not loaded: ")
    assert line.endswith("is UTF-16: save it as UTF-8 (and 2 more: skillrouter-mcp index)")


def test_while_another_process_reads_the_skills_it_asks_for_patience(
    run: Run, run_json: RunJson, fresh: Path, write_skill: Any
) -> None:
    write_skill("tune-piano")
    fresh.mkdir()
    with FileLock(fresh / "writer.lock"):
        assert "ask again in a moment" in run("find", "anything").stdout
        answer = run_json("find", "anything")
    assert answer == {"matches": [], "verdict": "none", "index": {"skills": 0, "pending": 0}}
