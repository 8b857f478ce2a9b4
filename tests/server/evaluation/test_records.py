from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from skillrouter_mcp.evaluation.records import RecordError, pool_folder, read_requests
from skillrouter_mcp.skills import read_skill

SKILL = {
    "skill_id": "s1",
    "name": "rotate: logs",
    "description": 'Says "hello"',
    "body": "\n# Rotate\u2028still one line\nrun it\n",
}


def _lines(path: Path, *records: object) -> Path:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz"])
def test_pool_becomes_skills_that_read_as_they_were(tmp_path: Path, name: str) -> None:
    folder = pool_folder(_lines(tmp_path / name, SKILL), tmp_path / "cache")
    skill = read_skill(folder / "s1" / "SKILL.md")
    assert skill.name == SKILL["name"]
    assert skill.description == SKILL["description"]
    assert skill.body.strip() == SKILL["body"].strip()


def test_pool_of_the_same_content_is_written_once(tmp_path: Path) -> None:
    first = pool_folder(_lines(tmp_path / "a.jsonl", SKILL), tmp_path / "cache")
    mark = first / "s1" / "mark"
    mark.touch()
    assert pool_folder(_lines(tmp_path / "b.jsonl", SKILL), tmp_path / "cache") == first
    assert mark.exists()
    other = _lines(tmp_path / "c.jsonl", {**SKILL, "body": "different"})
    assert pool_folder(other, tmp_path / "cache") != first


def test_folder_is_its_own_pool(tmp_path: Path) -> None:
    assert pool_folder(tmp_path, tmp_path / "cache") == tmp_path


@pytest.mark.parametrize("skill_id", ["../up", "", "a/b", ".hidden", "x" * 200])
def test_skill_id_that_would_leave_the_folder_is_refused(tmp_path: Path, skill_id: str) -> None:
    pool = _lines(tmp_path / "pool.jsonl", {**SKILL, "skill_id": skill_id})
    with pytest.raises(RecordError, match="cannot name a folder"):
        pool_folder(pool, tmp_path / "cache")
    assert not list(tmp_path.rglob("SKILL.md"))


def test_interrupted_writing_is_done_again(tmp_path: Path) -> None:
    bad = _lines(tmp_path / "pool.jsonl", SKILL, {**SKILL, "skill_id": "/"})
    with pytest.raises(RecordError):
        pool_folder(bad, tmp_path / "cache")
    with pytest.raises(RecordError):
        pool_folder(bad, tmp_path / "cache")


def test_line_that_is_no_request_is_named(tmp_path: Path) -> None:
    request = {"id": "q1", "query": "rotate", "relevant": ["s1"]}
    path = _lines(tmp_path / "q.jsonl", request, {"id": "q2"})
    with pytest.raises(RecordError, match=r"line 2: query"):
        read_requests(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{"])
def test_file_without_requests_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError):
        read_requests(path)


def test_broken_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(RecordError):
        pool_folder(path, tmp_path / "cache")


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_pool_without_skills_is_refused_each_time(tmp_path: Path, content: str) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text(content)
    for _ in range(2):
        with pytest.raises(RecordError, match=r"pool\.jsonl holds no skills"):
            pool_folder(pool, tmp_path / "cache")


def test_skill_id_that_comes_again_is_named_with_both_lines(tmp_path: Path) -> None:
    pool = _lines(tmp_path / "pool.jsonl", SKILL, {**SKILL, "skill_id": "s2"}, SKILL)
    with pytest.raises(RecordError, match=r"line 3: skill_id was there before, in line 1"):
        pool_folder(pool, tmp_path / "cache")


def test_request_id_that_comes_again_is_named_with_both_lines(tmp_path: Path) -> None:
    request = {"id": "q1", "query": "rotate", "relevant": ["s1"]}
    path = _lines(tmp_path / "q.jsonl", request, {**request, "query": "bake"})
    with pytest.raises(RecordError, match=r"line 2: id was there before, in line 1"):
        read_requests(path)
