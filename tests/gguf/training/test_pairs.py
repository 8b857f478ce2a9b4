from __future__ import annotations

import pytest

from training.corpus import Example, Request, Skill
from training.pairs import find_wishes, is_latin, make_examples


def _skill(description: str, body: str = "Turn it.\n", number: int = 0) -> Skill:
    return Skill(f"s{number}", f"valve-turner-{number}", description, body)


def test_a_use_when_clause_becomes_a_request_and_leaves_the_label() -> None:
    skill = _skill("Turns brass valves. Use when the user wants to stop a dripping tap.")

    wishes, _ = find_wishes(skill)

    assert [wish.text for wish in wishes] == ["stop a dripping tap"]
    assert wishes[0].label == "valve turner 0. Turns brass valves."


def test_quoted_phrases_are_requests_of_their_own() -> None:
    skill = _skill(
        'Turns brass valves. Triggers on "my tap drips all night", "close the main tap".'
    )

    wishes, _ = find_wishes(skill)

    assert [wish.text for wish in wishes] == ["my tap drips all night", "close the main tap"]


def test_a_list_of_uses_becomes_requests_and_leaves_the_body() -> None:
    body = "Intro.\n## When to use\n- The tap drips at night\n## Steps\nTurn it.\n"

    wishes, rest = find_wishes(_skill("Turns brass valves.", body))

    assert [wish.text for wish in wishes] == ["The tap drips at night"]
    assert rest == "Intro.\n## Steps\nTurn it.\n"


def test_a_description_that_is_all_clause_is_kept_as_the_label() -> None:
    assert find_wishes(_skill("Use when the user wants to stop a dripping tap."))[0] == []


def test_boilerplate_and_prohibitions_are_no_requests() -> None:
    described = "Turns valves. Use when: Auto-activating skill for valves. Use for: not for pumps."

    assert find_wishes(_skill(described))[0] == []


def test_a_request_that_many_skills_claim_is_dropped() -> None:
    claim = "Turns valve number one. Use when the water has to be stopped."
    skills = [_skill(claim, number=number) for number in range(3)]

    assert [each.natural for each in make_examples(skills, [], 0, 1)] == [[], [], []]


def test_some_skills_with_written_requests_are_held_out() -> None:
    skills = [_skill("Turns valves.", number=number) for number in range(10)]
    requests = [Request(f"r{n}", f"stop tap {n}", (f"s{n}",), "en", "short") for n in range(10)]

    examples = make_examples(skills, requests, 0.2, 1)

    assert sum(each.split == "validation" for each in examples) == 2
    assert [each.written[0].text for each in examples] == [f"stop tap {n}" for n in range(10)]


def test_skills_in_other_writing_are_left_out() -> None:
    assert is_latin("Café, naïve")
    assert not is_latin("关闭水龙头 tap")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Run it.", "Run it.", True),
        ("Run it.", "Stop it.", False),
        ("turn the brass valve by hand", "turn the brass valve by hand now", True),
        ("turn the brass valve by hand", "close the main tap before you leave", False),
    ],
)
def test_bodies_are_the_same_if_they_share_most_of_their_trigrams_or_few_words(
    one: str, other: str, same: bool
) -> None:
    first, second = (
        Example(name, name, "train", name, [f"{name}\n{body}"])
        for name, body in (("a", one), ("b", other))
    )
    assert first.has_body_of(second) == same
