"""The models of a profile, each loaded when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from skillrouter_gguf import Encoder, Model
from skillrouter_mcp.index.quarantine import GuardedEncoder, Quarantine
from skillrouter_mcp.routing.guarded_reranker import GuardedReranker
from skillrouter_mcp.routing.models import engine_key, model_store, reranker_of
from skillrouter_mcp.settings import Settings


class Engines:
    """Encoder and reranker of some settings; safe to use from any thread.

    Attributes:
        quarantine: of the texts that are kept from them.
    """

    def __init__(
        self, settings: Settings, encoder: Model, home: Path, give_way: Callable[[], None]
    ) -> None:
        """
        Args:
            encoder: the catalogue's entry.
            home: where the quarantine is kept.
            give_way: called before each text of a document that is embedded.
        """
        self._settings = settings
        self._model = encoder
        self._give_way = give_way
        self.quarantine = Quarantine(home, engine_key(encoder))
        self._encoder: GuardedEncoder | None = None
        self._encoder_lock = threading.Lock()
        self._reranker: GuardedReranker | None = None
        self._reranker_lock = threading.Lock()

    def encoder(self) -> GuardedEncoder:
        """The encoder, its model loaded at the first call.

        Raises:
            ModelError: the model cannot be used; says why.
        """
        with self._encoder_lock:
            if self._encoder is None:
                path = model_store(self._settings).path(self._model)
                encoder = Encoder.open(
                    self._model,
                    path=path,
                    threads=self._settings.threads,
                    give_way=self._give_way,
                )
                self.quarantine.arm()
                self._encoder = GuardedEncoder(encoder, self.quarantine)
            return self._encoder

    def reranker(self) -> GuardedReranker:
        """The profile's reranker, its model loaded at the first call.

        Raises:
            ModelError: the model cannot be used; says why.
        """
        self.encoder()  # which arms the quarantine
        with self._reranker_lock:
            if self._reranker is None:
                from skillrouter_gguf import Reranker  # few have one

                model = reranker_of(self._settings)
                assert model is not None
                path = model_store(self._settings).path(model)
                reranker = Reranker.open(model, path=path, threads=self._settings.threads)
                reranker.warm_up()
                self._reranker = GuardedReranker(reranker, self.quarantine)
            return self._reranker

    def close(self) -> None:
        """Frees the models."""
        with self._reranker_lock:
            if self._reranker is not None:
                self._reranker.close()
                self._reranker = None
        with self._encoder_lock:
            if self._encoder is not None:
                self._encoder.close()
                self._encoder = None
