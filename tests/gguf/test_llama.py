from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from skillrouter_gguf import EngineError, llama, load_catalogue, system_info
from skillrouter_gguf.llama import LlamaContext, LlamaModel
from skillrouter_gguf.model_file import EMBEDDED

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert

FILE = EMBEDDED / load_catalogue().model("skillrouter-minilm-l6").file
OPENING, CLOSING, UNKNOWN = 101, 102, 100


@pytest.fixture(scope="module")
def model() -> Iterator[LlamaModel]:
    model = LlamaModel(FILE)
    yield model
    model.close()


@pytest.fixture(scope="module")
def context(model: LlamaModel) -> Iterator[LlamaContext]:
    context = LlamaContext(model, "mean", tokens=64, threads=1)
    yield context
    context.close()


def _ids(model: LlamaModel, text: str, limit: int = 512) -> list[int]:
    return [int(token) for token in model.tokenise(text, limit)]


class TestMetadata:
    def test_values_are_texts(self, model: LlamaModel) -> None:
        assert model.metadata("general.architecture") == "bert"
        assert model.metadata("bert.context_length") == "512"
        assert model.metadata("bert.no_such_key") is None

    def test_values_of_any_length(self, tiny_bert: TinyBert, tmp_path: Path) -> None:
        from skillrouter_gguf.convert import convert

        about = {"name": "é" * 5_000, "author": "x" * 256, "license": "x" * 255}
        convert(tiny_bert.write(), tmp_path / "tiny.gguf", about=about)
        model = LlamaModel(tmp_path / "tiny.gguf")
        assert {key: model.metadata(f"general.{key}") for key in about} == about
        model.close()

    def test_what_decides_how_it_is_run(self, model: LlamaModel) -> None:
        assert (model.dimensions, model.context, model.causal) == (384, 512, False)
        opening, closing = model.frame()
        assert (opening.tolist(), closing.tolist()) == ([OPENING], [CLOSING])


class TestTokens:
    def test_a_part_has_no_special_tokens(self, model: LlamaModel) -> None:
        assert model.tokenise_part("merge pdf", 9).tolist() == _ids(model, "merge pdf")[1:-1]
        assert model.tokenise_part("page " * 900, 5).tolist() == _ids(model, "page " * 5)[1:-1]
        assert model.tokenise_part("", 5).tolist() == []

    def test_marks_that_stand_for_themselves_are_kept(self, model: LlamaModel) -> None:
        assert _ids(model, "1\ufe0f\u20e3 page") == [OPENING, UNKNOWN, *_ids(model, "page")[1:]]

    def test_korean_letters_are_kept_whole(self, model: LlamaModel) -> None:
        assert len(_ids(model, "한국")) > len(_ids(model, "하구"))

    def test_a_text_stands_between_special_tokens(self, model: LlamaModel) -> None:
        opening, *inner, closing = _ids(model, "merge pdf files")
        assert (opening, closing) == (OPENING, CLOSING)
        assert len(inner) == 3

    def test_an_empty_text_has_only_those(self, model: LlamaModel) -> None:
        assert _ids(model, "") == _ids(model, " \n\t ") == [OPENING, CLOSING]

    @pytest.mark.parametrize("limit", [3, 7, 100, 512])
    def test_a_long_text_keeps_its_closing_token(self, model: LlamaModel, limit: int) -> None:
        text = "one two three four " * 1_000
        whole = _ids(model, text, 10_000)
        assert len(whole) == 4_002
        assert _ids(model, text, limit) == [*whole[: limit - 1], CLOSING]

    def test_a_text_that_just_fits_is_whole(self, model: LlamaModel) -> None:
        text = "file " * 10
        assert _ids(model, text, 12) == _ids(model, text, 512)
        assert _ids(model, text, 11) == _ids(model, "file " * 9)

    def test_words_behind_a_desert_of_spaces_are_found(self, model: LlamaModel) -> None:
        text = f"merge the pdf files {' ' * 50_000} of a year"
        assert _ids(model, text, 9) == _ids(model, "merge the pdf files of a year")

    @pytest.mark.parametrize("piece", ["x", "word ", "文", "\U0001f600", "é", ".", "naïveté"])
    def test_a_text_is_cut_where_its_tokens_say(self, model: LlamaModel, piece: str) -> None:
        whole = _ids(model, piece * 900, 10_000)
        assert _ids(model, piece * 900, 64) == [*whole[:63], CLOSING][: len(whole)]

    def test_special_tokens_written_out_are_text(self, model: LlamaModel) -> None:
        inner = _ids(model, "[SEP] [CLS] <s> [MASK]")[1:-1]
        assert not {OPENING, CLOSING, UNKNOWN} & {*inner}

    def test_a_lone_surrogate_becomes_a_replacement_character(self, model: LlamaModel) -> None:
        assert _ids(model, "a \ud800 b") == _ids(model, "a \ufffd b")
        assert _ids(model, "a \ud83d\ude00 b") == _ids(model, "a \U0001f600 b")

    def test_a_nul_does_not_end_the_text(self, model: LlamaModel) -> None:
        assert _ids(model, "merge\0 files") == _ids(model, "merge files")

    def test_from_several_threads(self, model: LlamaModel) -> None:
        texts = [f"text number {number} of a few " * number for number in range(40)]
        expected = [_ids(model, text) for text in texts]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda text: _ids(model, text), texts)) == expected


class TestModel:
    def test_what_the_file_says(self, model: LlamaModel) -> None:
        assert (model.dimensions, model.context, model.vocabulary_size) == (384, 512, 30_522)

    @pytest.mark.parametrize(
        ("size", "reason"), [(4, "failed to read"), (9_000_000, "corrupted or incomplete")]
    )
    def test_llama_s_own_reason_is_in_the_error(
        self, tmp_path: Path, size: int, reason: str
    ) -> None:
        path = tmp_path / "cut.gguf"
        path.write_bytes(FILE.read_bytes()[:size])
        with pytest.raises(EngineError) as caught:
            LlamaModel(path)
        assert str(caught.value).startswith(f"{path}: llama.cpp can't load this model: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_an_old_reason_is_not_told_again(self, tmp_path: Path) -> None:
        for name, said in (("first", "first.gguf"), ("second", "second.gguf")):
            path = tmp_path / f"{name}.gguf"
            path.write_bytes(b"GGUF")
            with pytest.raises(EngineError) as caught:
                LlamaModel(path)
            assert said in str(caught.value)
        assert "first.gguf" not in str(caught.value)

    def test_after_closing(self) -> None:
        model = LlamaModel(FILE)
        model.close()
        model.close()
        with pytest.raises(EngineError, match="has been closed"):
            model.tokenise("text", 8)
        with pytest.raises(EngineError, match="has been closed"):
            LlamaContext(model, "mean", tokens=8, threads=1)


class TestContext:
    def test_vectors_have_length_one(self, model: LlamaModel, context: LlamaContext) -> None:
        vector = context.embed(model.tokenise("merge pdf files", 64))
        assert vector.shape == (384,)
        assert vector.dtype == np.float32
        assert abs(float(vector @ vector) - 1) < 1e-5

    @pytest.mark.parametrize("count", [0, 65, 512, 100_000])
    def test_what_would_end_the_process_is_refused(self, context: LlamaContext, count: int) -> None:
        with pytest.raises(EngineError, match=f"a text of {count} tokens; 1 to 64 can be read"):
            context.embed(np.full(count, 2000, dtype=np.int32))

    def test_up_to_its_last_place(self, model: LlamaModel, context: LlamaContext) -> None:
        tokens = model.tokenise("page " * 100, 64)
        assert len(tokens) == 64
        assert np.isfinite(context.embed(tokens)).all()

    def test_a_vector_does_not_depend_on_what_came_before(
        self, model: LlamaModel, context: LlamaContext
    ) -> None:
        tokens = [model.tokenise(text, 64) for text in ("merge files", "knead the dough " * 20)]
        first = context.embed(tokens[0])
        context.embed(tokens[1])
        assert np.array_equal(context.embed(tokens[0]), first)

    def test_a_full_text_again_and_again(self, model: LlamaModel) -> None:
        tokens = model.tokenise("page " * 600, 512)
        context = LlamaContext(model, "mean", tokens=512, threads=1)
        first = context.embed(tokens)
        assert np.array_equal(context.embed(tokens), first)
        context.close()

    def test_pooling_is_the_caller_s(self, model: LlamaModel, context: LlamaContext) -> None:
        tokens = model.tokenise("merge pdf files", 64)
        other = LlamaContext(model, "cls", tokens=64, threads=1)
        assert float(other.embed(tokens) @ context.embed(tokens)) < 0.99
        other.close()

    @pytest.mark.parametrize("threads", [1, 3])
    def test_threads(self, model: LlamaModel, threads: int) -> None:
        import llama_cpp

        context = LlamaContext(model, "mean", tokens=8, threads=threads)
        assert llama_cpp.llama_n_threads(context._handle) == threads
        assert llama_cpp.llama_n_threads_batch(context._handle) == threads
        context.close()

    def test_one_text_at_a_time(self, model: LlamaModel, context: LlamaContext) -> None:
        rows = [
            model.tokenise(f"text number {number} " * (1 + number % 7), 64) for number in range(24)
        ]
        expected = [context.embed(row) for row in rows]
        with ThreadPoolExecutor(6) as pool:
            assert np.array_equal(list(pool.map(context.embed, rows)), expected)

    def test_after_closing(self, model: LlamaModel) -> None:
        context = LlamaContext(model, "mean", tokens=8, threads=1)
        context.close()
        context.close()
        with pytest.raises(EngineError, match="has been closed"):
            context.embed(model.tokenise("text", 8))

    @pytest.mark.parametrize("value", [0.0, 3e38])
    def test_a_vector_that_has_no_direction(
        self, tiny_bert: TinyBert, tmp_path: Path, value: float
    ) -> None:
        from skillrouter_gguf.convert import convert

        for part in ("weight", "bias"):
            tiny_bert.tensors[f"encoder.layer.1.output.LayerNorm.{part}"][:] = value
        convert(tiny_bert.write(), tmp_path / "tiny.gguf", "F32")
        with (
            tiny_bert.open(tmp_path / "tiny.gguf") as encoder,
            pytest.raises(EngineError, match="the model is damaged"),
        ):
            encoder.encode_queries(["merge the files"])


def test_system_info_names_version_and_features() -> None:
    report = system_info()
    assert report.startswith("llama-cpp-python 0.")
    assert " with " in report
    assert "=" not in report


def test_llama_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "_load", llama._load.__wrapped__)
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(EngineError, match=r"can't be loaded .*Reinstall llama-cpp-python"):
        system_info()


def test_an_interrupt_that_comes_while_a_model_is_loaded_is_not_lost() -> None:
    engine = llama._engine()
    interrupting = engine.llama_log_callback(lambda *_: signal.raise_signal(signal.SIGINT))
    engine.llama_log_set(interrupting, None)
    try:
        with pytest.raises(KeyboardInterrupt):
            LlamaModel(FILE)
    finally:
        engine.llama_log_set(llama._callbacks[0], None)
