"""llama.cpp, behind one door: nothing else in the package imports `llama_cpp`.

`ggml_abort` ends the process and can't be caught, so every limit it guards is checked here first:
token counts, positions, use from two threads, after `close` and after a fork.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skillrouter_gguf.errors import EngineError
from skillrouter_gguf.normalisation import STRIP_ACCENTS, normaliser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    IntArray = NDArray[np.int32]
    FloatArray = NDArray[np.float32]

Pooling = Literal["mean", "cls", "last", "rank"]

_ERROR_LEVEL = 4  # of `enum ggml_log_level`
# llama.cpp sets aside a float per token of a text and per word of the vocabulary, and never gives
# it back: 60 MB for a full text of BERT. Contexts that used more than this many start afresh.
_OUTPUTS_KEPT = 4_000_000
_SPINS = "1000"
_error_lines: deque[str] = deque(maxlen=4)
_callbacks: list[Any] = []  # llama.cpp calls them for as long as the process lives


def _engine() -> Any:
    """The `llama_cpp` module, imported on first use and good for that process alone."""
    engine, process = _load()
    if process != os.getpid():
        raise EngineError("a model can't be used after a fork; start processes by spawning.")
    return engine


@cache
def _load() -> tuple[Any, int]:
    """The `llama_cpp` module, and the process that loaded it.

    Threads that wait for each other spin for some microseconds and then sleep: spinning for long,
    OpenMP's default, makes a query ten times slower as soon as another process is busy, and going
    to sleep at once makes it slower than with one thread. The variables are read when the library
    is loaded.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(
            f"llama.cpp can't be loaded ({error}). Reinstall llama-cpp-python on this machine: a "
            "build made for another processor, or without its shared libraries, does not load."
        ) from error
    callback = llama_cpp.llama_log_callback(_keep_errors)
    llama_cpp.llama_log_set(callback, None)
    _callbacks.append(callback)
    llama_cpp.llama_backend_init()
    return llama_cpp, os.getpid()


def _keep_errors(level: int, text: bytes, _data: object) -> None:
    if level == _ERROR_LEVEL:
        _error_lines.append(text.decode("utf-8", "replace").strip())


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Puts Ctrl-C off to the end of a call that logs much: ctypes drops what a callback raises."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    held: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


def _failure(what: str) -> EngineError:
    lines = list(dict.fromkeys(_error_lines))
    _error_lines.clear()
    return EngineError(f"{what}: {' / '.join(lines)}" if lines else f"{what}.")


def _closed() -> EngineError:
    return EngineError("this model has been closed.")


def _overrides(engine: Any) -> Any:
    """Metadata that counts for more than the file's: accents are dropped before llama.cpp."""
    overrides = (engine.llama_model_kv_override * 2)()  # the second, without a key, ends the list
    overrides[0].key = STRIP_ACCENTS.encode()
    overrides[0].tag = engine.LLAMA_KV_OVERRIDE_TYPE_BOOL
    overrides[0].value.val_bool = False
    return overrides


def system_info() -> str:
    """llama-cpp-python's version, and what of this processor it was built to use.

    Raises:
        EngineError: if llama.cpp can't be loaded.
    """
    engine = _engine()
    report: str = engine.llama_print_system_info().decode("utf-8", "replace")
    settings = (item.rpartition(":")[2].partition("=") for item in report.split("|"))
    features = [name.strip() for name, _, value in settings if value.strip() == "1"]
    return f"llama-cpp-python {engine.__version__} with {', '.join(features)}"


class LlamaModel:
    """Weights and tokenizer of one GGUF file; may be shared by contexts in several threads.

    Attributes:
        dimensions: length of a vector.
        outputs: how many numbers a reranker's head gives.
        context: the most tokens that it was made to read.
        causal: whether a token sees only those before it.

    Raises:
        EngineError: if llama.cpp refuses the file.
    """

    def __init__(self, path: Path) -> None:
        self._engine = _engine()
        parameters = self._engine.llama_model_default_params()
        parameters.kv_overrides = _overrides(self._engine)
        _error_lines.clear()
        with _interrupts_held():
            self.handle = self._engine.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.handle:
            raise _failure(f"{path}: llama.cpp can't load this model")
        vocabulary = self._engine.llama_model_get_vocab(self.handle)
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._closes = bool(
            self._engine.llama_vocab_get_add_sep(vocabulary)
            or self._engine.llama_vocab_get_add_eos(vocabulary)
        )
        self.dimensions: int = self._engine.llama_model_n_embd_out(self.handle)
        self.outputs: int = self._engine.llama_model_n_cls_out(self.handle)
        self.context: int = self._engine.llama_model_n_ctx_train(self.handle)
        self.vocabulary_size: int = self._engine.llama_vocab_n_tokens(vocabulary)
        architecture = self.metadata("general.architecture")
        self.causal = self.metadata(f"{architecture}.attention.causal") != "false"
        self._normalise = normaliser(self.metadata)

    def metadata(self, key: str) -> str | None:
        """The value of `key` in the file's metadata as text, or None where there is none."""
        room = 256
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = self._engine.llama_model_meta_val_str(self.handle, key.encode(), buffer, room)
            if length < room:
                return None if length < 0 else buffer.value.decode("utf-8", "replace")
            room = length + 1

    def frame(self) -> tuple[IntArray, IntArray]:
        """The special tokens before and behind a text, as int32 of shape (0,) or (1,)."""
        engine, vocabulary = self._engine, self._vocabulary
        opening = closing = -1
        if engine.llama_vocab_get_add_bos(vocabulary):
            opening = engine.llama_vocab_bos(vocabulary)
        if engine.llama_vocab_get_add_eos(vocabulary):
            closing = engine.llama_vocab_eos(vocabulary)
        elif engine.llama_vocab_get_add_sep(vocabulary):
            closing = engine.llama_vocab_sep(vocabulary)
        before, behind = (
            np.array([token] if token >= 0 else [], dtype=np.int32) for token in (opening, closing)
        )
        return before, behind

    def tokenise(self, text: str, limit: int) -> IntArray:
        """The token ids of `text`, special tokens around it, as int32 of at most `limit`.

        A longer text loses its end but keeps the token that closes it. Special tokens written out
        in `text` are plain text. A lone surrogate becomes U+FFFD.
        """
        tokens = self._tokenise_start(text, limit, framed=True)
        if len(tokens) > limit:
            closing = tokens[-1]
            tokens = tokens[:limit]
            if self._closes:
                tokens[-1] = closing
        return tokens

    def tokenise_part(self, text: str, limit: int) -> IntArray:
        """The token ids of `text` alone, as int32 of at most `limit`; otherwise like `tokenise`."""
        return self._tokenise_start(text, limit, framed=False)[:limit]

    def tokenise_markup(self, text: str) -> IntArray:
        """The token ids of `text` alone, in which special tokens written out are those tokens.

        For templates only: a text from elsewhere could end its part and open another.
        """
        return self._tokenise(text, framed=False, markup=True)

    def after_markup(self, text: str) -> str:
        """What stands in `text` behind its last special token; all of it if there is none."""
        engine, vocabulary = self._engine, self._vocabulary
        for token in reversed(self.tokenise_markup(text).tolist()):
            if engine.llama_vocab_get_attr(vocabulary, token) & engine.LLAMA_TOKEN_ATTR_CONTROL:
                name: str = engine.llama_vocab_get_text(vocabulary, token).decode()
                return text.rpartition(name)[2]
        return text

    def _tokenise_start(self, text: str, limit: int, *, framed: bool) -> IntArray:
        """The token ids of so much of `text` that more than `limit` of them are right."""
        length = 8 * limit
        while True:
            tokens = self._tokenise(text[:length], framed=framed)
            if len(text) <= length or len(tokens) > limit + 8:
                return tokens
            length *= 2

    def _tokenise(self, text: str, *, framed: bool, markup: bool = False) -> IntArray:
        try:
            data = self._normalise(text).encode()
        except UnicodeEncodeError:
            whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            data = self._normalise(whole).encode()
        room = len(data) + 8
        tokens = np.empty(room, dtype=np.int32)
        pointer = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        with self._lock:
            if not self.handle:
                raise _closed()
            count = self._engine.llama_tokenize(
                self._vocabulary, data, len(data), pointer, room, framed, markup
            )
        if count < 0:
            raise _failure(f"llama.cpp can't tokenise a text of {len(data)} bytes")
        ids: IntArray = tokens[:count].copy()
        return ids

    def close(self) -> None:
        """Free the weights; every context must have been closed before."""
        with self._lock:
            if self.handle:
                self._engine.llama_model_free(self.handle)
                self.handle = None


class Context(ABC):
    """Working memory to compute one text at a time with a `LlamaModel`.

    Safe to share between threads: a lock lets one text in at a time.

    Args:
        tokens: the longest text.
        threads: how many threads compute one text.

    Raises:
        EngineError: if llama.cpp can't make it, or from `embed` and `outputs`, if it can't compute.
    """

    def __init__(self, model: LlamaModel, pooling: Pooling, *, tokens: int, threads: int) -> None:
        self._engine = engine = _engine()
        self._model = model
        self._limit = tokens
        self._width = model.outputs if pooling == "rank" else model.dimensions
        self._lock = threading.Lock()
        self._closed = False
        self._handle: Any = None
        self._parameters = parameters = engine.llama_context_default_params()
        parameters.n_seq_max = 1
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.embeddings = True
        parameters.pooling_type = getattr(engine, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
        parameters.no_perf = True

    def embed(self, tokens: IntArray) -> FloatArray:
        """The pooled vector of one text, L2-normalised, as float32 of the model's dimensions.

        Args:
            tokens: at least one and no more than the context holds.
        """
        vector = self.outputs(tokens)
        with np.errstate(over="ignore"):
            norm = float(np.linalg.norm(vector))
        if not np.isfinite(norm) or norm == 0:
            raise EngineError(f"llama.cpp gave a vector of length {norm}: the model is damaged.")
        unit: FloatArray = vector / np.float32(norm)
        return unit

    def outputs(self, tokens: IntArray) -> FloatArray:
        """What the model's pooling gives for one text, as it is: float32 of shape (n,)."""
        if not 0 < len(tokens) <= self._limit:
            raise EngineError(f"a text of {len(tokens)} tokens; 1 to {self._limit} can be read.")
        _engine()
        with self._lock:
            if self._closed:
                raise _closed()
            return self._compute(tokens)

    def close(self) -> None:
        """Free the working memory, once a text that is being computed is done."""
        with self._lock:
            self._closed = True
            self._free()

    @abstractmethod
    def _compute(self, tokens: IntArray) -> FloatArray:
        """The outputs for `tokens`; called by one thread at a time."""

    def _make_handle(self) -> Any:
        if not self._model.handle:
            raise _closed()
        _error_lines.clear()
        with _interrupts_held():
            handle = self._engine.llama_init_from_model(self._model.handle, self._parameters)
        if not handle:
            raise _failure("llama.cpp can't make room for this model's computations")
        return handle

    def _make_batch(self, size: int, *, outputs: bool) -> Any:
        """A batch of one sequence; only its tokens and their number change from text to text."""
        first = ctypes.pointer(ctypes.c_int32(0))
        return self._engine.llama_batch(
            n_tokens=0,
            pos=(ctypes.c_int32 * size)(*range(size)),
            n_seq_id=(ctypes.c_int32 * size)(*[1] * size),
            seq_id=(ctypes.POINTER(ctypes.c_int32) * size)(*[first] * size),
            logits=(ctypes.c_int8 * size)(*[int(outputs)] * size),
        )

    def _decode(self, batch: Any, tokens: IntArray) -> None:
        batch.n_tokens = len(tokens)
        batch.token = tokens.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        _error_lines.clear()
        if status := self._engine.llama_decode(self._handle, batch):
            raise _failure(f"llama.cpp can't read a text of {len(tokens)} tokens ({status})")

    def _pooled(self) -> FloatArray:
        pointer = self._engine.llama_get_embeddings_seq(self._handle, 0)
        if not pointer:
            raise _failure("llama.cpp gave no vector: this model does not pool its tokens")
        vector: FloatArray = np.ctypeslib.as_array(pointer, (self._width,)).copy()
        return vector

    def _free(self) -> None:
        if self._handle is not None:
            self._engine.llama_free(self._handle)
            self._handle = None


class LlamaContext(Context):
    """For models in which all tokens see each other: a text is computed whole, every time."""

    def __init__(self, model: LlamaModel, pooling: Pooling, *, tokens: int, threads: int) -> None:
        super().__init__(model, pooling, tokens=tokens, threads=threads)
        parameters = self._parameters
        # One text must fit in one micro-batch: pooling over several is wrong.
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = tokens
        parameters.flash_attn_type = self._engine.LLAMA_FLASH_ATTN_TYPE_ENABLED
        self._batch = self._make_batch(tokens, outputs=True)
        self._handle = self._make_handle()

    def _compute(self, tokens: IntArray) -> FloatArray:
        if self._handle is None:
            self._handle = self._make_handle()
        if memory := self._engine.llama_get_memory(self._handle):
            self._engine.llama_memory_clear(memory, False)
        self._decode(self._batch, tokens)
        vector = self._pooled()
        if len(tokens) * self._model.vocabulary_size > _OUTPUTS_KEPT:
            self._free()
        return vector
