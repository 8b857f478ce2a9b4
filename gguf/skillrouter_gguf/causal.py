"""Running causal models, of which what was computed for the beginning of a text can be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skillrouter_gguf.llama import Context, LlamaContext

if TYPE_CHECKING:
    from skillrouter_gguf.llama import FloatArray, IntArray, LlamaModel, Pooling

# Tokens that are computed together; more is no faster.
_BATCH = 512
# Room for keys and values is made in steps of so many tokens, and kept.
_STEP = 512


def open_context(model: LlamaModel, pooling: Pooling, *, tokens: int, threads: int) -> Context:
    """A context of the kind that suits the model; see `Context`."""
    suits = model.causal and pooling in ("last", "rank")
    return (CausalContext if suits else LlamaContext)(
        model, pooling, tokens=tokens, threads=threads
    )


class CausalContext(Context):
    """For models in which a token sees only those before it; they pool the last token.

    Keys and values of the last text are kept: of the next one, only what comes behind their common
    beginning is computed. So texts that share an instruction or a request should follow each other.
    Only the last token's output is computed, and not, as llama.cpp does when asked for embeddings,
    every token's chances of every word.
    """

    def __init__(self, model: LlamaModel, pooling: Pooling, *, tokens: int, threads: int) -> None:
        super().__init__(model, pooling, tokens=tokens, threads=threads)
        parameters = self._parameters
        parameters.n_batch = parameters.n_ubatch = min(_BATCH, tokens)
        parameters.n_outputs_max = parameters.n_outputs_max_per_seq = 1
        # No faster here, and its rounding moves a reranker's logits ten times as far.
        parameters.flash_attn_type = self._engine.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._room = 0
        self._kept: IntArray = np.empty(0, dtype=np.int32)
        self._silent = self._make_batch(_BATCH, outputs=False)
        self._speaking = self._make_batch(1, outputs=True)

    def forget(self) -> None:
        """Compute the next text from its beginning."""
        with self._lock:
            self._kept = self._kept[:0]

    def _compute(self, tokens: IntArray) -> FloatArray:
        begin = self._make_room(tokens)
        # If anything fails from here on, nothing counts as computed.
        kept, self._kept = tokens, tokens[:0]
        memory = self._engine.llama_get_memory(self._handle)
        if not self._engine.llama_memory_seq_rm(memory, 0, begin, -1):
            self._engine.llama_memory_clear(memory, False)
            begin = 0
        last = len(tokens) - 1
        self._engine.llama_set_embeddings(self._handle, False)
        for start in range(begin, last, self._parameters.n_batch):
            part = tokens[start : min(start + self._parameters.n_batch, last)]
            self._place(self._silent, start, len(part))
            self._decode(self._silent, part)
        self._engine.llama_set_embeddings(self._handle, True)
        self._place(self._speaking, last, 1)
        self._decode(self._speaking, tokens[last:])
        vector = self._pooled()
        self._kept = kept.copy()
        return vector

    def _make_room(self, tokens: IntArray) -> int:
        """Room for `tokens`; gives how many of them are computed already, the last one excluded."""
        if self._handle is None or len(tokens) > self._room:
            self._free()
            self._kept = self._kept[:0]
            self._room = min(-(-len(tokens) // _STEP) * _STEP, self._limit)
            self._parameters.n_ctx = self._room
            self._handle = self._make_handle()
        length = min(len(tokens) - 1, len(self._kept))
        differing = np.flatnonzero(tokens[:length] != self._kept[:length])
        return int(differing[0]) if len(differing) else length

    @staticmethod
    def _place(batch: Any, start: int, count: int) -> None:
        """Let the first `count` tokens of `batch` stand at `start` and behind."""
        for number in range(count):
            batch.pos[number] = start + number
