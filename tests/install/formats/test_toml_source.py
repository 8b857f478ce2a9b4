from __future__ import annotations

from skillrouter_install.formats.toml_source import statements


def test_statements_are_told_apart_and_placed() -> None:
    text = (
        "# top\n"
        "a.b = 1 # one\n"
        "\n"
        '[ x . "y z" ] # header\r\n'
        'k = """\n[no]\n"""\n'
        "'q.q' = [ # list\n  { n = ']' },\n]\n"
        "[[t]]\n"
        "m = ''' '' \n'''\n"
        'last = "\\""'
    )
    found = [(each.kind, each.path, text[each.start : each.end]) for each in statements(text)]
    assert found == [
        ("pair", ("a", "b"), "a.b = 1 # one\n"),
        ("table", ("x", "y z"), '[ x . "y z" ] # header\r\n'),
        ("pair", ("x", "y z", "k"), 'k = """\n[no]\n"""\n'),
        ("pair", ("x", "y z", "q.q"), "'q.q' = [ # list\n  { n = ']' },\n]\n"),
        ("array table", ("t",), "[[t]]\n"),
        ("pair", ("t", "m"), "m = ''' '' \n'''\n"),
        ("pair", ("t", "last"), 'last = "\\""'),
    ]


def test_a_string_may_end_in_its_own_quotes() -> None:
    text = "a = \"\"\"\"\"x\"\"\"\"\"\nb = '''''x'''''\nc = 1\n"
    assert [each.path for each in statements(text)] == [("a",), ("b",), ("c",)]


def test_an_escaped_name_is_read() -> None:
    assert [each.path for each in statements('["\\u0061\\t"]\n')] == [("a\t",)]


def test_nothing_and_comments_have_no_statements() -> None:
    assert list(statements("")) == []
    assert list(statements("# a\n\n  # b")) == []
