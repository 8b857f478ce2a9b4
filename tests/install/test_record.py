from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrouter_install.record import Record, Records

FILE = Path("/home/u/c.json")


def record(before: str | None, after: str, *, part: str = "server", path: Path = FILE) -> Record:
    return Record.of_change(before, after, part=part, path=path)


@given(st.text("ab\n"), st.text("ab\n"))
def test_a_change_is_taken_back_exactly(before: str, after: str) -> None:
    assert record(before, after).undo(after) == before


def test_the_smallest_replacement_is_kept() -> None:
    change = record("a: 1\nz: 1\n", "a: 1\nit: 2\nz: 1\n")
    assert (change.offset, change.removed, change.inserted) == (5, "", "it: 2\n")


def test_a_change_is_found_again_where_the_rest_has_changed() -> None:
    change = record("a: 1\nz: 1\n", "a: 1\nit: 2\nz: 1\n")
    assert change.undo("# new\na: 1\nit: 2\nz: 2\n") == "# new\na: 1\nz: 2\n"


@pytest.mark.parametrize("content", ["a: 1\nz: 1\n", "it: 2\nit: 2\n", "it: 3\n"])
def test_what_cannot_be_told_apart_is_not_taken_back(content: str) -> None:
    assert record("a: 1\nz: 1\n", "a: 1\nit: 2\nz: 1\n").undo(content) is None


def test_records_are_kept_by_file_and_part(tmp_path: Path) -> None:
    one = record("a", "ab")
    other = record(None, "x", part="prompt hook")
    for each in (one, other):
        Records(tmp_path).put(each)
    stored = Records(tmp_path)
    assert stored.problem is None
    assert stored.find(FILE, "server") == one
    assert stored.find(FILE, "prompt hook") == other
    stored.forget(FILE, "server")
    assert Records(tmp_path).find(FILE, "server") is None
    assert Records(tmp_path).find(FILE, "prompt hook") == other


def test_records_are_for_the_user_alone(tmp_path: Path) -> None:
    Records(tmp_path / "state").put(record("a", "ab"))
    (file,) = (tmp_path / "state").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["{", "[1]", '[{"part": "x"}]', '{"a": 1}'])
def test_records_that_cannot_be_read_are_said_and_not_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "installed.json").write_text(text)
    records = Records(tmp_path)
    assert records.problem is not None
    assert "cannot be used" in records.problem
    assert records.find(FILE, "server") is None


def test_folders_that_another_file_lies_in_are_left_to_its_record(tmp_path: Path) -> None:
    config = tmp_path / "config"
    one, other = config / "a" / "one", config / "b" / "other"
    folders = (str(config), str(config / "a"))
    first = dataclasses.replace(record(None, "x"), path=str(one), made_folders=folders)
    second = dataclasses.replace(
        record(None, "x"), path=str(other), made_folders=(str(config / "b"),)
    )
    for each in (first, second):
        Records(tmp_path).put(each)
    Records(tmp_path).forget(one, "server")
    left = Records(tmp_path).find(other, "server")
    assert left is not None
    assert left.made_folders == (str(config), str(config / "b"))
