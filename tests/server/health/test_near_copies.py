from __future__ import annotations

import numpy as np
import pytest

from skillrouter_mcp.health.near_copies import Shingler, jaccard, near_copies, skill_vectors
from skillrouter_mcp.index.mirror import Floats, Mirror

LONG = " ".join(f"step{n}" for n in range(100))


def _groups(bodies: list[str], vectors: Floats | None = None) -> list[tuple[int, ...]]:
    shingler = Shingler()
    trigrams = [shingler.trigrams(body) for body in bodies]
    names = [f"s{n}" for n in range(len(bodies))]
    return [group.members for group in near_copies(names, trigrams, vectors)]


def test_trigrams_are_three_words_in_a_row_whatever_their_case_and_marks() -> None:
    shingler = Shingler()
    one = shingler.trigrams("Open the file. Open the file!")
    assert len(one) == 3
    assert one.tolist() == shingler.trigrams("open THE file, open the *file*").tolist()
    assert jaccard(one, shingler.trigrams("open the file open the")) == 1
    assert not len(shingler.trigrams("two words"))


def test_writing_without_spaces_counts_by_character() -> None:
    assert len(Shingler().trigrams("打开文件")) == 2


def test_jaccard_is_the_share_of_what_both_have() -> None:
    shingler = Shingler()
    one, other = shingler.trigrams("a b c d e f"), shingler.trigrams("a b c d e g")
    assert jaccard(one, other) == pytest.approx(3 / 5)


def test_bodies_are_grouped_over_the_threshold_alone() -> None:
    words = LONG.split()
    near = " ".join([*words[:80], *(f"other{n}" for n in range(20))])  # 78 of 118 trigrams
    far = " ".join([*words[:60], *(f"else{n}" for n in range(40))])  # 58 of 138
    assert _groups([LONG, near, far, "something else in few words"]) == [(0, 1)]


def test_chains_are_one_group() -> None:
    words = [f"w{n}" for n in range(140)]
    bodies = [" ".join(words[start : start + 100]) for start in (0, 20, 40)]
    assert _groups(bodies) == [(0, 1, 2)]


def test_a_large_family_is_one_group() -> None:
    family = [f"{LONG} for product{n}" for n in range(300)]
    others = [" ".join(f"x{n}y{m}" for m in range(50)) for n in range(50)]
    assert _groups([*family, *others]) == [tuple(range(300))]


def test_vectors_group_what_words_do_not() -> None:
    angle = np.arccos([1.0, 0.93, 0.91])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    bodies = ["one says it so", "the other says it thus", "and this is different"]
    assert _groups(bodies, vectors[[0, 1]][:, :]) == [(0, 1)]
    assert _groups(bodies, vectors[[0, 2]]) == []


def test_a_skill_without_a_vector_is_near_to_none() -> None:
    assert _groups(["a b c d", "e f g h"], np.zeros((2, 2), np.float32)) == []


def test_a_group_tells_how_near_its_members_are() -> None:
    shingler = Shingler()
    (group,) = near_copies(
        ["same", "same"],
        [shingler.trigrams(LONG), shingler.trigrams(LONG)],
        np.array([[1, 0], [0.6, 0.8]], np.float32),
    )
    assert (group.same_name, group.jaccard, group.cosine) == (True, 1.0, 0.0)


def test_names_alone_make_no_group() -> None:
    shingler = Shingler()
    assert (
        near_copies(["a", "a"], [shingler.trigrams("b c d"), shingler.trigrams("e f g")], None)
        == []
    )


def test_the_vector_of_a_skill_is_the_mean_of_its_label_and_windows() -> None:
    mirror = Mirror(
        np.array([4, 9]),
        np.array([[1, 0], [0, 1]], np.float32),
        np.array([[0, 100]], np.int8),
        np.array([0, 1, 1]),
    )
    assert skill_vectors(mirror).tolist() == [pytest.approx([0.5**0.5] * 2), [0, 1]]
