from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrouter_mcp.routing.fusion import load_weights
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, Candidates

WORDS, DENSE = slice(len(LEXICAL)), slice(len(LEXICAL), None)
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


def _candidates(
    rows: Sequence[Sequence[float]], embedded: Sequence[bool], readable: float = 1.0
) -> Candidates:
    return Candidates(
        np.arange(len(rows)),
        np.array(rows, np.float32).reshape(len(rows), len(SIGNALS)),
        np.array(embedded, np.bool_),
        readable,
    )


def _row(words: float, dense: float) -> list[float]:
    return [words] * len(LEXICAL) + [dense] * (len(SIGNALS) - len(LEXICAL))


def test_shipped_weights_are_whole_and_say_where_they_came_from() -> None:
    assert set(WEIGHTS.weights) == set(SIGNALS)
    assert set(WEIGHTS.typical) == set(SIGNALS[DENSE])
    assert 0 < WEIGHTS.verdict.weak < WEIGHTS.verdict.match < 1
    assert WEIGHTS.provenance.startswith("python -m ")


def test_each_signal_contributes_by_its_weight() -> None:
    parts = WEIGHTS.parts(_candidates([_row(0.5, 0.5), _row(0.0, 0.0)], [True, True]))
    assert parts[0] == pytest.approx([WEIGHTS.weights[name] / 2 for name in SIGNALS])
    assert not parts[1].any()


def test_document_without_vectors_is_neither_favoured_nor_punished() -> None:
    rows = [_row(0.3, 0.2), _row(0.3, 0.6), _row(0.3, 0.0)]
    parts = WEIGHTS.parts(_candidates(rows, [True, True, False]))
    assert parts[2] == pytest.approx(parts[:2].mean(axis=0))


def test_documents_without_vectors_stand_by_their_words() -> None:
    rows = [_row(0.1, 0.4), _row(0.2, 0.0), _row(0.3, 0.0)]
    totals = WEIGHTS.parts(_candidates(rows, [True, False, False])).sum(axis=1)
    assert totals[0] < totals[1] < totals[2]


def test_where_nothing_is_embedded_all_are_as_near_as_usual() -> None:
    rows = [_row(0.1, 0.0), _row(0.3, 0.0)]
    parts = WEIGHTS.parts(_candidates(rows, [False, False]))
    assert parts[0, DENSE].tolist() == parts[1, DENSE].tolist()
    assert parts[0, DENSE].sum() == pytest.approx(WEIGHTS.floor)
    assert (parts[0, WORDS] <= parts[1, WORDS]).all()


def test_where_nothing_is_embedded_nor_readable_words_are_all() -> None:
    parts = WEIGHTS.parts(_candidates([_row(0.1, 0.0)], [False], readable=0.0))
    assert not parts[:, DENSE].any()


def test_signals_stay_as_they_were() -> None:
    candidates = _candidates([_row(0.3, 0.2), _row(0.3, 0.0)], [True, False])
    before = candidates.signals.copy()
    WEIGHTS.parts(candidates)
    assert (candidates.signals == before).all()


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
