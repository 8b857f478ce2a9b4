from __future__ import annotations

import hashlib
import re
from importlib.resources import files

from skillrouter_mcp.index.glossary import (
    Gloss,
    Glossary,
    Reading,
    glossary_digest,
    load_glossary,
    readable,
)

WORDS = Glossary({"健康": ("health",), "健康检查": ("health", "check"), "帮我": ()})


def test_longest_word_wins() -> None:
    assert list(WORDS.glosses("健康检查")) == [Gloss("健康检查", ("health", "check"))]
    assert [gloss.word for gloss in WORDS.glosses("健康健康检查")] == ["健康", "健康检查"]


def test_unknown_characters_are_told_as_such() -> None:
    assert list(WORDS.glosses("请做健康吧, ok?")) == [
        Gloss("请做", None),
        Gloss("健康", ("health",)),
        Gloss("吧", None),
    ]


def test_reading_puts_the_known_into_english_and_says_how_much_that_is() -> None:
    assert WORDS.read("plain text") == Reading("plain text", 1.0)
    assert WORDS.read("帮我 健康检查 api") == Reading("health api", 1.0)
    assert WORDS.read("请做") == Reading("", 0.0)
    half = WORDS.read("健康请")
    assert half.english == "health"
    assert half.share == 6 / (6 + 4)
    assert WORDS.read("Größe") == Reading("Größe", 1.0)
    assert WORDS.read("диск").share == 0
    assert WORDS.read("123 🧰").share == 1.0


def test_encoder_of_many_languages_reads_everything() -> None:
    assert readable("健康", ["multilingual"]) == Reading("健康", 1.0)
    assert readable("健康检查", ["en"]).share == 1.0


def test_fillers_are_words_without_english() -> None:
    assert list(WORDS.glosses("帮我")) == [Gloss("帮我", ())]


def test_shipped_glossary_is_well_formed() -> None:
    (gloss,) = load_glossary().glosses("负载均衡")
    assert gloss.english is not None
    assert gloss.english[:2] == ("load", "balancing")
    for word, english in load_glossary()._entries.items():
        assert re.fullmatch("[A-Za-z0-9\u3400-\u9fff]+", word), word
        assert all(re.fullmatch("[a-z0-9.+#/-]+", gloss) for gloss in english), word


def test_digest_is_that_of_the_file() -> None:
    text = files("skillrouter_mcp.index").joinpath("glossary.tsv").read_bytes()
    assert glossary_digest() == hashlib.sha256(text).hexdigest()
