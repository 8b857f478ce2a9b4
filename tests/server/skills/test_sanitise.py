from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillrouter_mcp.skills.sanitise import is_plain, legible, plain, printable

steady = settings(derandomize=True, database=None, deadline=None, max_examples=150)
# Any code point, surrogates included, and more of those that matter here.
wild_text = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from(
            "\x1b[]\x07\x9b;m\n\r\t \u202e\u200d\u200b\ufe0f\u2028\U000e0041\u0301\u212aab"
        ),
    )
)


@pytest.mark.parametrize(
    "text",
    [
        "pdf-tools",
        "Größe ändern",
        "表格处理",
        "أدوات الجداول",
        "می\u200cخواهم",  # joined by a zero-width non-joiner
        "👩\u200d💻 code",  # joined by a zero-width joiner
        "❤\ufe0f care",
        "C:\\skills\\pdf",
    ],
)
def test_ordinary_writing_passes_unchanged(text: str) -> None:
    assert is_plain(text)
    assert plain(text, 100) == text
    assert printable(text, 100) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("red \x1b[31;1mname\x1b[0m", "red name"),
        ("\x1b]0;a title\x07name", "name"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jname", "name"),
        ("unclosed \x1b]0;title", "unclosed ]0;title"),
        ("two\nlines\r\n\tand a tab", "two lines and a tab"),
        ("line\u2028separator", "line separator"),
        ("left\u202eright", "leftright"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("in\U000e0069visible", "invisible"),
        ("pdf\u200dtools", "pdftools"),
        ("selected\ufe0f\ufe0f\ufe0e", "selected\ufe0f"),
        ("hangul\u3164filler", "hangulfiller"),
        ("a\ufe0f\u200b\ufe0f", "a\ufe0f"),
        ("nul\x00 and \x7f delete", "nul and delete"),
        ("e\u0301", "é"),
        ("\u212a\u200d\u0e01", "K\u0e01"),  # the Kelvin sign is an ASCII letter in NFC
        ("\ufe0f\u200d❤", "❤"),
        ("a \ufe0fb", "a b"),
        ("a" + 100 * "\u0316", "a" + 30 * "\u0316"),
        ("\x00\u200b", ""),
    ],
)
def test_plain_leaves_out_what_is_unsafe(text: str, cleaned: str) -> None:
    assert plain(text, 100) == cleaned


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\u202eb", "a\\u202eb"),
        ("a\U000e0041b", "a\\U000e0041b"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_printable_shows_what_is_unsafe_as_an_escape(text: str, shown: str) -> None:
    assert printable(text, 100) == shown


def test_long_text_is_cut() -> None:
    assert plain("a" * 10_000, 10) == "a" * 9 + "…"
    assert printable("\n" * 10_000, 10) == "\\n\\n\\n\\n\\n"[:9] + "…"
    assert plain("a" * 10, 10) == "a" * 10


@pytest.mark.parametrize(
    "unit",
    [
        "\ufe0f\u200d",
        "\u200d\ufe0e",
        "\x9d",
        "\x1b]",
        "\x9b0",
        "\x1b\x1b[0m[",
        "\u0301\u0316",
        "\u0301\u200b\u0316",
        "\u212a\u200d\u0301",
        " \ufe0f",
    ],
)
def test_long_texts_take_no_longer_than_their_length(unit: str) -> None:
    text = unit * 100_000  # at a cost that grew with the square, this would take up to hours
    assert is_plain(plain(text, len(text)))
    assert is_plain(printable(text, 10 * len(text)))
    assert is_plain(legible(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n\tlines  of  it\n", "two\n\tlines  of  it\n"),
        ("e\u0301 stays as written", "e\u0301 stays as written"),
        ("\x1b[31mred\x1b[0m\r\nnot", "red\nnot"),
        ("left\u202eright\x00\x85\u2028", "leftright"),
        ("\n\u200d\t\ufe0f", "\n\t"),
    ],
)
def test_legible_keeps_lines_and_leaves_out_what_is_unsafe(text: str, shown: str) -> None:
    assert legible(text) == shown


@given(wild_text)
@steady
def test_what_was_made_safe_stays_as_it_is(text: str) -> None:
    once = plain(text, 1_000)
    assert plain(once, 1_000) == printable(once, 1_000) == legible(once) == once
    lines = legible(text)
    assert legible(lines) == lines
    assert is_plain(lines.replace("\n", "").replace("\t", ""))
    if is_plain(text):
        assert legible(text) == text


@given(wild_text, st.integers(1, 40))
@steady
def test_whatever_comes_in_what_comes_out_is_one_short_safe_line(text: str, limit: int) -> None:
    for shown in (plain(text, limit), printable(text, limit)):
        assert len(shown) <= limit
        assert is_plain(shown)
        shown.encode()
        assert not any(
            unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown
        )
        assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b")
