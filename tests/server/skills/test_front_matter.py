from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillrouter_mcp.skills.front_matter import MAX_CHARACTERS, read_front_matter
from skillrouter_mcp.skills.sanitise import is_plain
from skillrouter_mcp.skills.skill import SkillError

steady = settings(derandomize=True, database=None, deadline=None, max_examples=100)


def test_front_matter_and_body_are_taken_apart() -> None:
    read = read_front_matter("---\nname: pdf\nlicense: MIT\n---\n\n# Title\n\nText.\n")
    assert read.fields == {"name": "pdf", "license": "MIT"}
    assert read.body == "# Title\n\nText."
    assert read.warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "\n\n---\nname: a\n---\nbody",
        "--- \nname: a\n---\t\nbody",
        "---\nname: a\n---\n\n\nbody\n\n",
        "---\n\nname: a\n\n---\nbody",
    ],
)
def test_blanks_around_the_front_matter_do_no_harm(text: str) -> None:
    read = read_front_matter(text)
    assert (read.fields, read.body, read.warnings) == ({"name": "a"}, "body", ())


def test_later_rules_belong_to_the_body() -> None:
    read = read_front_matter("---\nname: a\n---\none\n---\ntwo\n---\n")
    assert read.body == "one\n---\ntwo\n---"


def test_dashes_within_a_value_do_not_close_the_front_matter() -> None:
    read = read_front_matter("---\ndescription: |\n  one\n  ---\n  two\nname: --- a ---\n---\nbody")
    assert read.fields == {"description": "one\n---\ntwo\n", "name": "--- a ---"}
    assert read.body == "body"


def test_front_matter_alone_has_no_body() -> None:
    assert read_front_matter("---\nname: a\n---").body == ""


@pytest.mark.parametrize("text", ["# Title\n---\nname: a\n---", "name: a", "", "----\na: b\n---\n"])
def test_text_without_front_matter_is_all_body(text: str) -> None:
    read = read_front_matter(text)
    assert (read.fields, read.body) == ({}, text.strip())
    assert read.warnings == ("there is no front matter",)


def test_front_matter_that_is_never_closed_counts_as_body() -> None:
    read = read_front_matter("---\nname: a\n\n# Title\n")
    assert (read.fields, read.body) == ({}, "name: a\n\n# Title")
    assert "not closed" in read.warnings[0]


def test_enormous_front_matter_counts_as_body() -> None:
    closed_late = f"---\nname: a\n# {'x' * MAX_CHARACTERS}\n---\nbody"
    read = read_front_matter(closed_late)
    assert read.fields == {}
    assert read.body.startswith("name: a")
    assert read.body.endswith("body")
    assert "not closed" in read.warnings[0]


def test_front_matter_up_to_the_limit_is_read() -> None:
    comment = "x" * (MAX_CHARACTERS - len("name: a\n# \n"))
    assert read_front_matter(f"---\nname: a\n# {comment}\n---\nbody").fields == {"name": "a"}


@pytest.mark.parametrize("text", ["---\n---\nbody", "---\n# nothing\n---\nbody"])
def test_empty_front_matter(text: str) -> None:
    read = read_front_matter(text)
    assert (read.fields, read.body) == ({}, "body")
    assert read.warnings == ("the front matter is empty",)


@pytest.mark.parametrize("inside", ["just prose here", "- a\n- list", "[", "prose: [", "'open"])
def test_what_holds_no_fields_is_not_lost(inside: str) -> None:
    read = read_front_matter(f"---\n{inside}\n---\nbody")
    if not read.fields:
        assert inside in read.body
        assert "counts as part of the body" in read.warnings[0]
    assert read.body.endswith("body")


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ("name: a\ndescription: Use when: asked", {"name": "a", "description": "Use when: asked"}),
        (
            "description: Use when: it's\n  asked: often\nname: a",
            {"description": "Use when: it's asked: often", "name": "a"},
        ),
        (
            "description: a: b\nmetadata:\n  version: 1.0\n  tags: [x, y]",
            {"description": "a: b", "metadata": {"version": "1.0", "tags": ["x", "y"]}},
        ),
        ("name: a # why\ndescription: b: c", {"name": "a", "description": "b: c"}),
        ("description: ends with:\nname: a", {"description": "ends with:", "name": "a"}),
        ("description: @somebody\nname: a", {"description": "@somebody", "name": "a"}),
        ("description: **Bold** words", {"description": "**Bold** words"}),
        ("description: `code` words", {"description": "`code` words"}),
        ("name: a\nmetadata:\n\tauthor: b", {"name": "a", "metadata": {"author": "b"}}),
        ("\tname: a\n\tdescription: b", {"name": "a", "description": "b"}),
    ],
)
def test_values_that_needed_quotes_are_read_with_a_warning(
    inside: str, fields: dict[str, object]
) -> None:
    read = read_front_matter(f"---\n{inside}\n---\nbody")
    assert (read.fields, read.body) == (fields, "body")
    assert len(read.warnings) == 1
    assert "not valid YAML (line " in read.warnings[0]
    assert "quoted" in read.warnings[0]


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        (
            'name: a\ndescription: "Quoted" and more',
            {"name": "a", "description": '"Quoted" and more'},
        ),
        ("name: a\ndescription: [WIP] thing", {"name": "a", "description": "[WIP] thing"}),
        ("name: {{name}}", {"name": "{{name}}"}),
        ("description: 'it's broken'", {"description": "it's broken"}),
        ("description: >-\n  folded\nname: 'b", {"description": "folded", "name": "'b"}),
        ("name: a\nfirst line\nof prose\nb: c", {"name": "a first line of prose", "b": "c"}),
    ],
)
def test_broken_front_matter_is_read_line_by_line(inside: str, fields: dict[str, object]) -> None:
    read = read_front_matter(f"---\n{inside}\n---\nbody")
    assert (read.fields, read.body) == (fields, "body")
    assert "line by line" in read.warnings[0]


def test_the_warning_names_the_line_of_the_file() -> None:
    read = read_front_matter("\n---\nname: a\ndescription: b: c\n---\nbody")
    assert "(line 4: mapping values" in read.warnings[0]


def test_repeated_fields_are_told_and_the_last_counts() -> None:
    read = read_front_matter("---\nname: a\nname: b\n---\nbody")
    assert read.fields == {"name": "b"}
    assert '"name"' in read.warnings[0]


@pytest.mark.parametrize(
    "inside",
    [
        "a: " + "[" * 5_000,
        "a: &a [x, x]\n"
        + "".join(f"{n}: &b{n} [*a, *a]\na: &a [*b{n}, *b{n}]\n" for n in range(9)),
    ],
)
def test_front_matter_built_to_exhaust_its_reader_is_refused(inside: str) -> None:
    with pytest.raises(SkillError, match=r"has front matter that .*: simplify it"):
        read_front_matter(f"---\n{inside}\n---\nbody")


@pytest.mark.parametrize(
    ("inside", "fields"),
    [
        ('a: "\\e[31mred\\e[0m \\u202etext\\0"', {"a": "red text\ufffd"}),
        ('a: [{"b\\u200b": "\\x9b2Jc\\x07"}]', {"a": [{"b": "c"}]}),
        ("a: le\u202eft\u2066right", {"a": "leftright"}),
        ("a: b: c\nd: [\x1b]0;title\x07e", {"a": "b: c", "d": "[e"}),
    ],
)
@pytest.mark.parametrize("numbers", [False, True])
def test_fields_hold_nothing_that_steers_a_terminal_or_hides(
    inside: str, fields: dict[str, object], numbers: bool
) -> None:
    read = read_front_matter(f"---\n{inside}\n---\nbody", numbers=numbers)
    assert read.fields == fields
    assert "control or invisible characters, which were left out" in read.warnings[-1]


def test_lines_tabs_and_emoji_stay_in_fields() -> None:
    read = read_front_matter("---\na: |\n  one\n  \ttwo ❤\ufe0f 👩\u200d💻\n---\nbody")
    assert read.fields == {"a": "one\n\ttwo ❤\ufe0f 👩\u200d💻\n"}
    assert read.warnings == ()


lines = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "---",
                "name: a",
                "description: b: c",
                "\tx: y",
                "- z",
                "a: [",
                "{",
                "b: 'c",
                "...",
                "",
                "d: &d [*d]",
                "e: |",
                "  f: g",
                "\x1b[2J: \u202e",
                "? k",
                "!!x y: z",
                "# h",
                "%Q",
                "a",
            ]
        ),
        st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=30),
    ),
    max_size=12,
)


@given(lines, st.booleans())
@steady
def test_any_text_is_read_or_refused(lines: list[str], opened: bool) -> None:
    text = "\n".join(["---"] * opened + lines)
    try:
        read = read_front_matter(text)
    except SkillError as error:
        said: tuple[str, ...] = (error.reason,)
    else:
        said = read.warnings
        assert read.body in text
        written = json.dumps(read.fields, ensure_ascii=False)
        written.encode()
        assert is_plain(written.replace("\\n", "").replace("\\t", ""))
    assert all(is_plain(sentence) for sentence in said)
