from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from skillrouter_install.entries import drop_entry, put_entry
from skillrouter_install.errors import ConfigSyntaxError, EditError
from skillrouter_install.formats.yaml_format import YamlFormat

YAML = YamlFormat()
PATH = ("servers", "it")
ENTRY = {"command": "/it", "args": ["x"], "on": "yes"}

keys = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
scalars = st.none() | st.booleans() | st.integers() | texts
trees = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=8
)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(keys.filter(lambda key: key != "servers"), trees, max_size=3),
    st.dictionaries(keys.filter(lambda key: key != "it"), trees, max_size=3),
    st.sampled_from([None, True, False]),
    st.sampled_from([2, 4]),
    st.booleans(),
)
def test_any_mapping_takes_the_entry_and_gives_it_back(
    rest: dict[str, Any], servers: dict[str, Any], flow: bool | None, indent: int, first: bool
) -> None:
    before = {"servers": servers, **rest} if first else {**rest, "servers": servers}
    text = yaml.safe_dump(
        before, default_flow_style=flow, indent=indent, sort_keys=False, allow_unicode=True
    )
    put = put_entry(YAML, text, PATH, ENTRY)
    assert yaml.safe_load(put) == {**rest, "servers": {**servers, "it": ENTRY}}
    assert yaml.safe_load(drop_entry(YAML, put, PATH)) == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "servers:\n  a: 1 # one\n  # two\n# three\nz: 1\n",
            "servers:\n  a: 1 # one\n  # two\n  it:\n    command: /it\n    args:\n    - x\n"
            "    'on': 'yes'\n# three\nz: 1\n",
        ),
        (
            "servers: {} # none\nz: 1",
            "servers: # none\n  it:\n    command: /it\n    args:\n    - x\n    'on': 'yes'\nz: 1",
        ),
        (
            "{servers: {a: 1}}",
            '{servers: {a: 1, "it": {"command": "/it", "args": ["x"], "on": "yes"}}}',
        ),
    ],
)
def test_the_entry_is_laid_out_as_its_neighbours_are(before: str, after: str) -> None:
    assert put_entry(YAML, before, PATH, ENTRY) == after


def test_an_entry_in_braces_is_replaced_in_its_place() -> None:
    text = "servers: {it: {command: /old}, a: 1} # c\n"
    assert put_entry(YAML, text, PATH, {"command": "/it"}) == (
        'servers: {it: {"command": "/it"}, a: 1} # c\n'
    )


def test_an_entry_in_lines_is_replaced_in_its_place() -> None:
    text = "servers:\n  # mine\n  it:\n    command: /old # c\n  # theirs\n  a: 1\n"
    assert put_entry(YAML, text, PATH, {"command": "/it"}) == (
        "servers:\n  # mine\n  it:\n    command: /it\n  # theirs\n  a: 1\n"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- 1\n", "an object is needed|a mapping is needed"),
        ("servers: [1]\n", "needed"),
        ("servers: x\n", "needed"),
        ("x: &x {a: 1}\nservers: *x\n", "an alias"),
        ("servers: {a: 1}\nservers: {b: 1}\n", "'servers' 2 times"),
    ],
)
def test_a_shape_without_a_place_for_the_entry_is_refused(text: str, problem: str) -> None:
    with pytest.raises(EditError, match=problem):
        put_entry(YAML, text, PATH, ENTRY)


@pytest.mark.parametrize(
    "text", ["a: !!bool x\n", "a: !!int ''\n", "a: !!timestamp x\n", "a: 2026-13-45\n"]
)
def test_a_value_that_does_not_fit_its_tag_is_refused(text: str) -> None:
    with pytest.raises(ConfigSyntaxError, match="does not fit its tag"):
        YAML.read(text)


def test_tags_cannot_run_code() -> None:
    text = "a: !!python/object/apply:os.system ['exit 1']\n"
    with pytest.raises(ConfigSyntaxError, match="could not determine a constructor"):
        YAML.read(text)
