from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from skillrouter_mcp.health.finding import Silence
from skillrouter_mcp.health.reachability import check_reach
from skillrouter_mcp.routing.answer import Answer
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.settings import Settings


def test_skills_are_asked_for_by_their_descriptions_until_time_is_up(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    descriptions = {
        str(write_skill("tune", "Turn the pins.\n", "Tunes a piano.")): "Tunes a piano.",
        str(write_skill("bake", "Knead the dough.\n", "Bakes bread.")): "Bakes bread.",
    }
    bring_in_step()
    with Router.open(settings, keep=False) as router:
        reach = check_reach(router, {**descriptions, "/gone/SKILL.md": "x"}, Silence(), 60)
        assert (reach.asked, reach.of, reach.missed) == (2, 2, ())
        assert check_reach(router, descriptions, Silence(), -1).asked == 0


def test_those_with_near_neighbours_are_asked_for_first(
    settings: Settings,
    write_skill: Any,
    bring_in_step: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    descriptions = {}
    for n in range(11):
        text = f"Deploys service {n} to the cloud."
        descriptions[str(write_skill(f"deploy-{n}", f"{text}\n", text))] = text
    alone = "Kneads dough for rye bread."
    descriptions = {str(write_skill("bake", f"{alone}\n", alone)): alone, **descriptions}
    bring_in_step()
    asked: list[str] = []

    def rank(query: str, _: int) -> Answer:
        asked.append(query)
        return Answer((), "none", 12, 0)

    with Router.open(settings, keep=False) as router:
        monkeypatch.setattr(router, "rank", rank)
        reach = check_reach(router, descriptions, Silence(), 60)
    assert asked[-1] == alone
    assert reach.missed == tuple(sorted(descriptions))
