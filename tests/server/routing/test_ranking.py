from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skillrouter_gguf import Encoder, load_catalogue
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.routing.calibration import Thresholds
from skillrouter_mcp.routing.fusion import load_weights
from skillrouter_mcp.routing.ranking import Ranker, Ranking, request_for
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS
from skillrouter_mcp.settings import load_settings

QUERY = "compress the old log files"


def _rank(router: Router, query: str = QUERY, limit: int = 50, **verdict: float) -> Ranking:
    weights = load_weights()
    if verdict:
        weights = weights.model_copy(update={"verdict": Thresholds(**verdict)})
    library = router.library
    return Ranker(weights).rank(query, library.snapshot, library.words, router.encoder(), limit)


def test_scores_and_sums_fall_from_rank_to_rank(router: Router) -> None:
    ranked = _rank(router).ranked
    scores = [document.score for document in ranked]
    sums = [sum(document.parts.values()) for document in ranked]
    assert len(ranked) > 2
    assert scores == sorted(scores, reverse=True)
    assert sums == sorted(sums, reverse=True)
    assert all(list(document.parts) == list(SIGNALS) for document in ranked)


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_limit_cuts_and_changes_nothing_else(router: Router, limit: int) -> None:
    assert _rank(router, limit=limit).ranked == _rank(router).ranked[:limit]
    assert _rank(router, limit=limit).verdict == _rank(router).verdict


def test_ties_are_broken_by_the_document(tmp_path: Path, root: Path, write_skill: Any) -> None:
    for n in range(1, 4):  # three documents that say the same
        write_skill("rotate-logs", body=f"Compress{' ' * n}old log files with gzip.", at=f"s{n}")
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with Router.open(settings, keep=False) as router:
        with router.library.writing():
            router.library.scan()  # and nothing embedded: cosines may differ in their last digit
        ranked = _rank(router).ranked
    assert len({tuple(document.parts.values()) for document in ranked}) == 1
    ids = [document.document_id for document in ranked]
    assert len(ids) == 3
    assert ids == sorted(ids)


def test_candidates_without_vectors_are_told_best_first(router: Router) -> None:
    assert _rank(router).unembedded == ()
    library = router.library
    bare = replace(library.snapshot, mirror=Mirror.empty(384))
    ranking = Ranker().rank(QUERY, bare, library.words, router.encoder(), 1)
    assert len(ranking.unembedded) > len(ranking.ranked) == 1
    assert ranking.unembedded[0] == ranking.ranked[0].document_id


def test_verdict_is_that_of_the_best_score(router: Router) -> None:
    best = _rank(router).ranked[0].score
    above = math.nextafter(best, 2)
    assert _rank(router, match=best, weak=0.0).verdict == "match"
    assert _rank(router, match=above, weak=best).verdict == "weak"
    assert _rank(router, match=1.1, weak=above).verdict == "none"


def test_nothing_to_rank_is_no_match(router: Router) -> None:
    library = router.library
    nothing = replace(library.snapshot, visible=np.zeros(0, np.int64))
    ranking = Ranker().rank(QUERY, nothing, library.words, router.encoder(), 5)
    assert ranking == Ranking((), "none")


@pytest.mark.parametrize("query", ["", "的", "Как увеличить диск?"])
def test_encoder_says_nothing_of_what_it_cannot_read(router: Router, query: str) -> None:
    for document in _rank(router, query).ranked:
        assert not any(document.parts[name] for name in SIGNALS[len(LEXICAL) :])


def test_encoder_is_not_asked_about_nothing(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def encode_queries(_: Encoder, texts: Sequence[str]) -> list[np.ndarray[Any, Any]]:
        asked.extend(texts)
        return [np.eye(384, dtype=np.float32)[0]]

    monkeypatch.setattr(Encoder, "encode_queries", encode_queries)
    _rank(router, "的")
    assert asked == []
    _rank(router, "yeast")
    assert asked == ["yeast"]


@pytest.mark.parametrize(
    ("changes", "characters"),
    [
        ({"pooling": "last"}, 2_000),
        ({"pooling": "last", "query_characters": 900}, 900),
        ({"query_characters": 900}, 900),
    ],
)
def test_models_that_read_whole_requests_get_them(
    router: Router, changes: dict[str, Any], characters: int
) -> None:
    query = "of the disk and then " * 500
    model = load_catalogue().model("skillrouter-minilm-l6")
    assert len(request_for(model, query, router.library.words).gist) < 500
    whole = request_for(model.model_copy(update=changes), query, router.library.words)
    assert whole.gist == query[:characters]
