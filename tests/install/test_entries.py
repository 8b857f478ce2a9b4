from __future__ import annotations

import pytest

from skillrouter_install.entries import (
    drop_entry,
    find_entry,
    only_entry_differs,
    put_entry,
    same,
)
from skillrouter_install.formats.json_format import JsonFormat

JSONC = JsonFormat()
PATH = ("servers", "it")


def test_what_a_user_added_to_the_entry_stays() -> None:
    text = '{"servers": {"it": {"command": "/old", "trust": true, "env": {"MINE": "1"}}}}'
    put = put_entry(JSONC, text, PATH, {"command": "/new", "env": {"OURS": "2"}})
    assert find_entry(JSONC.read(put), PATH) == {
        "command": "/new",
        "trust": True,
        "env": {"MINE": "1", "OURS": "2"},
    }


def test_a_settable_key_goes_where_it_is_not_wanted() -> None:
    text = '{"servers": {"it": {"command": "/it", "alwaysLoad": true}}}'
    assert put_entry(JSONC, text, PATH, {"command": "/it"}) == text
    put = put_entry(JSONC, text, PATH, {"command": "/it"}, settable=("alwaysLoad",))
    assert find_entry(JSONC.read(put), PATH) == {"command": "/it"}


def test_an_entry_that_is_not_there_is_dropped_without_a_change() -> None:
    text = '{"servers": {"a": 1 } }'
    assert drop_entry(JSONC, text, PATH) == text


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ('{"servers": {"it": 1}, "z": 1}', '{"z": 1}', True),
        ('{"servers": {"it": 1}}', '{"servers": {"it": 2}}', True),
        ('{"servers": {"it": 1, "a": 1}}', '{"servers": {"it": 1, "a": 2}}', False),
        ('{"servers": {"it": 1}, "z": 1}', '{"servers": {"it": 1}, "z": 1.0}', False),
    ],
)
def test_two_texts_are_compared_beside_the_entry(one: str, other: str, alike: bool) -> None:
    assert only_entry_differs(JSONC, one, other, PATH) is alike


def test_values_of_different_types_are_not_the_same() -> None:
    assert same({"a": [1, "x"], "b": None}, {"b": None, "a": [1, "x"]})
    assert not same(1, True)
    assert not same(1, 1.0)
    assert not same("1", 1)
    assert same(float("nan"), float("nan"))
