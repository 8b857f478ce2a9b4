from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skillrouter_mcp.evaluation.metrics import MEASURES

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run, RunJson


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "p", "query": "tune the piano", "relevant": ["tune-piano"], "lang": "en"},
        {"id": "b", "query": "bread dough", "relevant": ["bake-bread"], "lang": "en"},
        {"id": "n", "query": "nothing of it", "relevant": [], "lang": "en", "kind": "none"},
    ]
    rows[0]["kind"], rows[1]["kind"] = "short", "task"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def write_pool(kept: Path) -> Callable[[Path], None]:
    """Writes the kept skills to a file of JSON lines, compressed if its name says so."""

    def write(path: Path) -> None:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "wt", encoding="utf-8") as file:
            for skill in sorted((kept / "skills").glob("*/SKILL.md")):
                name, body = skill.parent.name, skill.read_text(encoding="utf-8").split("---\n")[2]
                row = {"skill_id": f"id-{name}", "name": name, "description": "", "body": body}
                file.write(json.dumps(row) + "\n")

    return write


def test_report_has_the_figures_by_group(
    run_json: RunJson, settled: Path, queries: Path, tmp_path: Path
) -> None:
    ranking = tmp_path / "run.json"
    report = run_json(
        "eval", str(queries), "--skills", str(settled / "skills"), "--run", str(ranking)
    )
    assert set(report) == {"n", *MEASURES, "groups", "latency_ms", "index", "profile"}
    assert report["n"] == 2
    assert report["hit@1"] == report["recall@50"] == 1.0
    assert set(report["groups"]) == {"en/short", "en/task"}
    for group in report["groups"].values():
        assert set(group) == {"n", *MEASURES}
    assert set(report["latency_ms"]) == {"p50", "p95"}
    assert set(report["index"]) == {"skills", "seconds"}
    assert report["index"]["skills"] == 3
    assert report["profile"] == "embedded"
    ranked = json.loads(ranking.read_text(encoding="utf-8"))
    assert set(ranked) == {"p", "b", "n"}
    assert ranked["p"][0] == "tune-piano"


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz"])
def test_a_pool_is_a_file_too_and_its_index_is_kept(
    run: Run,
    settled: Path,
    queries: Path,
    tmp_path: Path,
    name: str,
    write_pool: Callable[[Path], None],
) -> None:
    rows = queries.read_text(encoding="utf-8").replace('["', '["id-')
    queries.write_text(rows, encoding="utf-8")
    write_pool(tmp_path / name)
    asked = ("eval", str(queries), "--skills", str(tmp_path / name))
    assert "embedding 3 of 3 skills" in (first := run(*asked)).stderr
    assert re.search(r"^all +2 +100\.0%", first.stdout, re.MULTILINE)
    assert run(*asked).stderr == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 4"),
        ('{"id": "x", "relevant": []}', "line 4: query"),
        ("\udcff", "codec"),
    ],
)
def test_a_broken_line_is_named(
    run: Run, settled: Path, queries: Path, line: str, said: str
) -> None:
    with queries.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"\n{line}\n")
    result = run("eval", str(queries), "--skills", str(settled / "skills"), status=1)
    assert str(queries) in result.stderr
    assert said in result.stderr
    assert result.stdout == ""


def test_a_broken_pool_is_named(run: Run, settled: Path, queries: Path, tmp_path: Path) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"skill_id": "../x", "name": "", "description": "", "body": ""}\n')
    assert "../x" in run("eval", str(queries), "--skills", str(pool), status=1).stderr
    (gz := tmp_path / "pool.jsonl.gz").write_bytes(b"\x1f\x8b garbage")
    assert str(gz) in run("eval", str(queries), "--skills", str(gz), status=1).stderr


def test_an_unknown_profile_is_told_with_those_there_are(
    run: Run, settled: Path, queries: Path
) -> None:
    skills = str(settled / "skills")
    result = run("eval", str(queries), "--skills", skills, "--profile", "zz", status=2)
    assert "there is no profile 'zz'; known are: edge, embedded," in result.stderr


@pytest.mark.parametrize(
    "arguments", [["gone.jsonl"], ["gone.jsonl", "--skills", "."], [__file__], [".", "."]]
)
def test_bad_usage_is_told(run: Run, settled: Path, arguments: list[str]) -> None:
    assert "Usage" in run("eval", *arguments, status=2).stderr


def test_a_run_file_without_a_folder_is_told_before_the_work(
    run: Run, settled: Path, queries: Path, tmp_path: Path
) -> None:
    gone = str(tmp_path / "gone" / "run.json")
    result = run("eval", str(queries), "--skills", str(settled), "--run", gone, status=2)
    assert "--run" in result.stderr


def test_a_home_that_cannot_be_made_is_told(
    run: Run, fresh: Path, kept: Path, tmp_path: Path, write_pool: Callable[[Path], None]
) -> None:
    fresh.touch()
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"id": "1", "query": "q", "relevant": []}\n')
    write_pool(pool := tmp_path / "pool.jsonl")
    for skills in (pool, kept / "skills"):
        result = run("eval", str(queries), "--skills", str(skills), status=1)
        assert str(fresh) in result.stderr
