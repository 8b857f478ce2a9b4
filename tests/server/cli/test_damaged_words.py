from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def damaged(fresh: Path, write_skill: Any, run: Any) -> Path:
    """A home whose word index opens and fails when it is searched."""
    write_skill("tune-piano", body="Tune the treble strings of a grand piano.")
    # So many different words that what is damaged does not show at once.
    syllables = [first + second for first in "bcdfglmnprst" for second in "aeiou"]
    write_skill("babble", body=" ".join(a + b for a in syllables for b in syllables[::4]))
    run("index")
    spoilt = [*fresh.glob("words-*/*/*.term"), *fresh.glob("words-*/*/*.idx")]
    assert spoilt
    for file in spoilt:
        content = file.read_bytes()
        middle = len(content) * 9 // 10
        file.write_bytes(b"\xaa" * middle + content[middle:])
    return fresh


def test_find_mends_the_words(damaged: Path, run: Any) -> None:
    (before,) = damaged.glob("words-*")
    for _ in range(2):
        assert run("find", "tune a grand piano").stdout.startswith("tune-piano ")
    (after,) = damaged.glob("words-*")
    assert after != before


@pytest.mark.parametrize("arguments", [["index", "--rebuild"], ["doctor", "--fix"]])
def test_what_makes_the_index_anew_does(
    damaged: Path, run_json: Any, run: Any, arguments: list[str]
) -> None:
    (before,) = damaged.glob("words-*")
    files = {file: file.stat().st_ino for file in before.rglob("*.term")}
    run(*arguments)
    (after,) = damaged.glob("words-*")
    assert files != {file: file.stat().st_ino for file in after.rglob("*.term")}
    assert run_json("find", "tune a piano")["index"]["skills"] == 2
