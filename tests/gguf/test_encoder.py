from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import skillrouter_gguf.encoder
from skillrouter_gguf import Encoder, EngineError, ModelFileError, load_catalogue
from skillrouter_gguf.causal import open_context
from skillrouter_gguf.llama import LlamaContext

if TYPE_CHECKING:
    from skillrouter_gguf.llama import Context, FloatArray, IntArray, LlamaModel, Pooling

MODEL = load_catalogue().model("skillrouter-minilm-l6")
TEXTS = [
    "Merge several PDF files.",
    "",
    "Knead the dough and let it rise.",
    "Number the pages of a report. " * 6,
    "x",
    "How many rows has this table? " * 12,
    "文件",
]


@pytest.fixture(scope="module")
def wide() -> Iterator[Encoder]:
    """Three lanes, however many cores there are."""
    with Encoder.open(MODEL, threads=3) as encoder:
        yield encoder


@pytest.fixture
def own() -> Iterator[Encoder]:
    """One that a test may close."""
    with Encoder.open(MODEL, threads=2) as encoder:
        yield encoder


class TestVectors:
    def test_shape_and_length(self, encoder: Encoder) -> None:
        for encode in (encoder.encode_queries, encoder.encode_documents):
            vectors = encode(TEXTS)
            assert vectors.shape == (len(TEXTS), 384)
            assert vectors.dtype == np.float32
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_no_texts_give_no_rows(self, encoder: Encoder) -> None:
        assert encoder.encode_queries([]).shape == encoder.encode_documents([]).shape == (0, 384)

    def test_meaning(self, encoder: Encoder) -> None:
        (query,) = encoder.encode_queries(["join PDF documents"])
        scores = encoder.encode_documents(TEXTS) @ query
        assert scores.argmax() == 0

    def test_rows_come_in_the_order_of_the_texts(self, wide: Encoder, encoder: Encoder) -> None:
        each = np.concatenate([encoder.encode_documents([text]) for text in TEXTS])
        similar = wide.encode_documents(TEXTS) @ each.T
        assert (similar.argmax(axis=1) == np.arange(len(TEXTS))).all()

    def test_a_vector_does_not_depend_on_its_batch(self, wide: Encoder) -> None:
        alone = np.concatenate([wide.encode_documents([text]) for text in TEXTS])
        together = wide.encode_documents(TEXTS)
        backwards = wide.encode_documents(TEXTS[::-1] * 3)[: len(TEXTS)][::-1]
        assert np.abs(together - alone).max() < 1e-5
        assert np.abs(backwards - alone).max() < 1e-5

    def test_queries_and_documents_share_a_space(self, encoder: Encoder) -> None:
        assert np.abs(encoder.encode_queries(TEXTS) - encoder.encode_documents(TEXTS)).max() < 1e-5

    def test_documents_give_way_text_by_text_and_queries_do_not(self) -> None:
        given: list[int] = []
        with Encoder.open(MODEL, threads=1, give_way=lambda: given.append(1)) as encoder:
            encoder.encode_queries(TEXTS)
            assert not given
            encoder.encode_documents(TEXTS)
        assert len(given) >= len(TEXTS)

    def test_prefixes_stand_before_the_text(self, encoder: Encoder) -> None:
        changes = {"query_prefix": "query: ", "document_prefix": "passage: "}
        with Encoder.open(MODEL.model_copy(update=changes), threads=1) as prefixed:
            query, passage = prefixed.encode_queries(["x"])[0], prefixed.encode_documents(["x"])[0]
        expected = encoder.encode_documents(["query: x", "passage: x"])
        assert np.abs([query, passage] - expected).max() < 1e-5


class TestTexts:
    def test_beyond_the_context_nothing_is_read(self, encoder: Encoder) -> None:
        long = "page " * 510
        assert encoder.count_tokens(long) == encoder.count_tokens(long * 100) == 512
        first, second = encoder.encode_documents([long, f"{long} and a very different end"])
        assert np.array_equal(first, second)

    def test_beyond_the_length_of_training_it_is(self, encoder: Encoder) -> None:
        shared = "page " * 300
        first, second = encoder.encode_documents([f"{shared} dough", f"{shared} table"])
        assert not np.array_equal(first, second)

    def test_tokens_are_counted_with_special_ones(self, encoder: Encoder) -> None:
        assert encoder.count_tokens("") == 2
        assert encoder.count_tokens("merge files") == 4

    @pytest.mark.parametrize(
        ("odd", "plain"),
        [
            ("merge\0 files", "merge files"),
            ("merge \ud800 files", "merge \ufffd files"),
            ("merge\u200b files\r\n\x07", "merge files"),
        ],
    )
    def test_odd_characters(self, encoder: Encoder, odd: str, plain: str) -> None:
        first, second = encoder.encode_queries([odd, plain])
        assert np.array_equal(first, second)

    def test_a_text_of_a_megabyte(self, encoder: Encoder) -> None:
        assert encoder.encode_documents(["word " * 200_000]).shape == (1, 384)


class TestThreads:
    def test_as_many_as_told(self, wide: Encoder, encoder: Encoder) -> None:
        assert (wide.threads, encoder.threads) == (3, 1)

    def test_all_usable_cores_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(skillrouter_gguf.encoder, "usable_cores", lambda: 2)
        with Encoder.open(MODEL) as encoder:
            assert encoder.threads == 2

    @pytest.mark.parametrize("threads", [0, -1])
    def test_none_at_all_is_refused(self, threads: int) -> None:
        with pytest.raises(EngineError, match="give 1 or more"):
            Encoder.open(MODEL, threads=threads)

    @pytest.mark.parametrize("threads", [1, 2, 5, 9])
    def test_lanes_share_them(self, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
        shares = []

        def counted(model: LlamaModel, pooling: Pooling, *, tokens: int, threads: int) -> Context:
            shares.append(threads)
            return open_context(model, pooling, tokens=tokens, threads=threads)

        with Encoder.open(MODEL, threads=threads) as encoder:
            monkeypatch.setattr(skillrouter_gguf.encoder, "open_context", counted)
            encoder.encode_documents(["short"] * 12)
        assert sum(shares) == threads
        assert len(shares) == min(threads, 4)

    def test_from_several_threads_at_once(self, wide: Encoder) -> None:
        expected = wide.encode_documents(TEXTS)
        with ThreadPoolExecutor(6) as pool:
            running = [
                pool.submit(encode, TEXTS)
                for _ in range(3)
                for encode in (wide.encode_queries, wide.encode_documents)
            ]
            for one in running:
                assert np.abs(one.result() - expected).max() < 1e-5

    def test_a_query_does_not_wait_for_documents(
        self, monkeypatch: pytest.MonkeyPatch, own: Encoder
    ) -> None:
        began, answered = threading.Event(), threading.Event()
        embed = LlamaContext.embed

        def slow(context: LlamaContext, tokens: IntArray) -> FloatArray:
            if context is not own._queries:
                began.set()
                assert answered.wait(30)
            return embed(context, tokens)

        monkeypatch.setattr(LlamaContext, "embed", slow)
        with ThreadPoolExecutor(1) as pool:
            documents = pool.submit(own.encode_documents, TEXTS)
            assert began.wait(30)
            own.encode_queries(["merge"])
            answered.set()
            assert documents.result().shape == (len(TEXTS), 384)


class TestFailures:
    def test_one_text_that_fails_fails_the_call(
        self, monkeypatch: pytest.MonkeyPatch, wide: Encoder
    ) -> None:
        embed = LlamaContext.embed

        def failing(context: LlamaContext, tokens: IntArray) -> FloatArray:
            if len(tokens) == 3:
                raise EngineError("out of memory")
            return embed(context, tokens)

        with monkeypatch.context() as patch:
            patch.setattr(LlamaContext, "embed", failing)
            with pytest.raises(EngineError, match="out of memory"):
                wide.encode_documents(["merge the files", *["x"] * 3, "merge the pages"])
        assert wide.encode_documents(["x"]).shape == (1, 384)

    def test_another_kind_of_model(self) -> None:
        with pytest.raises(EngineError, match="is a reranker, not an encoder"):
            Encoder.open(MODEL.model_copy(update={"kind": "reranker"}))

    @pytest.mark.parametrize("changes", [{"dimensions": 385}, {"context": 513}])
    def test_another_model_than_described(self, changes: dict[str, int]) -> None:
        with pytest.raises(EngineError) as caught:
            Encoder.open(MODEL.model_copy(update=changes))
        assert "has 384 dimensions and reads 512 tokens" in str(caught.value)
        assert str(next(iter(changes.values()))) in str(caught.value)

    def test_less_context_than_the_file_has_is_fine(self) -> None:
        with Encoder.open(MODEL.model_copy(update={"context": 16}), threads=1) as encoder:
            assert encoder.context == encoder.count_tokens("page " * 90) == 16
            assert encoder.encode_queries(["page " * 90]).shape == (1, 384)

    def test_a_file_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="is not there"):
            Encoder.open(MODEL, path=tmp_path / "zz.gguf")

    @pytest.mark.parametrize("method", ["encode_queries", "encode_documents"])
    def test_after_closing(self, own: Encoder, method: str) -> None:
        own.close()
        own.close()
        with pytest.raises(EngineError, match="has been closed"):
            getattr(own, method)(["merge"])

    def test_closing_waits_for_the_texts_at_work_and_drops_the_rest(
        self, monkeypatch: pytest.MonkeyPatch, own: Encoder
    ) -> None:
        began = threading.Event()
        done = []
        embed = LlamaContext.embed

        def watched(context: LlamaContext, tokens: IntArray) -> FloatArray:
            began.set()
            assert _waited_for(lambda: own._closed)
            vector = embed(context, tokens)
            done.append(len(tokens))
            return vector

        monkeypatch.setattr(LlamaContext, "embed", watched)
        with ThreadPoolExecutor(1) as pool:
            documents = pool.submit(own.encode_documents, TEXTS * 5)
            assert began.wait(30)
            own.close()
            with pytest.raises(EngineError, match="closed before all texts"):
                documents.result()
        assert 1 <= len(done) <= 2

    def test_closing_waits_for_a_lane_whose_caller_was_interrupted(
        self, monkeypatch: pytest.MonkeyPatch, own: Encoder
    ) -> None:
        began, go_on = threading.Event(), threading.Event()
        done = []
        embed = LlamaContext.embed

        def watched(context: LlamaContext, tokens: IntArray) -> FloatArray:
            began.set()
            assert go_on.wait(30)
            vector = embed(context, tokens)
            done.append(len(tokens))
            return vector

        class Pool(ThreadPoolExecutor):
            def submit(self, *given: Any, **more: Any) -> Any:
                def run() -> None:
                    with suppress(EngineError):
                        given[0](*given[1:])

                threading.Thread(target=run).start()
                assert began.wait(30)
                raise KeyboardInterrupt  # before the pool knows of the thread

        monkeypatch.setattr(LlamaContext, "embed", watched)
        monkeypatch.setattr(skillrouter_gguf.encoder, "ThreadPoolExecutor", Pool)
        with pytest.raises(KeyboardInterrupt):
            own.encode_documents(["merge"])
        closing = threading.Thread(target=own.close)
        closing.start()
        closing.join(0.1)
        assert closing.is_alive()
        go_on.set()
        closing.join(30)
        assert len(done) == 1


def _waited_for(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.001)
    return holds()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_documents_stand_back_behind_requests(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    seen: dict[str, int] = {}
    embed = LlamaContext.embed

    def embed_and_look(self: LlamaContext, tokens: IntArray) -> FloatArray:
        seen[threading.current_thread().name.partition("_")[0]] = niceness()
        return embed(self, tokens)

    monkeypatch.setattr(LlamaContext, "embed", embed_and_look)
    before = niceness()
    encoder.encode_documents(["turn the valve"])
    encoder.encode_queries(["turn the valve"])
    assert seen == {"encode": min(19, before + 10), "MainThread": before}
