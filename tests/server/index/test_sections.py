from __future__ import annotations

import pytest

from skillrouter_mcp.index.sections import sections


@pytest.mark.parametrize("body", ["", "\n", " \n\t\n" * 5_000])
def test_nothing_has_no_sections(body: str) -> None:
    assert sections(body) == []


def test_a_short_body_is_one_section() -> None:
    assert sections("# Title\n\nText.\n") == ["# Title\n\nText.\n"]


def test_sections_are_the_lines_in_order() -> None:
    lines = [f"line {n} " + "x" * (n * 37 % 400) for n in range(200)]
    cut = sections("\n".join(lines))
    assert "\n".join(cut).split("\n") == lines
    assert all(800 < len(section) <= 2_001 for section in cut[:-1])


def test_a_long_line_begins_a_section_only_once_the_last_holds_something() -> None:
    short, long = "a" * 100, "b" * 5_000
    assert sections(f"{short}\n{long}") == [f"{short}\n{long}"]
    half = "a" * 900
    assert sections(f"{half}\n{long}\nend") == [half, long, "end"]


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [(900, 1_099, 1), (900, 1_100, 2), (799, 1_300, 1), (800, 1_300, 2)],
)
def test_a_section_is_cut_beyond_2000_characters_if_800_come_before(
    first: int, second: int, count: int
) -> None:
    assert len(sections(f"{'a' * first}\n{'b' * second}")) == count


@pytest.mark.parametrize("line", ["[", "```", "<!--", "x" * 1_000, "\0", "中" * 300])
def test_hostile_bodies_come_out_whole(line: str) -> None:
    body = "\n".join([line] * (1_000_000 // len(line)))
    assert "\n".join(sections(body)) == body


def test_one_line_of_a_megabyte_is_one_section() -> None:
    assert sections("x" * 1_000_000) == ["x" * 1_000_000]
