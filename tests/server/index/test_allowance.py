from __future__ import annotations

import pytest

from skillrouter_mcp.index.allowance import Allowance


def test_what_comes_once_in_a_while_need_not_wait() -> None:
    allowance = Allowance(0.25, 2.0, now=0.0)
    for now in range(10, 100, 10):
        assert allowance.wait(float(now)) == 0
        allowance.take(2.5, float(now))


def test_what_comes_without_end_gets_its_share() -> None:
    allowance = Allowance(0.25, 2.0, now=0.0)
    now = taken = 0.0
    while now < 1_000:
        now += allowance.wait(now) + 0.5
        allowance.take(0.5, now)
        taken += 0.5
    assert taken / now == pytest.approx(0.25, abs=0.01)


def test_what_took_too_long_is_waited_for_but_not_for_ever() -> None:
    allowance = Allowance(0.25, 2.0, now=5.0)
    allowance.take(3.0, 5.0)
    assert allowance.wait(5.0) == pytest.approx(4)
    assert allowance.wait(7.0) == pytest.approx(2)
    assert allowance.wait(9.0) == 0
    allowance.take(1_000.0, 9.0)
    assert allowance.wait(9.0) == pytest.approx(8)
