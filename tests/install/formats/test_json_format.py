from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillrouter_install.entries import append_item, drop_entry, drop_item, put_entry
from skillrouter_install.errors import EditError
from skillrouter_install.formats.json_format import JsonFormat

JSONC, JSON5 = JsonFormat(), JsonFormat(json5=True)
PATH = ("servers", "it")
ENTRY = {"command": "/it", "args": ["x"]}

scalars = st.none() | st.booleans() | st.integers() | st.text()
trees = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.text().filter(lambda key: key != "servers"), trees, max_size=3),
    st.dictionaries(st.text().filter(lambda key: key != "it"), trees, max_size=3),
    st.sampled_from([None, 1, 4, "\t"]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_any_object_takes_the_entry_and_gives_it_back(
    rest: dict[str, Any],
    servers: dict[str, Any],
    indent: int | str | None,
    separators: tuple[str, str],
) -> None:
    before = {**rest, "servers": servers}
    text = json.dumps(before, indent=indent, separators=separators, ensure_ascii=False)
    put = put_entry(JSONC, text, PATH, ENTRY)
    assert json.loads(put) == {**rest, "servers": {**servers, "it": ENTRY}}
    assert drop_entry(JSONC, put, PATH) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"servers":{"a":1}}', '{"servers":{"a":1,"it":{"command":"/it","args":["x"]}}}'),
        ('{"servers": {}}', '{"servers": {"it": {"command": "/it", "args": ["x"]}}}'),
        (
            '{\n\t"servers": {\n\t\t"a": 1, // one\n\t},\n}\n',
            '{\n\t"servers": {\n\t\t"a": 1, // one\n\t\t"it": {\n\t\t\t"command": "/it",\n'
            '\t\t\t"args": [\n\t\t\t\t"x"\n\t\t\t]\n\t\t},\n\t},\n}\n',
        ),
        (
            '{\n "servers": {\n  "a": 1 /* one */ // two\n }\n}',
            '{\n "servers": {\n  "a": 1, /* one */ // two\n  "it": {\n   "command": "/it",\n'
            '   "args": [\n    "x"\n   ]\n  }\n }\n}',
        ),
    ],
)
def test_the_entry_is_laid_out_as_its_neighbours_are(before: str, after: str) -> None:
    assert put_entry(JSONC, before, PATH, ENTRY) == after
    assert drop_entry(JSONC, after, PATH).replace(", /*", " /*") == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"servers": {"it": {}, "a": 1}}', '{"servers": {"a": 1}}'),
        ('{"servers": {"a": 1, "it": {}}}', '{"servers": {"a": 1}}'),
        ('{"servers": {\n "a": 1,\n "it": {}}}', '{"servers": {\n "a": 1}}'),
        ('{"servers": {\n "it": {}, // c\n "a": 1}}', '{"servers": {\n // c\n "a": 1}}'),
        ('{"servers": {\n "it": {}\n // c\n}}', '{"servers": {\n // c\n}}'),
        ('{"servers": {"it": {},}}', '{"servers": {}}'),
    ],
)
def test_an_entry_leaves_its_neighbours_as_they_are(before: str, after: str) -> None:
    assert drop_entry(JSONC, before, PATH) == after


def test_json5_keeps_its_bare_names_and_quotes() -> None:
    before = "{\n  servers: {\n    'a': {command: 'x'}, // one\n  },\n}\n"
    after = put_entry(JSON5, before, PATH, ENTRY)
    assert after.startswith("{\n  servers: {\n    'a': {command: 'x'}, // one\n    \"it\": {\n")
    assert drop_entry(JSON5, after, PATH) == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "an object is needed"),
        ("null", "an object is needed"),
        ('{"servers": [1]}', "an object is needed"),
        ('{"servers": "x"}', "an object is needed"),
        ('{"servers": {"it": {}, "it": {}}}', "'it' 2 times"),
        ('{"servers": {}, "servers": {}}', "'servers' 2 times"),
    ],
)
def test_a_shape_without_a_place_for_the_entry_is_refused(text: str, problem: str) -> None:
    with pytest.raises(EditError, match=problem):
        put_entry(JSONC, text, PATH, ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "",
        '{"hooks": {}}',
        '{"hooks": {"Prompt": null}, "z": 1}',
        '{\n  "hooks": {\n    "Prompt": [\n      {"a": 1} // one\n    ]\n  }\n}\n',
        '{"hooks":{"Prompt":[{"a":1},{"b":2}]}}',
    ],
)
def test_an_item_is_added_to_an_array_and_taken_out(text: str) -> None:
    path, item = ("hooks", "Prompt"), {"hooks": [{"type": "x"}]}
    before = JSONC.read(text)
    put = append_item(JSONC, text, path, item)
    assert JSONC.read(put)["hooks"]["Prompt"][-1] == item
    assert append_item(JSONC, put, path, item) == put
    after = JSONC.read(drop_item(JSONC, put, path, item))
    if (before.get("hooks") or {}).get("Prompt"):
        assert after == before
    assert {**after, "hooks": 0} == {**before, "hooks": 0}


def test_an_item_is_not_put_into_something_else_than_an_array() -> None:
    with pytest.raises(EditError, match="an array is needed"):
        append_item(JSONC, '{"hooks": {"Prompt": {"a": 1}}}', ("hooks", "Prompt"), 1)
