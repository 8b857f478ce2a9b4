from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from skillrouter_mcp.health import side_by_side
from skillrouter_mcp.health.finding import Silence
from skillrouter_mcp.health.reachability import Reach, check_reach, requests_of
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.mirror import Mirror
from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import Settings

ALIKE = "Helps with tasks."


def _write(
    write_skill: Any, descriptions: dict[str, str], body: str = "Do it.\n"
) -> dict[str, str]:
    """Descriptions by path of skills whose bodies repeat their names."""
    return {
        str(write_skill(name, f"# {name}\n{body}", description)): description
        for name, description in descriptions.items()
    }


def _reach(settings: Settings, descriptions: dict[str, str], seconds: float = 60) -> Reach:
    with Router.open(settings, keep=False) as router:
        return check_reach(router, descriptions, Silence(), seconds)


@pytest.fixture
def no_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets every request find nothing."""
    monkeypatch.setattr(Router, "rank", lambda *_: Answer((), "none", 12, 0))


@pytest.mark.usefixtures("no_requests")
def test_skills_that_stand_out_are_not_asked_for(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    described = _write(write_skill, {"tune": "Tunes a piano.", "bake": "Bakes bread."})
    bring_in_step()
    reach = _reach(settings, {**described, "/not/in/the/index/SKILL.md": "x"})
    assert reach == Reach(of=2, clear=2, asked=0, missed=())


def test_processes_come_to_the_same(
    settings: Settings,
    write_skill: Any,
    bring_in_step: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    described = _write(write_skill, {f"s{n}": f"{ALIKE} Number {n}" for n in range(12)})
    bring_in_step()
    here = _reach(settings, described)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 2)
    monkeypatch.setattr(side_by_side, "_WORTH_IT", 1)
    assert _reach(settings, described) == here


def test_skills_that_all_say_the_same_are_asked_for_and_some_missed(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    described = _write(write_skill, {f"helper-{n}": ALIKE for n in range(14)})
    bring_in_step()
    reach = _reach(settings, described)
    assert reach.clear == 0
    assert reach.asked == 14
    assert len(reach.missed) == 4  # ten are among the first ten
    assert set(reach.missed) < described.keys()


def test_copies_count_once_and_either_will_do(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    described = _write(write_skill, {"bake": ALIKE})
    copy = str(write_skill("bake", "# bake\nDo it.\n", ALIKE, at="copies/bake"))
    bring_in_step()
    assert _reach(settings, {**described, copy: ALIKE}).of == 1


@pytest.mark.usefixtures("no_requests")
def test_skills_without_vectors_are_asked_for(
    settings: Settings,
    write_skill: Any,
    bring_in_step: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    described = _write(write_skill, {"bake": "Bakes bread."})
    bring_in_step()
    with Router.open(settings, keep=False) as router:
        bare = replace(router.library.snapshot, mirror=Mirror.empty(384))
        monkeypatch.setattr(Library, "snapshot", bare)
        reach = check_reach(router, described, Silence(), 60)
    assert reach == Reach(of=1, clear=0, asked=1, missed=tuple(described))


def test_one_sentence_that_finds_a_skill_is_enough(
    settings: Settings,
    write_skill: Any,
    bring_in_step: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = "Helps with tasks. Kneads a rye dough."
    described = _write(write_skill, dict.fromkeys((f"helper-{n}" for n in range(12)), whole))
    bring_in_step()
    found = tuple(Match("x", path, 0.9, {}) for path in described)

    def rank(_: Router, query: str, __: int) -> Answer:
        return Answer(found if query == "Kneads a rye dough" else (), "match", 12, 0)

    monkeypatch.setattr(Router, "rank", rank)
    assert _reach(settings, described) == Reach(of=12, clear=0, asked=12, missed=())


def test_when_time_is_up_nothing_is_said_of_the_others(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    described = _write(write_skill, {"tune": "Tunes a piano.", "bake": "Bakes bread."})
    bring_in_step()
    assert _reach(settings, described, seconds=-1) == Reach(of=2, clear=0, asked=0, missed=())


def test_a_description_is_looked_for_whole_and_by_its_sentences() -> None:
    text = "Bakes rye bread. Use when a dough does not rise! 用于烘焙黑麦面包和小麦面包。Rye."
    assert list(requests_of(text)) == [
        text,
        "Bakes rye bread",
        "Use when a dough does not rise",
        "用于烘焙黑麦面包和小麦面包",
    ]
    assert list(requests_of("Bakes rye bread")) == ["Bakes rye bread"]
