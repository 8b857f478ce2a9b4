from __future__ import annotations

import contextlib
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from skillrouter_mcp.skills import safe_yaml
from skillrouter_mcp.skills.safe_yaml import (
    MAX_NESTING,
    MAX_SIZE,
    HostileYamlError,
    InvalidYamlError,
    load_yaml,
)

steady = settings(derandomize=True, database=None, deadline=None, max_examples=100)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers: not every platform has the one in C."""
    if not hasattr(yaml, request.param):
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(safe_yaml, "_Loader", getattr(yaml, request.param))


def test_reads_what_front_matter_holds() -> None:
    text = """\
name: pdf-tools  # a comment
description: >-
  Fill in forms,
  merge files.
metadata:
  author: "Somebody"
  tags: [pdf, forms]
steps:
  - one
  - two
"""
    assert load_yaml(text).value == {
        "name": "pdf-tools",
        "description": "Fill in forms, merge files.",
        "metadata": {"author": "Somebody", "tags": ["pdf", "forms"]},
        "steps": ["one", "two"],
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ("!!str true", "true"),
        ("no", "no"),
        ("1.10", "1.10"),
        ("0x1f", "0x1f"),
        (".nan", ".nan"),
        ("9" * 5_000, "9" * 5_000),
        ("2026-02-30", "2026-02-30"),
        ("!!binary AAAA", "AAAA"),
        ("!!python/object/apply:os.getcwd []", []),
        ("!!python/name:os.getcwd x", "x"),
        ("&a text", "text"),
    ],
)
def test_scalars_stay_as_written_and_tags_make_nothing(written: str, value: object) -> None:
    assert load_yaml(f"key: {written}").value == {"key": value}


def test_aliases_stand_for_what_was_anchored() -> None:
    document = load_yaml("a: &a [x, {y: z}]\nb: *a\nc: &c t\nd: *c")
    assert document.value == {"a": ["x", {"y": "z"}], "b": ["x", {"y": "z"}], "c": "t", "d": "t"}


def test_the_last_of_repeated_keys_counts() -> None:
    document = load_yaml("a: 1\nb: 2\na: 3\nc: {d: 4, d: 5}")
    assert document.value == {"a": "3", "b": "2", "c": {"d": "5"}}
    assert document.repeated_keys == ("a", "d")


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment"])
def test_no_document_is_null(text: str) -> None:
    assert load_yaml(text).value is None


@pytest.mark.parametrize(
    "text",
    [
        "a: 'open",
        "a: b\n\tc: d",
        "[a: b",
        "a: *missing",
        "a: &a [*a]",
        "*a: b",
        "a: &a x\n*a : b",
        "{[a]: b}",
        "name: {{name}}",
        "a\n--- b",
        "%YAML 1.2\n",
        "@at",
        '"\\U00110000"',
    ],
)
def test_invalid_yaml_is_told(text: str) -> None:
    with pytest.raises(InvalidYamlError) as caught:
        load_yaml(text)
    assert caught.value.reason


def test_invalid_yaml_is_told_with_its_line() -> None:
    with pytest.raises(InvalidYamlError, match="mapping values are not allowed") as caught:
        load_yaml("name: x\n\ndescription: Use when: y")
    assert caught.value.line == 2


def test_no_key_makes_a_backslash_tower() -> None:
    with pytest.raises(InvalidYamlError):
        load_yaml("? " * (MAX_NESTING - 2) + "{a: b}")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "a: " + "{b: " * 50_000,
        "- " * 30_000,
        "".join(f"{' ' * level}a:\n" for level in range(200)),
        "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(MAX_NESTING)),
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(HostileYamlError, match="nested deeper"):
        load_yaml(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert load_yaml("[" * MAX_NESTING + "]" * MAX_NESTING).value


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25)),
        f"a: &a {'x' * 1_000}\nb: [{', '.join(['*a'] * 300)}]",
        "a: &a [" + "x, " * 999 + "]\n" + "".join(f"k{n}: *a\n" for n in range(300)),
    ],
)
def test_aliases_that_expand_without_end_are_refused(text: str) -> None:
    with pytest.raises(HostileYamlError, match=f"{MAX_SIZE:,} characters"):
        load_yaml(text)


def test_control_characters_are_blanks() -> None:
    assert load_yaml("a: b\x1bc\x00d\x85e\u2028f").value == {"a": "b c d e f"}


@pytest.mark.parametrize("text", ['a: "\\0\\uD800"', 'a: "x\\0y"'])
def test_nothing_that_json_or_a_database_would_not_take(text: str) -> None:
    try:
        value = load_yaml(text).value
    except InvalidYamlError:
        return
    written = json.dumps(value, ensure_ascii=False)
    written.encode()
    assert "\\u0000" not in written


yamlish = st.lists(
    st.sampled_from(
        [
            "a",
            "name",
            ":",
            ": ",
            "- ",
            "? ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "'",
            '"',
            "|",
            ">",
            "&a ",
            "*a",
            "!",
            "!!map ",
            "%",
            "#",
            "\n",
            "\n  ",
            "\t",
            "---",
            "...",
            "\x00",
            "\u2028",
            "\\",
            "é",
            "😀",
        ]
    ),
    max_size=40,
).map("".join)


@given(st.one_of(yamlish, st.text(max_size=60)))
@steady
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidYamlError, HostileYamlError):
        json.dumps(load_yaml(text).value, ensure_ascii=False).encode()


@given(
    st.recursive(
        st.one_of(st.booleans(), st.none(), st.text(st.characters(codec="utf-8"), max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4),
        ),
        max_leaves=12,
    )
)
@steady
def test_what_pyyaml_writes_is_read_back(value: object) -> None:
    written = yaml.safe_dump(value)  # escapes all that is not ASCII
    read = load_yaml(written).value
    assert read == json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))
