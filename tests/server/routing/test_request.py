from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.routing import request as requests
from skillrouter_mcp.routing.request import Request, read_request
from skillrouter_mcp.routing.router import Router


def _read(router: Router, query: str, *languages: str) -> Request:
    return read_request(query, router.library.words, languages or ("en",))


def _terms(request: Request) -> set[str]:
    return {term for clause in request.clauses for term in clause.terms}


def test_english_becomes_its_terms_each_once(router: Router) -> None:
    request = _read(router, "Rotate the rotating logs")
    assert sorted(_terms(request)) == ["log", "rotat"]
    assert {clause.weight for clause in request.clauses} == {1.0}
    assert request.reading.english == "Rotate the rotating logs"


def test_parts_of_identifiers_are_looked_for(router: Router) -> None:
    assert {"contain", "imag"} <= _terms(_read(router, "containerImage fails"))


def test_chinese_is_put_into_english_for_an_english_encoder(router: Router) -> None:
    request = _read(router, "用 growpart 支付发票")
    assert {"growpart", "invoic"} <= _terms(request)
    assert "growpart" in request.reading.english
    assert "invoice" in request.reading.english
    assert request.reading.english.isascii()


def test_words_that_stand_together_are_looked_for_together(router: Router) -> None:
    request = _read(router, "gzip log files")
    pairs = {(pair.first, pair.second): pair.distance for pair in request.neighbours}
    assert pairs == {("gzip", "log"): 1, ("gzip", "file"): 2, ("log", "file"): 1}


def test_words_that_no_skill_holds_are_not_looked_for_together(router: Router) -> None:
    request = _read(router, "zeppelin log files")
    assert [(pair.first, pair.second) for pair in request.neighbours] == [("log", "file")]


def test_rare_words_are_looked_for_together_before_common_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = WordIndex(tmp_path / "words")
    texts = ["common thing", "common thing", "common thing rare bird"]
    words.update([Document(n, f"skill-{n}", "", text) for n, text in enumerate(texts)])

    def pairs() -> list[tuple[str, str]]:
        neighbours = read_request("common thing, rare bird", words, ["en"]).neighbours
        return [(pair.first, pair.second) for pair in neighbours]

    every = pairs()
    assert every[-1] == ("common", "thing")
    assert ("rare", "bird") in every
    monkeypatch.setattr(requests, "_MOST_LOOKED_INTO", len(every))
    assert pairs() == every[:-1]


def test_what_the_request_says_weighs_more_than_what_was_translated(router: Router) -> None:
    weights = {clause.terms[0]: clause.weight for clause in _read(router, "yeast 发票").clauses}
    assert weights["yeast"] > weights["invoic"] > weights["发票"]


def test_an_encoder_that_reads_everything_gets_the_request_as_it_is(router: Router) -> None:
    assert _read(router, "扩展磁盘", "multilingual").reading.english == "扩展磁盘"


@pytest.mark.parametrize("query", ["Как увеличить диск?", "ディスクをふやす", "디스크"])
def test_other_scripts_count_for_nothing_with_an_english_encoder(
    router: Router, query: str
) -> None:
    assert _read(router, query).reading.share == 0


def test_half_readable_request_counts_by_what_can_be_read(router: Router) -> None:
    mixed = _read(router, "resize the disk Как увеличить").reading.share
    assert 0 < mixed < _read(router, "resize the disk 扩展").reading.share <= 1


def test_accents_are_readable(router: Router) -> None:
    assert _read(router, "Größe der Platte ändern").reading.english == "Größe der Platte ändern"


def test_long_request_keeps_what_tells_most(router: Router) -> None:
    filler = " ".join(f"filler{n}" for n in range(60))
    request = _read(router, f"{filler} {'service ' * 2000} and bread {filler} dough")
    assert len(request.clauses) <= 32


@pytest.mark.parametrize("query", ["", "   ", "?!", "\x00", "的", "🧰"])
def test_request_that_says_nothing_has_no_terms(router: Router, query: str) -> None:
    request = _read(router, query)
    assert not request.clauses or request.mass > 0
    assert request.mass >= 0


def test_term_that_no_skill_holds_is_still_missed(router: Router) -> None:
    known, unknown = _read(router, "bread"), _read(router, "bread zeppelin")
    assert unknown.clauses == known.clauses
    assert unknown.mass > known.mass


def test_mass_is_what_a_perfect_text_would_be_worth(router: Router) -> None:
    idf = router.library.words.idf
    assert _read(router, "bread dough").mass == pytest.approx(idf("bread") + idf("dough"))


def test_a_short_request_is_embedded_as_it_is(router: Router) -> None:
    assert _read(router, "How do I resize the disk?").gist == "How do I resize the disk?"


def test_of_a_longer_request_each_word_that_says_something_is_embedded_once(router: Router) -> None:
    assert _read(router, "and then of the disk " * 500 + "resize").gist == "disk resize"


def test_of_a_long_request_the_words_that_tell_most_are_embedded(tmp_path: Path) -> None:
    words = WordIndex(tmp_path / "words")
    common = [f"common{n}" for n in range(40)]
    texts = [" ".join(common), " ".join([*common, "yeast"]), "other"]
    words.update([Document(n, f"skill-{n}", "", text) for n, text in enumerate(texts)])
    unknown = [f"unknown{n}" for n in range(40)]
    gist = read_request(" ".join([*common, *unknown, "yeast"]), words, ["en"]).gist.split()
    assert gist == [*common[:27], "yeast"]
    gist = read_request(" ".join([*unknown, *common, "yeast"]), words, ["en"]).gist.split()
    assert gist == [*unknown[:27], "yeast"]


def test_of_few_words_most_are_embedded(tmp_path: Path) -> None:
    words = WordIndex(tmp_path / "words")
    said = [f"word{n}" for n in range(16)]
    words.update([Document(n, f"skill-{n}", "", " ".join(said[:n])) for n in range(1, 17)])
    assert read_request(" ".join(said[:12]), words, ["en"]).gist.split() == said[:12]
    assert read_request(" ".join(said), words, ["en"]).gist.split() == said[4:]


def test_chinese_among_many_words_is_embedded_too(router: Router) -> None:
    chinese = "请帮我把这个压缩的日志文件定期删除一下谢谢"
    query = f"please run all of the tests with npm and then {chinese} now"
    assert chinese in _read(router, query, "multilingual").gist.split()


def test_of_a_word_without_end_the_beginning_is_embedded(router: Router) -> None:
    gist = _read(router, f"decode this for me and tell what it says: {'x.' * 5_000}").gist
    assert gist.startswith("decode")
    assert len(gist) < 300


def test_of_a_long_request_without_such_words_all_is_embedded(router: Router) -> None:
    assert _read(router, "the of and " * 10).gist.startswith("the of and")


def test_an_encoder_that_was_trained_with_whole_requests_is_given_its_part(router: Router) -> None:
    words = router.library.words
    query = "and then of the disk " * 500
    assert read_request(query, words, ("en",), 2_000).gist == query[:2_000]
    assert read_request("resize", words, ("en",), 2_000).gist == "resize"
