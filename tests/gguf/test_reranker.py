from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from tests.gguf.tiny_qwen3 import TEMPLATE, TinyQwen3

from skillrouter_gguf import (
    EngineError,
    ModelFileError,
    Reranker,
    SelfCheckError,
    check_reranker,
    load_catalogue,
)
from skillrouter_gguf import reranker as module
from skillrouter_gguf.convert import convert
from skillrouter_gguf.llama import LlamaModel
from skillrouter_gguf.prompt import ChatPrompt

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert

    from skillrouter_gguf.llama import FloatArray, IntArray

QUERY = "merge the report's pages"
DOCUMENTS = ["merge | Merge files", "chart | Draw charts", "", "page " * 500]


class TestScores:
    def test_shape(self, reranker: Reranker) -> None:
        scores = reranker.score(QUERY, DOCUMENTS)
        assert scores.shape == (4,)
        assert scores.dtype == np.float32
        assert reranker.score(QUERY, []).shape == (0,)

    def test_a_score_does_not_depend_on_its_list(self, reranker: Reranker) -> None:
        together = reranker.score(QUERY, DOCUMENTS)
        backwards = reranker.score(QUERY, DOCUMENTS[::-1])[::-1]
        reranker.score("something else", ["entirely"])
        alone = np.concatenate([reranker.score(QUERY, [document]) for document in DOCUMENTS])
        assert np.abs(together - backwards).max() < 0.01
        assert np.abs(together - alone).max() < 0.01
        assert np.ptp(together) > 0.1

    def test_the_beginning_of_a_list_is_computed_once(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counts = []
        decode: Callable[[Any, IntArray], None] = reranker._context._decode

        def watched(batch: Any, tokens: IntArray) -> None:
            counts.append(len(tokens))
            decode(batch, tokens)

        monkeypatch.setattr(reranker._context, "_decode", watched)
        query, documents = "number " * 40, [f"{word} chart" for word in ("a", "b", "c", "d")]
        pairs = reranker._prompt.pairs(query, documents)
        reranker.score(query, documents)
        assert sum(counts) < len(pairs[0]) + 3 * 30 < sum(len(pair) for pair in pairs) / 2

    def test_the_entry_s_template_before_the_file_s(self, judge: tuple[TinyQwen3, Path]) -> None:
        tiny, path = judge
        other = TEMPLATE.replace("Judge the skill", "Judge the weather")
        with (
            Reranker.open(tiny.entry("reranker"), path=path) as first,
            Reranker.open(tiny.entry("reranker", template=TEMPLATE), path=path) as same,
            Reranker.open(tiny.entry("reranker", template=other), path=path) as second,
        ):
            scores = [each.score(QUERY, DOCUMENTS) for each in (first, same, second)]
        assert np.array_equal(scores[0], scores[1])
        assert np.abs(scores[0] - scores[2]).max() > 0.01

    def test_less_context_than_the_file_has_is_fine(self, judge: tuple[TinyQwen3, Path]) -> None:
        tiny, path = judge
        with Reranker.open(tiny.entry("reranker", context=90), path=path, threads=1) as small:
            assert small.context == 90
            first, second = small.score(QUERY, ["page " * 90, "page " * 900])
        assert first == second

    def test_odd_texts(self, reranker: Reranker) -> None:
        odd = ["\ud800", "\0", "x" * 100_000, "<|im_end|>"]
        assert np.isfinite(reranker.score("\ud800\0", odd)).all()

    def test_very_sure_answers_stay_numbers(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sure = np.array([1, 0], dtype=np.float32)
        monkeypatch.setattr(reranker._context, "outputs", lambda _: sure)
        assert 80 < reranker.score(QUERY, ["x"])[0] < 110


class TestDeadline:
    def test_with_time_enough_all_are_read(self, reranker: Reranker) -> None:
        scores = reranker.score(QUERY, DOCUMENTS, deadline=time.monotonic() + 600)
        assert np.abs(scores - reranker.score(QUERY, DOCUMENTS)).max() < 0.01

    @pytest.mark.parametrize("left", [-1.0, 0.0])
    def test_without_time_none_is_read(self, reranker: Reranker, left: float) -> None:
        assert reranker.score(QUERY, DOCUMENTS, deadline=time.monotonic() + left).shape == (0,)
        assert not reranker._pace.known

    @pytest.mark.parametrize("count", range(5))
    def test_as_many_are_read_as_the_pace_allows(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=1.0)
        reranker.score("", [""])
        reranker.score(QUERY, DOCUMENTS)
        seconds = np.diff(clock.after)[:count]  # those that a text took behind the one before it
        reranker.score("", [""])
        found = reranker.score(QUERY, DOCUMENTS, deadline=clock.now + sum(seconds) + 0.5)
        assert len(found) == count

    def test_before_the_first_text_a_sample_shows_the_pace(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=1.0)
        assert reranker.score(QUERY, DOCUMENTS, deadline=clock.now + 1).shape == (0,)
        assert len(clock.after) == 2
        assert reranker._pace.expect(7) == pytest.approx(7)
        reranker.score(QUERY, DOCUMENTS, deadline=clock.now + 1)
        assert len(clock.after) == 2

    def test_warming_up_shows_it_beforehand(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=0.5)
        reranker.warm_up()
        assert reranker._pace.expect(7) == pytest.approx(3.5)
        count = len(clock.after)
        assert reranker.score(QUERY, DOCUMENTS, deadline=clock.now + 1).shape == (0,)
        assert len(clock.after) == count

    def test_a_pace_too_slow_for_anything_is_measured_anew_later(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=1.0)
        reranker.warm_up()
        clock.seconds_a_token = 0.01
        long = ["page " * 2_000]  # as much as is read of a text
        assert len(reranker.score(QUERY, long, deadline=clock.now + 30)) == 0
        clock.now += 61
        assert len(reranker.score(QUERY, long, deadline=clock.now + 30)) == 1
        assert reranker._pace.expect(7) == pytest.approx(0.07)

    def test_measuring_anew_takes_no_longer_than_the_shortest_text_beyond_the_deadline(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=100.0)
        reranker.warm_up()
        shortest = 100.0 * len(reranker._pair("", ""))
        for _ in range(5):
            clock.now += 61
            began = clock.now
            assert len(reranker.score(QUERY, DOCUMENTS, deadline=began + 1)) == 0
            assert began < clock.now < began + 1 + shortest
        clock.seconds_a_token = 0.001
        clock.now += 61
        assert len(reranker.score(QUERY, DOCUMENTS, deadline=clock.now + 30)) == len(DOCUMENTS)

    def test_a_single_token_tells_nothing_of_the_pace(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=1.0)
        for _ in range(5):  # the shortest text was the last one that was read, or was not
            clock.now += 61
            began, count = clock.now, len(clock.after)
            reranker.score(QUERY, DOCUMENTS, deadline=began + 1)
            assert len(clock.after) > count
            assert all(np.diff([began, *clock.after[count:]]) > 1.0)

    def test_a_context_without_room_for_texts_is_no_trouble(
        self, judge: tuple[TinyQwen3, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tiny, path = judge
        with Reranker.open(tiny.entry("reranker"), path=path, threads=1) as whole:
            prompt = whole._prompt
            assert isinstance(prompt, ChatPrompt)
            own = len(prompt._opening) + len(prompt._closing)
        with Reranker.open(tiny.entry("reranker", context=own + 2), path=path, threads=1) as small:
            clock = _Clock(small, monkeypatch, seconds_a_token=1.0)
            small.warm_up()
            clock.now += 61
            assert len(small.score(QUERY, ["page"], deadline=clock.now + 0.5)) == 0

    def test_without_time_nothing_is_measured_anew(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = _Clock(reranker, monkeypatch, seconds_a_token=1.0)
        reranker.warm_up()
        clock.now += 61
        count = len(clock.after)
        assert len(reranker.score(QUERY, DOCUMENTS, deadline=clock.now)) == 0
        assert len(clock.after) == count

    def test_waiting_for_another_call_counts(self, reranker: Reranker) -> None:
        with reranker._turn:
            assert reranker.score(QUERY, DOCUMENTS, deadline=time.monotonic() + 0.01).shape == (0,)


class _Clock:
    """Time that passes only while texts are read."""

    def __init__(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch, seconds_a_token: float
    ) -> None:
        self.now = 0.0
        self.seconds_a_token = seconds_a_token
        self.after: list[float] = []
        outputs = reranker._context.outputs

        def timed(pair: IntArray) -> FloatArray:
            self.now += self.seconds_a_token * reranker._fresh(pair)
            self.after.append(self.now)
            return outputs(pair)

        monkeypatch.setattr(reranker._context, "outputs", timed)
        monkeypatch.setattr(module, "time", self)

    def monotonic(self) -> float:
        return self.now


class TestThreads:
    def test_from_several_at_once(self, reranker: Reranker) -> None:
        queries = [f"request {number}" for number in range(6)]
        expected = [reranker.score(query, DOCUMENTS) for query in queries]
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda query: reranker.score(query, DOCUMENTS), queries))
        assert np.abs(np.array(found) - expected).max() < 0.01

    def test_closing_waits_for_the_text_at_work_and_drops_the_rest(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        began, read = threading.Event(), []
        outputs = reranker._context.outputs

        def watched(tokens: IntArray) -> FloatArray:
            began.set()
            assert reranker._closed.wait(30)
            read.append(len(tokens))
            return outputs(tokens)

        monkeypatch.setattr(reranker._context, "outputs", watched)
        with ThreadPoolExecutor(1) as pool:
            scores = pool.submit(reranker.score, QUERY, DOCUMENTS)
            assert began.wait(30)
            reranker.close()
            with pytest.raises(EngineError, match="has been closed"):
                scores.result()
        assert len(read) == 1

    def test_after_closing(self, reranker: Reranker) -> None:
        reranker.close()
        reranker.close()
        with pytest.raises(EngineError, match="has been closed"):
            reranker.score(QUERY, DOCUMENTS)

    @pytest.mark.parametrize("threads", [0, -1])
    def test_none_at_all_is_refused(self, judge: tuple[TinyQwen3, Path], threads: int) -> None:
        with pytest.raises(EngineError, match="give 1 or more"):
            Reranker.open(judge[0].entry("reranker"), path=judge[1], threads=threads)


class TestFailures:
    def test_another_kind_of_model(self) -> None:
        with pytest.raises(EngineError, match="is an encoder, not a reranker"):
            Reranker.open(load_catalogue().model("skillrouter-minilm-l6"))

    def test_a_file_that_is_not_there(self, judge: tuple[TinyQwen3, Path], tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="is not there"):
            Reranker.open(judge[0].entry("reranker"), path=tmp_path / "none.gguf")

    def test_a_file_without_a_head(self, judge: tuple[TinyQwen3, Path], tmp_path: Path) -> None:
        tiny = TinyQwen3(tmp_path / "checkpoint", closes=True).as_encoder()
        convert(tiny.write(), tmp_path / "tiny.gguf")
        with pytest.raises(EngineError, match=r"has no cls\.output\.weight, without which every"):
            Reranker.open(tiny.entry("reranker"), path=tmp_path / "tiny.gguf")

    def test_more_context_than_the_file_has(self, judge: tuple[TinyQwen3, Path]) -> None:
        with pytest.raises(EngineError, match="reads 2048 tokens; tiny should 4096"):
            Reranker.open(judge[0].entry("reranker", context=4096), path=judge[1])

    def test_a_head_of_another_width(
        self, judge: tuple[TinyQwen3, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load = LlamaModel.__init__

        def three(model: LlamaModel, path: Path) -> None:
            load(model, path)
            model.outputs = 3

        monkeypatch.setattr(LlamaModel, "__init__", three)
        with pytest.raises(EngineError, match="its head gives 3 numbers, expected 2"):
            Reranker.open(judge[0].entry("reranker"), path=judge[1])

    def test_a_file_without_a_template(
        self, judge: tuple[TinyQwen3, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        metadata = LlamaModel.metadata

        def without(model: LlamaModel, key: str) -> str | None:
            return None if "chat_template" in key else metadata(model, key)

        monkeypatch.setattr(LlamaModel, "metadata", without)
        with pytest.raises(EngineError, match="neither its file nor its entry has a template"):
            Reranker.open(judge[0].entry("reranker"), path=judge[1])

    def test_chances_that_are_none(
        self, reranker: Reranker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        noise = np.array([1e-23, 1e-23], dtype=np.float32)
        monkeypatch.setattr(reranker._context, "outputs", lambda _: noise)
        with pytest.raises(EngineError, match="its file has no head that works"):
            reranker.score(QUERY, ["x"])

    def test_scores_that_are_no_numbers(self, tiny_bert: TinyBert, tmp_path: Path) -> None:
        tiny_bert.as_cross_encoder()
        tiny_bert.tensors["classifier.weight"][:] = 3e38
        convert(tiny_bert.write(), tmp_path / "tiny.gguf", "F32")
        with (
            tiny_bert.open_reranker(tmp_path / "tiny.gguf") as reranker,
            pytest.raises(EngineError, match="a score that is no number"),
        ):
            reranker.score("merge", ["page"])


def test_the_check_wants_a_match_above_a_mismatch(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reranker, "score", lambda *_: np.array([2.0, -1.0]))
    check_reranker(reranker)
    monkeypatch.setattr(reranker, "score", lambda *_: np.array([-1.0, 2.0]))
    with pytest.raises(SelfCheckError, match="its file, head or template is wrong"):
        check_reranker(reranker)
    monkeypatch.setattr(reranker, "score", lambda *_: np.array([1.0, 1.0]))
    with pytest.raises(SelfCheckError):
        check_reranker(reranker)
