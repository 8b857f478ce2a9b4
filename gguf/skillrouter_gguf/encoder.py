"""From texts to vectors."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from skillrouter_gguf.causal import open_context
from skillrouter_gguf.cores import usable_cores
from skillrouter_gguf.errors import EngineError
from skillrouter_gguf.llama import LlamaModel
from skillrouter_gguf.model_file import verified_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from skillrouter_gguf.catalogue import Model
    from skillrouter_gguf.llama import FloatArray, IntArray

# Beyond this the memory of one more context buys little.
_MOST_LANES = 4
_LANE_NICENESS = 10
# A causal model's texts are long, and its contexts keep keys and values besides.
_CAUSAL_LANES = 1


class Encoder:
    """An encoder model, loaded; safe to use from several threads at once.

    Queries and documents are computed in separate contexts, so that a query never waits for a
    batch of documents, and gets the processor first where the system allows it. Documents go one
    text at a time through several contexts side by side, each with its share of the threads: more
    texts a second than one context with all of them. A text's vector does not depend on what else
    is in its batch.
    """

    def __init__(
        self, model: Model, engine: LlamaModel, threads: int, give_way: Callable[[], None]
    ) -> None:
        self._model = model
        self._engine = engine
        self._threads = threads
        self._give_way = give_way
        self._queries = open_context(engine, model.pooling, tokens=model.context, threads=threads)
        self._documents = threading.Lock()
        self._change = threading.Condition()
        self._lanes = 0
        self._closed = False

    @classmethod
    def open(
        cls,
        model: Model,
        *,
        path: Path | None = None,
        threads: int | None = None,
        give_way: Callable[[], None] = lambda: None,
    ) -> Encoder:
        """Check the model's file and load it.

        Args:
            model: an encoder of the catalogue.
            path: its file, if not where the catalogue's files are kept.
            threads: at most so many cores are used; all usable ones by default.
            give_way: called before each text of a document, to wait for what is more urgent.

        Raises:
            ModelFileError: if the file is missing or not what the catalogue says.
            EngineError: if llama.cpp can't load it, or finds another model than described.
        """
        if model.kind != "encoder":
            raise EngineError(f"{model.name} is a {model.kind}, not an encoder.")
        if threads is not None and threads < 1:
            raise EngineError(f"{threads} threads can't compute anything; give 1 or more.")
        file = verified_path(model, path)
        engine = LlamaModel(file)
        try:
            if engine.dimensions != model.dimensions or engine.context < model.context:
                raise EngineError(
                    f"{file}: has {engine.dimensions} dimensions and reads {engine.context} "
                    f"tokens; {model.name} should have {model.dimensions} and {model.context}."
                )
            return cls(model, engine, threads or usable_cores(), give_way)
        except BaseException:
            engine.close()
            raise

    @property
    def model(self) -> Model:
        """The catalogue's entry."""
        return self._model

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self._model.dimensions

    @property
    def context(self) -> int:
        """The most tokens that are read of a text, prefix and special tokens included."""
        return self._model.context

    @property
    def threads(self) -> int:
        """How many cores are used at most."""
        return self._threads

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` has, special tokens included and prefixes not, up to `context`."""
        return len(self._engine.tokenise(text, self.context))

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        """Embed requests: float32 of shape (len(texts), dimensions), rows of length 1.

        A text is read up to `context` tokens. Raises EngineError if llama.cpp fails.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._queries.embed(self._tokenise(self._model.query_prefix + text))
        return vectors

    def encode_documents(self, texts: Sequence[str]) -> FloatArray:
        """Embed documents: float32 of shape (len(texts), dimensions), rows of length 1.

        A text is read up to `context` tokens. One call computes at a time, others wait. Raises
        EngineError if llama.cpp fails or the encoder is closed meanwhile.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        rows = [self._tokenise(self._model.document_prefix + text) for text in texts]
        if not rows:
            return vectors
        # Lanes take the longest text first, so that they finish together.
        waiting = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        longest = len(rows[waiting[-1]])
        most = _CAUSAL_LANES if self._engine.causal else _MOST_LANES
        lanes = min(self._threads, most, len(rows))
        failed = threading.Event()

        def run_lane(threads: int) -> None:
            with self._computing():
                context = open_context(
                    self._engine, self._model.pooling, tokens=longest, threads=threads
                )
                try:
                    while waiting:
                        self._give_way()
                        if failed.is_set() or self._closed:
                            break
                        row = waiting.pop()
                        vectors[row] = context.embed(rows[row])
                except IndexError:
                    return
                except BaseException:
                    failed.set()
                    raise
                finally:
                    context.close()
                if self._closed:
                    raise _closed_early()

        with self._documents, ThreadPoolExecutor(lanes, "encode", _yield_to_queries) as pool:
            running = [
                pool.submit(run_lane, (self._threads + lane) // lanes) for lane in range(lanes)
            ]
            try:
                for lane in running:
                    lane.result()
            except BaseException:
                failed.set()
                raise
        return vectors

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Keeps the model from being freed.

        A lane says so itself: an interrupt may leave one running that its pool does not know of.
        """
        with self._change:
            if self._closed:
                raise _closed_early()
            self._lanes += 1
        try:
            yield
        finally:
            with self._change:
                self._lanes -= 1
                self._change.notify_all()

    def close(self) -> None:
        """Free the model, once texts that are being embedded are done."""
        with self._change:
            self._closed = True
            self._change.wait_for(lambda: not self._lanes)
        self._queries.close()
        self._engine.close()

    def _tokenise(self, text: str) -> IntArray:
        return self._engine.tokenise(text, self.context)

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _closed_early() -> EngineError:
    return EngineError("this model has been closed before all texts were embedded.")


def _yield_to_queries() -> None:
    """Has the thread that calls this, and those it starts, stand back behind others."""
    if sys.platform == "linux":  # where threads have a niceness of their own
        os.nice(_LANE_NICENESS)
