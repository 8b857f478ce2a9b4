from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillrouter_install.errors import ConfigSyntaxError
from skillrouter_install.formats.json_source import Value, parse_json

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def data(text: str, *, json5: bool = False) -> Any:
    root = parse_json(text, json5=json5).root
    assert root is not None
    return root.data


@settings(max_examples=25, deadline=None)
@given(plain, st.sampled_from([None, 0, 3, "\t"]), st.booleans(), st.booleans())
def test_all_of_json_is_read_as_the_standard_library_reads_it(
    value: Any, indent: int | str | None, ensure_ascii: bool, json5: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
    assert data(text, json5=json5) == json.loads(text)


@settings(max_examples=25, deadline=None)
@given(plain)
def test_each_value_stands_where_it_says(value: Any) -> None:
    text = f" // before\n{json.dumps(value, indent=1)} /* after */"
    root = parse_json(text).root

    def check(value: Value) -> None:
        assert json.loads(text[value.start : value.end]) == value.data
        for element in value.elements:
            if element.key is not None:
                assert json.JSONDecoder().raw_decode(text, element.start)[0] == element.key
            check(element.value)

    assert root is not None
    check(root)


@pytest.mark.parametrize("text", ["", " \r\n\t", "// c", "/* c */", "//\n/**/"])
def test_blanks_and_comments_alone_hold_no_value(text: str) -> None:
    assert parse_json(text).root is None


@pytest.mark.parametrize(
    ("text", "extras"),
    [
        ('{"a": [1, 2]}', set()),
        ('{"a": "// no", "b": "/* no */"}', set()),
        ('{"a": 1} // c', {"comments"}),
        ('{"a": [1, 2,]}', {"trailing commas"}),
        ('{"a": 1, /* c */}', {"comments", "trailing commas"}),
    ],
)
def test_what_goes_beyond_json_is_named(text: str, extras: set[str]) -> None:
    assert parse_json(text).extras == extras


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: 1, $b_2: 2, 'c': 3, \"d\": 4,}", {"a": 1, "$b_2": 2, "c": 3, "d": 4}),
        ("{größe: 1}", {"größe": 1}),
        (
            r"'it\'s \x41B \n\
 on'",
            "it's AB \n on",
        ),
        ("'\"'", '"'),
        ("[+1, .5, 5., -0x1F, 1e3]", [1.0, 0.5, 5.0, -31, 1000.0]),
        ("-Infinity", -math.inf),
    ],
)
def test_json5_is_read(text: str, value: Any) -> None:
    assert data(text, json5=True) == value


@pytest.mark.parametrize("text", ["{a: 1}", "{'a': 1}", "[+1]", "[.5]", "[01]", "NaN", '"\t"'])
def test_json5_is_not_taken_for_json_with_comments(text: str) -> None:
    with pytest.raises(ConfigSyntaxError):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3, "expected ',' or '}'"),
        ('{\r\n  "a" 1}', 2, 7, "expected ':'"),
        ("[1, 2", 1, 6, "the end of the file"),
        ('{"a": "x}', 1, 7, "not closed on its line"),
        ('{"a": "\\q"}', 1, 7, "an escape that JSON does not know"),
        ("[1] /* c", 1, 5, "this comment is not closed"),
        ("{,}", 1, 2, "a name in double quotes"),
        ("[1,,2]", 1, 4, "expected a value"),
        ("nully", 1, 1, "expected a value"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    text: str, line: int, column: int, problem: str
) -> None:
    with pytest.raises(ConfigSyntaxError, match=problem) as refused:
        parse_json(text)
    assert (refused.value.line, refused.value.column) == (line, column)
