from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing import recent_answers
from skillrouter_mcp.routing.answer import Answer
from skillrouter_mcp.routing.ranking import Ranker
from skillrouter_mcp.routing.recent_answers import RecentAnswers
from skillrouter_mcp.routing.router import Router

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.routing.conftest import RouterMaker

NOW, LATER = object(), object()
ANSWER = Answer((), "none", 3, 0)


@pytest.fixture
def answers() -> RecentAnswers:
    answers = RecentAnswers()
    answers.put("bread", 5, NOW, ANSWER)
    return answers


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that were not answered from memory."""
    asked: list[str] = []
    rank = Ranker.rank

    def watched(ranker: Ranker, query: str, *rest: Any) -> Any:
        asked.append(query)
        return rank(ranker, query, *rest)

    monkeypatch.setattr(Ranker, "rank", watched)
    return asked


def test_what_was_answered_is_known(answers: RecentAnswers) -> None:
    assert answers.get("bread", 5, NOW) is ANSWER


def test_another_request_or_limit_is_not(answers: RecentAnswers) -> None:
    assert answers.get("Bread", 5, NOW) is None
    assert answers.get("bread", 6, NOW) is None


def test_when_the_index_has_changed_nothing_is_known(answers: RecentAnswers) -> None:
    assert answers.get("bread", 5, LATER) is None
    assert answers.get("bread", 5, NOW) is None


def test_those_asked_for_longest_ago_are_forgotten(
    answers: RecentAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_answers, "_MOST", 2)
    answers.put("cake", 5, NOW, ANSWER)
    assert answers.get("bread", 5, NOW)
    answers.put("rolls", 5, NOW, ANSWER)
    assert answers.get("bread", 5, NOW)
    assert answers.get("cake", 5, NOW) is None


def test_very_long_requests_are_not_remembered(answers: RecentAnswers) -> None:
    answers.put("x" * 5_000, 5, NOW, ANSWER)
    assert answers.get("x" * 5_000, 5, NOW) is None


def test_a_repeated_request_is_answered_from_memory(
    open_profile: RouterMaker, ranked: list[str]
) -> None:
    with open_profile("judged") as router:
        first = router.rank("bake bread", 3)
        assert router.rank("bake bread", 3) is first
        router.find("bake bread", 3)
        assert ranked == ["bake bread"]
        router.rank("bake bread", 4)
        router.rank("bake bread", 3, router.library.roots)
        assert len(ranked) == 3


def test_a_change_of_the_skills_is_seen(
    open_profile: RouterMaker, root: Path, write_skill: Any, ranked: list[str]
) -> None:
    write_skill("bake-bread", "Flour and yeast.")
    with open_profile("embedded", roots=(root,)) as router:
        router.rank("bake with yeast", 5)
        write_skill("bake-cake", "Butter, sugar and yeast.")
        router.bring_in_step()
        assert len(router.rank("bake with yeast", 5).matches) == 2
        assert len(ranked) == 2


def test_while_skills_are_pending_every_request_is_worked_on(
    tmp_path: Path, root: Path, write_skill: Any, ranked: list[str]
) -> None:
    from skillrouter_mcp.settings import load_settings

    write_skill("bake-bread", "Flour and yeast.")
    with Router.open(load_settings(home=tmp_path, roots=(root,), threads=1), keep=False) as router:
        with router.library.writing():
            router.library.scan()
        for _ in range(2):
            assert router.rank("yeast", 5).pending == 1
    assert len(ranked) == 2


def test_an_answer_without_the_reranker_that_failed_is_not_kept(
    open_profile: RouterMaker, ranked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from skillrouter_gguf import EngineError, Reranker

    def fail(*_: object, **__: object) -> Floats:
        raise EngineError("out of order.")

    monkeypatch.setattr(Reranker, "score", fail)
    with open_profile("judged") as router:
        for _ in range(2):
            router.rank("bake bread", 3)
    assert len(ranked) == 2
