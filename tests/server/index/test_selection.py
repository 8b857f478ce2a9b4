from __future__ import annotations

import numpy as np
import pytest

from skillrouter_mcp.index.selection import Selection


@pytest.mark.parametrize(
    ("selected", "asked", "held"),
    [
        ([2, 5, 9], [9, 1, 5, 12], [True, False, True, False]),
        ([], [1, 2], [False, False]),
        ([3], [], []),
    ],
)
def test_selection_tells_what_it_holds(
    selected: list[int], asked: list[int], held: list[bool]
) -> None:
    assert Selection(np.array(selected, np.int64), 20).holds(asked).tolist() == held


@pytest.mark.parametrize(("selected", "of", "one_in"), [(5, 20, 4.0), (20, 20, 1.0), (5, 2, 1.0)])
def test_rarity_is_told_of_the_whole_index(selected: int, of: int, one_in: float) -> None:
    assert Selection(np.arange(selected), of).one_in == one_in
