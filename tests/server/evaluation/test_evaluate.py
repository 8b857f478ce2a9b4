from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.evaluation.evaluate import evaluate_router
from skillrouter_mcp.evaluation.metrics import MEASURES
from skillrouter_mcp.evaluation.records import RecordError
from skillrouter_mcp.settings import Settings, load_settings

POOL = {
    "s1": "Compress yesterday's log files with gzip and delete those older than a month.",
    "s2": "Mix flour, water, salt and yeast; let the dough rise over night; bake hot.",
    "s3": "Check the IBAN, book the invoice, and transfer the money before it is due.",
}
LOGS = {"id": "q1", "query": "gzip the old log files", "lang": "en", "kind": "short"}
BREAD = {"id": "q2", "query": "dough of flour and yeast", "lang": "en", "kind": "task"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", threads=1)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A pool whose skills have nothing but their bodies to be told by."""
    return _lines(
        tmp_path / "pool.jsonl",
        *(
            {"skill_id": skill_id, "name": "thing", "description": "Helps.", "body": body}
            for skill_id, body in POOL.items()
        ),
    )


def _lines(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_figures_are_those_of_the_ranking(tmp_path: Path, pool: Path, settings: Settings) -> None:
    queries = _lines(
        tmp_path / "q.jsonl", {**LOGS, "relevant": ["s1"]}, {**BREAD, "relevant": ["s2", "gone"]}
    )
    evaluation = evaluate_router(queries, pool, settings)
    assert evaluation.run["q1"][0] == "s1"
    assert evaluation.run["q2"][0] == "s2"
    report = evaluation.report
    assert report["n"] == 2
    assert report["hit@1"] == 1
    assert report["recall@10"] == 0.75
    assert report["groups"]["en/short"] == {"n": 1, **dict.fromkeys(MEASURES, 1.0)}
    assert report["groups"]["en/task"]["full_coverage@10"] == 0
    assert report["index"]["skills"] == 3
    assert report["profile"] == "embedded"
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]


def test_how_much_a_reranker_has_read_is_told(
    tmp_path: Path, pool: Path, models_home: Path
) -> None:
    queries = _lines(tmp_path / "q.jsonl", {**LOGS, "relevant": ["s1"]})
    settings = load_settings(home=models_home, profile="judged", budget_ms=3_600_000, threads=1)
    report = evaluate_router(queries, pool, settings).report
    assert report["reranker"]["read"] == report["reranker"]["candidates"] > 0
    assert (
        "reranker"
        not in evaluate_router(queries, pool, settings.model_copy(update={"candidates": 0})).report
    )


def test_requests_that_nothing_is_right_for_are_asked_and_not_measured(
    tmp_path: Path, pool: Path, settings: Settings
) -> None:
    queries = _lines(tmp_path / "q.jsonl", {**LOGS, "relevant": []})
    evaluation = evaluate_router(queries, pool, settings)
    assert evaluation.run["q1"][0] == "s1"
    assert evaluation.report["n"] == 0
    assert evaluation.report["groups"] == {}


def test_index_of_a_pool_is_kept_between_runs(
    tmp_path: Path, pool: Path, settings: Settings
) -> None:
    class Embedded:
        count = 0

        def reading(self, done: int, total: int) -> None: ...

        def embedding(self, done: int, total: int) -> None:
            self.count = done

    queries = _lines(tmp_path / "q.jsonl", {**LOGS, "relevant": ["s1"]})
    first, second = Embedded(), Embedded()
    evaluate_router(queries, pool, settings, first)
    evaluate_router(queries, pool.rename(tmp_path / "other.jsonl"), settings, second)
    assert (first.count, second.count) == (3, 0)


def test_skills_of_a_folder_go_by_their_names(
    tmp_path: Path, root: Path, write_skill: Any, settings: Settings
) -> None:
    write_skill("rotate-logs", body=POOL["s1"], at="somewhere/else")
    queries = _lines(tmp_path / "q.jsonl", {**LOGS, "relevant": ["rotate-logs"]})
    evaluation = evaluate_router(queries, root, settings)
    assert evaluation.run == {"q1": ["rotate-logs"]}
    assert evaluation.report["hit@1"] == 1


def test_skills_that_cannot_be_loaded_are_told(
    tmp_path: Path,
    root: Path,
    write_skill: Any,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_skill("rotate-logs", body=POOL["s1"])
    write_skill("latin").write_bytes(b"---\nname: latin\n---\n\xe9t\xe9\n")
    queries = _lines(tmp_path / "q.jsonl", {**LOGS, "relevant": ["rotate-logs"]})
    assert evaluate_router(queries, root, settings).report["index"]["skills"] == 1
    (warning,) = caplog.messages
    assert str(root / "latin" / "SKILL.md") in warning
    assert "UTF-8" in warning


def test_folder_without_skills_is_refused(tmp_path: Path, root: Path, settings: Settings) -> None:
    queries = _lines(tmp_path / "q.jsonl", {**LOGS, "relevant": ["s1"]})
    with pytest.raises(RecordError, match=r"skills holds no skills"):
        evaluate_router(queries, root, settings)
