from __future__ import annotations

import pytest

from skillrouter_gguf import load_catalogue
from skillrouter_mcp.index.passages import LABEL, LAYOUT, WINDOW, Layout, Passage, passages
from skillrouter_mcp.index.store import Document

LONGEST = 1_200  # characters of a passage, its heading included
MANY = 200_000  # characters


def _passages(body: str, name: str = "tune-piano", description: str = "Tunes it.") -> list[Passage]:
    made = passages(Document(1, name, description, body), ["multilingual"])
    assert made[0].view == LABEL
    assert [p.view for p in made[1:]] == [WINDOW] * (len(made) - 1)
    assert [p.ordinal for p in made[1:]] == list(range(len(made) - 1))
    assert len(made) <= 1 + int(str(LAYOUT["windows"]))
    assert all(len(p.text) <= LONGEST for p in made)
    return made


def _windows(body: str) -> list[str]:
    return [p.text.partition("\n")[2] for p in _passages(body)[1:]]


def test_the_label_is_name_and_description() -> None:
    assert _passages("")[0].text == "tune piano. Tunes it."
    assert _passages("", name="a_b", description="")[0].text == "a b. "


def test_a_long_description_is_cut() -> None:
    assert len(_passages("", description="x" * 4_000)[0].text) < LONGEST


@pytest.mark.parametrize("body", ["", "\n\n", "---\n|---|---|\n***\n"])
def test_a_body_that_says_nothing_has_no_windows(body: str) -> None:
    assert _windows(body) == []


def test_a_short_body_is_one_window_under_the_name() -> None:
    (window,) = _passages("# Strings\n\nTune them.\n")[1:]
    assert window.text == "tune-piano\n# Strings\nTune them."


def test_windows_reach_from_the_first_line_to_the_last_pages() -> None:
    first, middle, last = _windows("\n".join(f"Step {n}: go on." for n in range(1_000)))
    assert first.startswith("Step 0:")
    assert "Step 500:" in middle
    assert int(last.split("Step ")[1].split(":")[0]) > 900


def test_marks_links_and_addresses_are_left_out() -> None:
    (window,) = _windows("See [the **manual**](https://x.example/m?q=1) or http://y.example/.\n")
    assert window == "See the manual or"


def test_comments_and_code_are_left_out_where_there_is_prose() -> None:
    prose = "Tune the strings one by one. " * 20
    body = f"{prose}\n```sh\nmake noise\n```\n<!-- secret -->\n~~~\nhum\n~~~\nDone.\n"
    text = "\n".join(_windows(body))
    assert "Tune the strings" in text
    assert "Done." in text
    assert not any(word in text for word in ("noise", "secret", "hum"))


def test_a_body_of_code_alone_is_read() -> None:
    (window,) = _windows("```sh\nmake noise\n```\n")
    assert "make noise" in window


def test_an_unclosed_fence_or_comment_ends_with_the_body() -> None:
    prose = "Tune the strings one by one. " * 20
    assert "noise" not in "\n".join(_windows(f"{prose}\n```sh\nmake noise\n"))
    assert "noise" not in "\n".join(_windows(f"{prose}\n<!--\nmake noise\n"))


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "[a](",
        "[](" + "x" * 600,
        "<!--",
        "<!-- x --",
        "```\n",
        "```a\n",
        "~~~\n```\n",
        " \t",
        " \n",
        "`",
        "*",
        "|-",
        "-" * 99 + "a\n",
        "https://",
        "x",
        "x\n",
        "word ",
        "中文",
        "\0",
        "\u202e",
    ],
)
@pytest.mark.parametrize("tail", ["", "\nend"])
def test_a_hostile_body_is_cut_to_few_short_passages(piece: str, tail: str) -> None:
    made = _passages(piece * (MANY // len(piece)) + tail)
    assert all(p.text for p in made)


def test_a_megabyte_of_prose_in_one_line_is_read_from_its_start() -> None:
    first, *_ = _windows("Tune the strings. " * 60_000)
    assert first.startswith("Tune the strings. Tune")


@pytest.mark.parametrize("body", ["", "中" * MANY, "中文 text\n" * 100_000, "\ud800"])
def test_for_an_encoder_of_english_nothing_chinese_is_left(body: str) -> None:
    made = passages(Document(1, "名字", "说明 of it", body), ["en"])
    assert made[0].view == LABEL
    assert not any("\u4e00" <= letter <= "\u9fff" for p in made for letter in p.text)


class TestFullText:
    document = Document(1, "tune-piano", "Tunes {it}." * 5, "Loosen {0} the pin.\n" * 9)
    layout = Layout(("multilingual",), "{name} | {description} | {body}")

    def test_one_text_stands_for_label_and_window(self) -> None:
        text = self.layout.full_text(self.document)
        assert self.layout.passages(self.document) == [
            Passage(LABEL, 0, text),
            Passage(WINDOW, 0, text),
        ]
        assert text == (
            f"{self.document.name} | {self.document.description} | {self.document.body}"
        )

    def test_without_a_template_there_are_label_and_windows(self) -> None:
        layout = Layout(("multilingual",))
        assert layout.passages(self.document) == passages(self.document, ["multilingual"])
        assert layout.full_text(self.document) == self.layout.full_text(self.document)

    def test_description_and_body_are_cut_and_the_name_is_not(self) -> None:
        layout = Layout(("multilingual",), "{name}|{description}|{body}", 3, 6)
        assert layout.full_text(self.document) == "tune-piano|Tun|Loosen"

    def test_a_template_may_leave_parts_out(self) -> None:
        assert (
            Layout(("en",), "# {name}\n{body}").full_text(Document(1, "a", "secret", "b"))
            == "# a\nb"
        )

    def test_for_a_model_of_english_chinese_is_put_into_english(self) -> None:
        layout = Layout(("en",), "{name}: {body}")
        assert layout.full_text(Document(1, "fapiao", "", "发票")) == "fapiao: invoice"

    def test_the_catalogue_s_entries_say_how(self) -> None:
        catalogue = load_catalogue()
        assert Layout.of(catalogue.model("skillrouter-minilm-l6")) == Layout(("en",))
        layout = Layout.of(catalogue.model("skillrouter-reranker-0_6b"))
        assert layout.template == "{name} | {description} | {body}"
        assert (layout.description_characters, layout.body_characters) == (500, 2000)
