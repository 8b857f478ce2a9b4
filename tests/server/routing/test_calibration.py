from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrouter_mcp.routing.fusion import load_weights

WEIGHTS = load_weights()

sums = st.lists(st.floats(-5, 40, width=32), min_size=1, max_size=30).map(
    lambda values: sorted(values, reverse=True)
)
sizes = st.integers(1, 1_000_000)


def _scores(sums: Sequence[float], size: int = 1000, floor: float = 3.0) -> list[float]:
    """Of sums of which the encoder contributes as much as anything has in common with a request."""
    found = WEIGHTS.calibration.scores(np.array(sums, np.float32), floor, floor, size)
    scores: list[float] = found.tolist()
    return scores


@given(sums, sizes)
def test_scores_fall_from_rank_to_rank_between_0_and_1(sums: list[float], size: int) -> None:
    scores = _scores(sums, size)
    assert len(scores) == len(sums)
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)


def test_best_that_stands_out_scores_higher() -> None:
    assert _scores([15, 5])[0] > _scores([15, 14])[0]


def test_what_stands_behind_scores_lower() -> None:
    assert _scores([15, 12])[1] < _scores([12, 12])[1]


def test_lone_candidate_is_judged_beside_one_that_has_nothing_to_do_with_the_request() -> None:
    assert _scores([15], floor=3)[0] == pytest.approx(_scores([15, 3], floor=3)[0])
    assert _scores([15])[0] > _scores([4])[0]


def test_no_candidate_has_no_score() -> None:
    assert _scores([]) == []


def test_libraries_smaller_than_any_seen_are_judged_like_the_smallest() -> None:
    smallest = WEIGHTS.calibration.smallest_size
    assert _scores([15, 9], 1) == _scores([15, 9], smallest)
    assert _scores([15, 9], smallest)[0] <= _scores([15, 9], 30 * smallest)[0]
