"""From a request and texts to scores, by a model that reads both together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from skillrouter_gguf.causal import open_context
from skillrouter_gguf.cores import usable_cores
from skillrouter_gguf.errors import EngineError
from skillrouter_gguf.header import read_header
from skillrouter_gguf.llama import LlamaModel
from skillrouter_gguf.model_file import verified_path
from skillrouter_gguf.own_file import HEAD
from skillrouter_gguf.pace import Pace
from skillrouter_gguf.prompt import ChatPrompt, SegmentPrompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from skillrouter_gguf.catalogue import Model
    from skillrouter_gguf.llama import FloatArray, IntArray
    from skillrouter_gguf.prompt import Prompt

_TEMPLATE = "tokenizer.chat_template.rerank"
# Two chances that add up to less are no chances: the file has no head for its answers.
_CERTAIN = 0.99
# Read to learn the pace, one after the other as far as there is time: the first fetches the
# weights, and what every text costs besides is a small part of the last.
_SAMPLES = ("", "Merge", "Merge several PDF files into one and number its pages. " * 8)
# After so long without a text, a pace that leaves no time for one is measured anew: other processes
# may have slowed it down.
_STALE_SECONDS = 60.0


class Reranker:
    """A reranker, loaded; safe to use from several threads at once, one call after the other.

    Causal models compute instruction and request once for all texts of a call, and the instruction
    once for calls that follow each other.
    """

    def __init__(self, model: Model, engine: LlamaModel, threads: int) -> None:
        self._model = model
        self._engine = engine
        self._threads = threads
        self._prompt = _prompt(model, engine)
        self._context = open_context(engine, "rank", tokens=model.context, threads=threads)
        self._turn = threading.Lock()
        self._pace = Pace()
        self._read_at = 0.0
        self._last: IntArray = np.empty(0, dtype=np.int32)
        self._closed = threading.Event()

    @classmethod
    def open(
        cls, model: Model, *, path: Path | None = None, threads: int | None = None
    ) -> Reranker:
        """Check the model's file and load it.

        Args:
            model: a reranker of the catalogue.
            path: its file, if not where the catalogue's files are kept.
            threads: at most so many cores are used; all usable ones by default.

        Raises:
            ModelFileError: if the file is missing or not what the catalogue says.
            EngineError: if llama.cpp can't load it, or it is no reranker that can be asked.
        """
        if model.kind != "reranker":
            raise EngineError(f"{model.name} is an {model.kind}, not a reranker.")
        if threads is not None and threads < 1:
            raise EngineError(f"{threads} threads can't compute anything; give 1 or more.")
        file = verified_path(model, path)
        if HEAD not in read_header(file).tensors:
            raise EngineError(
                f"{file}: has no {HEAD}, without which every score is noise. Take another file of "
                "this model, or convert it from its safetensors."
            )
        engine = LlamaModel(file)
        try:
            if engine.context < model.context:
                raise EngineError(
                    f"{file}: reads {engine.context} tokens; {model.name} should {model.context}."
                )
            if engine.outputs != (expected := 2 if engine.causal else 1):
                raise EngineError(
                    f"{file}: its head gives {engine.outputs} numbers, expected {expected}."
                )
            return cls(model, engine, threads or usable_cores())
        except BaseException:
            engine.close()
            raise

    @property
    def model(self) -> Model:
        """The catalogue's entry."""
        return self._model

    @property
    def context(self) -> int:
        """The most tokens that are read of a request and a text together, template included."""
        return self._model.context

    @property
    def threads(self) -> int:
        """How many cores are used at most."""
        return self._threads

    def score(
        self, query: str, documents: Sequence[str], *, deadline: float | None = None
    ) -> FloatArray:
        """How well each text answers the request: float32 of shape (len(documents),).

        Scores are logits: of a relevant text mostly above 0, of others below; the logistic
        function makes chances of them. What is too long of a text is not read, and of a request not
        what is beyond half of the context. So begin a text with what must be read of it.

        Args:
            deadline: when it should be done, as `time.monotonic` tells it. From the first text on
                as many are read as are likely to be done by then, going by how fast the model has
                read of late; the scores of the others are missing at the end.

        Raises:
            EngineError: if llama.cpp fails or the reranker is closed meanwhile.
        """
        scores: list[float] = []
        if self._turn.acquire(timeout=-1 if deadline is None else max(0, _until(deadline))):
            try:
                for document in documents:
                    pair = self._pair(query, document)
                    if deadline is not None and not self._has_time(pair, deadline):
                        break
                    scores.append(self._read(pair))
            finally:
                self._turn.release()
        return np.array(scores, dtype=np.float32)

    def warm_up(self) -> None:
        """Read a short text, so that the first call with a deadline knows how fast the model is.

        Raises:
            EngineError: as `score`.
        """
        with self._turn:
            self._measure()

    def _measure(self) -> None:
        for sample in (_SAMPLES[0], _SAMPLES[-1]):
            self._pace = Pace()
            self._read(self._pair("", sample))

    def _measure_again(self, deadline: float) -> None:
        """Learn the pace anew, from longer and longer texts while they are likely to be done."""
        measured = False
        for sample in _SAMPLES:
            pair = self._pair("", sample)
            if (fresh := self._fresh(pair)) == 1:  # one token takes far longer than one of many
                continue
            if measured and self._pace.expect(fresh) > _until(deadline):
                break
            self._pace = Pace()
            self._read(pair)
            measured = True

    def _has_time(self, pair: IntArray, deadline: float) -> bool:
        """Whether `pair` will have been read in time."""
        if not self._pace.known:
            if _until(deadline) <= 0:
                return False
            self._measure()
        if self._pace.expect(self._fresh(pair)) <= _until(deadline):
            return True
        if time.monotonic() < self._read_at + _STALE_SECONDS:
            return False
        if _until(deadline) <= 0:
            return False
        self._measure_again(deadline)
        return self._pace.expect(self._fresh(pair)) <= _until(deadline)

    def _pair(self, query: str, document: str) -> IntArray:
        (pair,) = self._prompt.pairs(query, [document])
        return pair

    def _read(self, pair: IntArray) -> float:
        if self._closed.is_set():
            raise EngineError("this model has been closed.")
        fresh, began = self._fresh(pair), time.monotonic()
        outputs = self._context.outputs(pair)
        self._read_at = time.monotonic()
        self._pace.learn(fresh, self._read_at - began)
        self._last = pair
        return self._logit(outputs)

    def _fresh(self, pair: IntArray) -> int:
        """How many tokens are to be computed to read `pair`, as it follows the last one."""
        if not self._engine.causal:
            return len(pair)
        length = min(len(pair) - 1, len(self._last))
        differing = np.flatnonzero(pair[:length] != self._last[:length])
        return len(pair) - (int(differing[0]) if len(differing) else length)

    def close(self) -> None:
        """Free the model, once the text that is being read is done."""
        self._closed.set()
        with self._turn:
            self._context.close()
            self._engine.close()

    def _logit(self, outputs: FloatArray) -> float:
        """A head's one number, or the log odds of the first of two chances."""
        if not np.isfinite(outputs).all():
            raise EngineError("llama.cpp gave a score that is no number: the model is damaged.")
        if len(outputs) == 1:
            return float(outputs[0])
        if outputs.sum() < _CERTAIN:
            raise EngineError(
                f"{self._model.name}: its answers' chances are {outputs.tolist()}, which do not "
                "add up to 1: its file has no head that works. Convert it from its safetensors."
            )
        yes, no = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
        return float(yes - no)

    def __enter__(self) -> Reranker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _until(deadline: float) -> float:
    """Seconds."""
    return deadline - time.monotonic()


def _prompt(model: Model, engine: LlamaModel) -> Prompt:
    """How the model is shown a pair.

    Raises:
        EngineError: if neither catalogue nor file knows.
    """
    if not engine.causal:
        return SegmentPrompt(engine, model.context)
    template = model.template or engine.metadata(_TEMPLATE)
    if template is None:
        raise EngineError(
            f"{model.name}: neither its file nor its entry has a template to ask it with."
        )
    return ChatPrompt(engine, model.context, template)
