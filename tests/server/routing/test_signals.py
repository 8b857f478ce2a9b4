from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skillrouter_gguf import Encoder
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.index.passages import LABEL, WINDOW
from skillrouter_mcp.index.snapshot import Snapshot
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import SECTION, TEXT, WordIndex
from skillrouter_mcp.routing import signals
from skillrouter_mcp.routing.request import read_request
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, Candidates, gather
from skillrouter_mcp.settings import load_settings

DENSE = slice(len(LEXICAL), None)


def _gather(
    router: Router, query: str, snapshot: Snapshot | None = None, *, vector: bool = True
) -> Candidates:
    words = router.library.words
    request = read_request(query, words, ("en",))
    query_vector = router.encoder().encode_queries([query])[0] if vector else None
    return gather(request, query_vector, snapshot or router.library.snapshot, words)


def _signal(candidates: Candidates, name: str) -> list[float]:
    column: list[float] = candidates.signals[:, SIGNALS.index(name)].tolist()
    return column


def _without_last(mirror: Mirror) -> Mirror:
    return Mirror(
        mirror.document_ids[:-1],
        mirror.labels[:-1],
        mirror.windows[: mirror.starts[-2]],
        mirror.starts[:-1],
    )


def test_candidates_come_once_in_order_with_a_number_per_signal(router: Router) -> None:
    candidates = _gather(router, "extend the partition and bake bread over night")
    ids = candidates.document_ids.tolist()
    assert ids == sorted(set(ids))
    assert candidates.signals.shape == (len(ids), len(SIGNALS))
    assert candidates.embedded.all()
    assert candidates.readable == 1


def test_only_what_is_visible_is_a_candidate(router: Router) -> None:
    whole = router.library.snapshot
    some = replace(whole, visible=whole.visible[2:4])
    query = "flour, gzip, growpart, IBAN, diff and Kubernetes"
    assert set(_gather(router, query, some).document_ids) <= set(whole.visible[2:4])
    assert len(_gather(router, query, some).document_ids) == 2


def test_a_few_skills_of_a_large_index_are_ranked_as_if_they_were_all(
    tmp_path: Path, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that fit better may fill every signal's best; those that are visible count."""
    whole = router.library.snapshot
    words = WordIndex(tmp_path / "words")
    words.update(router.library.store.documents(whole.visible.tolist()))
    request = read_request("compress the log files with gzip", words, ("en",))
    alone = gather(request, None, whole, words)
    assert len(alone.document_ids) > 1
    first = 1 + int(whole.visible[-1])
    text = "compress log files with gzip " * 9
    words.update([Document(first + n, f"other-{n}", "", text) for n in range(40)])
    for depth in (3, 300):
        monkeypatch.setattr(signals, "_DEPTH", depth)
        beside_others = gather(request, None, whole, words)
        assert beside_others.document_ids.tolist() == alone.document_ids.tolist()
        assert ((beside_others.signals > 0) == (alone.signals > 0)).all()


def test_a_whole_text_stands_for_sections_that_are_still_to_come(
    tmp_path: Path, router: Router
) -> None:
    snapshot = router.library.snapshot
    documents = router.library.store.documents(snapshot.visible.tolist())
    request = read_request("compress the log files with gzip", router.library.words, ("en",))
    (wanted,) = (each for each in documents if "gzip" in each.body)
    words = WordIndex(tmp_path / "words")
    words.update([each for each in documents if each is not wanted])
    words.update_whole_texts([wanted])
    partly = gather(request, None, snapshot, words)
    place = partly.document_ids.tolist().index(wanted.id)
    assert _signal(partly, SECTION)[place] == _signal(partly, TEXT)[place] > 0
    assert np.argmax(_signal(partly, SECTION)) == place
    words.update([wanted])
    assert _signal(gather(request, None, snapshot, words), SECTION)[place] > 0
    assert words.without_sections == frozenset()


def test_what_shares_no_word_with_the_request_is_found_by_its_meaning(router: Router) -> None:
    candidates = _gather(router, "sourdough loaf")
    assert not candidates.signals[:, : len(LEXICAL)].any()
    (best,) = router.library.locate(
        [int(candidates.document_ids[np.argmax(_signal(candidates, WINDOW))])]
    ).values()
    assert best.name == "bake-bread"


def test_shared_words_count_as_a_share_of_what_was_asked(router: Router) -> None:
    found = _gather(router, "flour water salt yeast dough").signals[:, : len(LEXICAL)]
    half = _gather(router, "flour water salt zeppelin gondola").signals[:, : len(LEXICAL)]
    assert found.max() > half.max() > 0


def test_that_all_of_a_short_request_is_found_says_less(router: Router) -> None:
    short = _gather(router, "yeast").signals[:, : len(LEXICAL)]
    long = _gather(router, "yeast flour water salt dough night").signals[:, : len(LEXICAL)]
    assert 0 < short.max() < long.max()


def test_documents_without_vectors_are_found_by_their_words(router: Router) -> None:
    whole = router.library.snapshot
    part = replace(whole, mirror=_without_last(whole.mirror))
    last = int(whole.mirror.document_ids[-1])
    candidates = _gather(router, "growpart gzip yeast 整理差旅发票并提交报销申请", part)
    row = candidates.document_ids.tolist().index(last)
    assert candidates.embedded.tolist() == [i != last for i in candidates.document_ids.tolist()]
    assert candidates.signals[row, : len(LEXICAL)].any()
    assert not candidates.signals[row, DENSE].any()


def test_where_nothing_is_embedded_words_are_left(router: Router) -> None:
    bare = replace(router.library.snapshot, mirror=Mirror.empty(384))
    candidates = _gather(router, "yeast and flour", bare)
    assert len(candidates.document_ids) == 1
    assert not candidates.embedded.any()
    assert not candidates.signals[:, DENSE].any()


@pytest.mark.parametrize("query", ["Как увеличить диск с growpart?", "ディスクをふやす growpart"])
def test_what_cannot_be_read_takes_the_encoders_say_away(router: Router, query: str) -> None:
    mixed = _gather(router, query)
    assert 0 < mixed.readable < _gather(router, "growpart").readable
    assert np.abs(mixed.signals[:, DENSE]).max() <= mixed.readable
    assert mixed.signals[:, : len(LEXICAL)].any()


def test_unreadable_request_takes_nothing_from_the_encoder(router: Router) -> None:
    candidates = _gather(router, "Как увеличить диск?")
    assert candidates.readable == 0
    assert not candidates.signals[:, DENSE].any()


def test_request_that_the_encoder_was_not_asked_is_decided_by_words(router: Router) -> None:
    candidates = _gather(router, "yeast and flour", vector=False)
    assert candidates.readable == 0
    assert not candidates.signals[:, DENSE].any()
    assert candidates.signals.any()


def test_long_bodies_count_beyond_their_first_page(
    tmp_path: Path, root: Path, write_skill: Any, encoder: Encoder
) -> None:
    page = "Ask who is on duty this week, and note the date and the number of the ticket.\n\n"
    end = "Mix flour, water, salt and yeast; let the dough rise; bake the bread in a hot oven.\n"
    write_skill("first", body=f"# Start\n\n{page * 100}")
    write_skill("second", body=f"# Start\n\n{page * 100}# Last\n\n{end * 4}")
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
        candidates = _gather(router, "sourdough loaf")
        by_id = dict(zip(candidates.document_ids.tolist(), candidates.signals, strict=True))
        places = router.library.locate(list(by_id))
    rows = {places[i].name: dict(zip(SIGNALS, row, strict=True)) for i, row in by_id.items()}
    assert rows["second"][WINDOW] > rows["first"][WINDOW] + 0.2
    assert abs(rows["second"][LABEL] - rows["first"][LABEL]) < 0.2
