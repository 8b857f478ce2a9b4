from __future__ import annotations

import pytest

from skillrouter_mcp.evaluation.metrics import MEASURES, mean, measure


def test_a_perfect_ranking_scores_one_everywhere() -> None:
    assert measure(["a", "b", "c"], {"a", "b"}) == dict.fromkeys(MEASURES, 1.0)


def test_nothing_found_scores_zero_everywhere() -> None:
    assert measure(["x", "y"], {"a"}) == dict.fromkeys(MEASURES, 0.0)
    assert measure([], {"a"}) == dict.fromkeys(MEASURES, 0.0)


def test_second_place_counts_half_and_is_discounted() -> None:
    scores = measure(["x", "a"], {"a"})
    assert scores["hit@1"] == 0
    assert scores["mrr@10"] == 0.5
    assert scores["ndcg@10"] == pytest.approx(0.6309, abs=1e-4)


def test_depths_are_kept_apart() -> None:
    ranking = [f"x{n}" for n in range(10)] + ["a"] + [f"y{n}" for n in range(30)] + ["b"]
    scores = measure(ranking, {"a", "b"})
    assert scores["mrr@10"] == 0
    assert [scores[f"recall@{k}"] for k in (10, 20, 50)] == [0, 0.5, 1]


def test_full_coverage_wants_all_of_them() -> None:
    assert measure(["a", "x"], {"a", "b"})["full_coverage@10"] == 0
    assert measure(["a", "x", "b"], {"a", "b"})["full_coverage@10"] == 1


def test_mean_over_requests() -> None:
    rows = [measure(["a"], {"a"}), measure(["x"], {"a"})]
    assert mean(rows) == dict.fromkeys(MEASURES, 0.5)
    assert mean([]) == dict.fromkeys(MEASURES, 0.0)
