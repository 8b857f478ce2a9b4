from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("folder", [b"two\nlines", b"caf\xe9"])
@pytest.mark.parametrize("command", [["find", "x"], ["index"], ["doctor"]])
def test_a_root_that_cannot_be_shown_is_bad_usage(
    fresh: Path, tmp_path: Path, run: Any, command: list[str], folder: bytes
) -> None:
    result = run(*command, "--root", str(tmp_path / os.fsdecode(folder)), status=2)
    assert "rename the folder" in result.stderr
    assert not fresh.exists()


def test_roots_within_each_other_are_read_once_each(
    fresh: Path, root: Path, write_skill: Any, run_json: Any
) -> None:
    write_skill("a", at="group/a")
    outer, inner = ("--root", str(root)), ("--root", str(root / "group"))
    assert [run_json("index", *at)["read"] for at in (outer, inner)] == [1, 1]
    assert [run_json("index", *at)["read"] for at in (outer, inner)] == [0, 0]
    assert run_json("find", "a", *outer, *inner)["index"] == {"skills": 1, "pending": 0}
