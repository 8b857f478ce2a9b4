from __future__ import annotations

import pytest

from skillrouter_gguf.pace import Pace


def test_nothing_is_known_before_anything_was_read() -> None:
    assert not Pace().known


def test_a_text_takes_as_long_as_those_before() -> None:
    pace = Pace()
    pace.learn(100, 2.0)
    assert pace.known
    assert pace.expect(50) == pytest.approx(1.0)
    pace.learn(10, 0.2)
    assert pace.expect(50) == pytest.approx(1.0)


def test_what_was_read_last_counts_for_more() -> None:
    pace = Pace()
    for seconds in (1.0, 3.0):
        pace.learn(100, seconds)
    assert 2.0 < pace.expect(100) < 3.0
    for _ in range(50):
        pace.learn(100, 1.0)
    assert pace.expect(100) == pytest.approx(1.0, rel=0.01)
