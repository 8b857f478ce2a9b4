from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillrouter_gguf import EngineError, Reranker
from skillrouter_mcp.index.analysis import CJK
from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.routing import rerank
from skillrouter_mcp.routing.fusion import Blend, load_weights
from skillrouter_mcp.routing.rerank import RERANKER, Reading, blended
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import SIGNALS

if TYPE_CHECKING:
    from tests.server.routing.conftest import RouterMaker

QUERY = "compress the old log files"
VAGUE = "help me with my work"
NAN = float("nan")
LONG = 3_600_000  # milliseconds
BLEND = Blend(
    weight=2.0,
    usual=-1.0,
    calibration=load_weights().calibration,
    verdict=load_weights().verdict,
)


def _blended(
    sums: list[float], log_odds: list[float], blend: Blend | None = None, readable: float = 1.0
) -> rerank.Blended:
    reading = Reading(np.array(log_odds, np.float32), readable)
    return blended(np.array(sums, np.float32), reading, blend)


class _Judge:
    """Keeps what the rerankers are shown, and says what the test wants of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *scores: float) -> None:
        self.query = ""
        self.documents: list[str] = []
        self._scores = scores
        monkeypatch.setattr(Reranker, "score", lambda _, *shown, **__: self._score(*shown))

    def _score(self, query: str, documents: list[str]) -> Floats:
        self.query, self.documents = query, documents
        return np.array((*self._scores, *[0.0] * len(documents))[: len(documents)], np.float32)


class TestBlend:
    def test_a_fitted_one_adds_log_odds_by_their_weight(self) -> None:
        mixed = _blended([5, 4, 3], [-1, 0, NAN], BLEND)
        assert mixed.order.tolist() == [1, 0, 2]
        assert mixed.sums.tolist() == [6, 5, 3]
        assert mixed.said.tolist() == [2, 0, 0]

    def test_without_one_it_counts_for_somewhat_less_than_the_first_stage(self) -> None:
        assert _blended([6, 4, 2], [3, 2, 1]).order.tolist() == [0, 1, 2]
        opposed = _blended([6, 4, 2], [1, 2, 3])
        assert opposed.order.tolist() == [0, 1, 2]
        assert 0 < np.ptp(opposed.sums) < 2
        assert opposed.said.sum() == pytest.approx(0, abs=1e-4)
        assert _blended([6, 5.5, 2], [1, 9, 1]).order.tolist() == [1, 0, 2]

    @pytest.mark.parametrize("scale", [10.0, 100.0])
    def test_without_one_the_reranker_s_scale_does_not_matter(self, scale: float) -> None:
        log_odds = [-1.0, 3.0, 2.0]
        expected = _blended([6, 4, 3], log_odds)
        found = _blended([6, 4, 3], [scale * value + scale for value in log_odds])
        assert found.sums == pytest.approx(expected.sums, abs=1e-4)

    def test_without_one_small_differences_say_little(self) -> None:
        mixed = _blended([6, 4, 2], [0.0, 0.001, 0.002])
        assert mixed.order.tolist() == [0, 1, 2]
        assert np.abs(mixed.said).max() < 0.01

    def test_those_not_read_keep_their_place_behind_those_that_were(self) -> None:
        mixed = _blended([9, 8, 7, 6, 5], [-9, NAN, -7, NAN], BLEND)
        assert mixed.order.tolist() == [2, 0, 1, 3, 4]
        assert mixed.sums.tolist() == [-5, -7, -7, -7, -7]

    @pytest.mark.parametrize("blend", [None, BLEND])
    def test_one_alone_stays_first(self, blend: Blend | None) -> None:
        mixed = _blended([9, 8], [-30], blend)
        assert mixed.order.tolist() == [0, 1]

    def test_nothing_read_changes_nothing(self) -> None:
        mixed = _blended([9, 8, 7], [NAN, NAN])
        assert mixed.order.tolist() == [0, 1, 2]
        assert mixed.sums.tolist() == [9, 8, 7]
        assert not mixed.said.any()

    def test_what_cannot_be_read_takes_the_reranker_s_say_away(self) -> None:
        assert _blended([9, 8], [-5, 5], BLEND, readable=0.0).order.tolist() == [0, 1]

    @given(
        st.lists(st.floats(-5, 40, width=32), min_size=1, max_size=30),
        st.lists(st.one_of(st.just(NAN), st.floats(-30, 30, width=32)), max_size=20),
        st.sampled_from([None, BLEND]),
    )
    def test_sums_fall_and_nobody_gets_lost(
        self, sums: list[float], log_odds: list[float], blend: Blend | None
    ) -> None:
        mixed = _blended(sorted(sums, reverse=True), log_odds[: len(sums)], blend)
        assert sorted(mixed.order.tolist()) == list(range(len(sums)))
        assert (np.diff(mixed.sums) <= 0).all()


class TestReading:
    def test_the_reranker_changes_the_order(
        self, open_profile: RouterMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with open_profile("judged", candidates=0) as router:
            before = router.rank(VAGUE, 50)
        assert (before.candidates, before.read, before.unread_because) == (0, 0, "")
        assert all(RERANKER not in match.parts for match in before.matches)
        _Judge(monkeypatch, -4, -2, 9)
        with open_profile("judged", budget_ms=LONG) as router:
            after = router.rank(VAGUE, 50)
        assert (after.candidates, after.read, after.unread_because) == (5, 5, "")
        names = [match.name for match in before.matches]
        assert [match.name for match in after.matches] != names
        assert {match.name for match in after.matches[:5]} == set(names[:5])
        assert [match.name for match in after.matches[5:]] == names[5:]
        assert after.matches[0].name == names[2]
        assert [RERANKER in match.parts for match in after.matches] == [
            n < 5 for n in range(len(names))
        ]

    @pytest.mark.parametrize("profile", ["judged", "crossed", "both"])
    def test_every_architecture_reads(self, open_profile: RouterMaker, profile: str) -> None:
        with open_profile(profile, budget_ms=LONG) as router:
            answer = router.rank(QUERY, 50)
            assert answer.read == answer.candidates > 2
            said = [match.parts[RERANKER] for match in answer.matches[: answer.read]]
            assert np.ptp(said) > 0
            scores = [match.score for match in answer.matches]
            assert scores == sorted(scores, reverse=True)
            assert all(0 <= score <= 1 for score in scores)
            sums = [sum(match.parts.values()) for match in answer.matches[: answer.read]]
            assert sums == sorted(sums, reverse=True)

    def test_the_setting_counts_for_more_than_the_profile(self, open_profile: RouterMaker) -> None:
        with open_profile("judged", candidates=2, budget_ms=LONG) as router:
            answer = router.rank(QUERY, 50)
        assert (answer.candidates, answer.read) == (2, 2)

    @pytest.mark.parametrize("budget", [0, 1])
    def test_without_time_nothing_is_read(self, open_profile: RouterMaker, budget: int) -> None:
        with open_profile("judged", budget_ms=budget) as router:
            answer = router.rank(QUERY, 50)
        with open_profile("judged", candidates=0) as router:
            expected = router.rank(QUERY, 50)
        assert (answer.candidates, answer.read, answer.unread_because) == (5, 0, "")
        assert answer.matches == expected.matches
        assert answer.verdict == expected.verdict

    def test_a_blend_that_was_fitted_is_used(
        self, open_profile: RouterMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _Judge(monkeypatch, 1, -2)
        with open_profile("judged", budget_ms=LONG) as router:
            model = router.reranker().model
            weights = load_weights().model_copy(update={"blends": {str(model.sha256): BLEND}})
            monkeypatch.setattr(router._ranker, "_weights", weights)
            answer = router.rank(QUERY, 50)
        said = sorted(match.parts[RERANKER] for match in answer.matches[: answer.read])
        assert said == [-2, *[2] * (answer.read - 2), 4]


class TestTexts:
    def test_caps_and_template_are_the_reranker_s(
        self,
        open_profile: RouterMaker,
        monkeypatch: pytest.MonkeyPatch,
        root: Path,
        write_skill: Any,
    ) -> None:
        write_skill("wordy", description="describe " * 20, body="compress logs " * 99)
        judge = _Judge(monkeypatch)
        with open_profile("judged", roots=(root,)) as router:
            router.rank("logs " * 400, 5)
        (shown,) = judge.documents
        name, description, body = shown.split(" | ")
        assert name == "wordy"
        assert len(description) == 40
        assert len(body) == 400
        assert judge.query == ("logs " * 400)[:300]

    def test_without_a_template_all_is_shown(
        self, open_profile: RouterMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judge = _Judge(monkeypatch)
        with open_profile("english") as router:
            router.rank(QUERY, 5)
        assert judge.query == QUERY
        beginning = "rotate-logs | Helps with things. | Compress yesterday"
        assert any(text.startswith(beginning) for text in judge.documents)

    def test_to_one_of_english_chinese_is_put_into_english(
        self, open_profile: RouterMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judge = _Judge(monkeypatch)
        with open_profile("english") as router:
            router.rank("差旅发票怎么报销", 5)
        assert "invoice" in judge.query
        assert not CJK.search(" ".join([judge.query, *judge.documents]))

    def test_a_request_that_it_cannot_read_is_not_put_to_it(
        self,
        open_profile: RouterMaker,
        monkeypatch: pytest.MonkeyPatch,
        root: Path,
        write_skill: Any,
    ) -> None:
        write_skill("grow-disk", body="Как увеличить диск")
        judge = _Judge(monkeypatch)
        with open_profile("english", roots=(root,)) as router:
            answer = router.rank("увеличить диск", 5)
        assert (answer.candidates, answer.read) == (1, 0)
        assert answer.unread_because == "english-judge cannot read the request"
        assert not judge.documents

    def test_a_skill_that_is_gone_meanwhile_is_not_read(
        self, open_profile: RouterMaker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        judge = _Judge(monkeypatch, 3, 2, 1)
        with open_profile("judged") as router:
            found = router.library.documents

            def some(ids: list[int]) -> Any:
                return dict(list(found(ids).items())[1:])

            monkeypatch.setattr(router._second_stage, "_documents", some)
            answer = router.rank(QUERY, 50)
        assert len(judge.documents) == answer.read == 4


class TestFailure:
    def test_a_reranker_that_is_not_there_costs_the_second_stage_only(
        self, open_profile: RouterMaker, caplog: pytest.LogCaptureFixture
    ) -> None:
        with open_profile("torn") as router, caplog.at_level(logging.WARNING):
            router.prepare()
            first = router.rank(QUERY, 5)
            second = router.rank("bake bread", 5)
        assert first.matches[0].name == "rotate-logs"
        assert first.read == 0
        assert "models pull missing" in first.unread_because
        assert second.unread_because == first.unread_because
        assert len([record for record in caplog.records if "reranker" in record.message]) == 1

    def test_one_that_fails_is_tried_again_later(
        self,
        open_profile: RouterMaker,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        tried = []

        def fail(*_: object, **__: object) -> Floats:
            tried.append(1)
            raise EngineError("llama.cpp is out of order.")

        with open_profile("judged") as router:
            with monkeypatch.context() as broken:
                broken.setattr(Reranker, "score", fail)
                for _ in range(3):
                    answer = router.rank(QUERY, 5)
                    assert answer.unread_because == "llama.cpp is out of order."
                    assert answer.matches[0].name == "rotate-logs"
            assert len(tried) == 1
            monkeypatch.setattr(router._second_stage, "_resting_until", 0.0)
            assert router.rank(QUERY, 5).unread_because == ""
        assert caplog.text.count("out of order") == 1

    def test_closing_frees_it(self, open_profile: RouterMaker) -> None:
        with open_profile("judged") as router:
            reranker = router.reranker()
            assert router.reranker() is reranker
        with pytest.raises(EngineError, match="has been closed"):
            reranker.score("a", ["b"], 1e9)


def test_the_embedded_profile_has_no_second_stage(router: Router) -> None:
    answer = router.rank(QUERY, 5)
    assert (answer.candidates, answer.read) == (0, 0)
    assert all(set(match.parts) == set(SIGNALS) for match in answer.matches)
