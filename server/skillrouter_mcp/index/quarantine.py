"""Texts over which the engine has ended its process, so that none does so twice.

llama.cpp aborts where it finds itself in a state that it takes for impossible, and nothing in the
process can prevent that. So the texts at hand are noted before it sees them, and the next process
reads what the one before was at when it crashed. Several texts at once are only suspected: each is
then embedded with nothing beside it, and the one that ends the process again is kept from it.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skillrouter_mcp.index.errors import QuarantinedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skillrouter_gguf import Encoder, Model

    Vectors = NDArray[np.float32]

_LOG = logging.getLogger(__name__)
_FILE = "quarantine.json"
_AT_HAND = "engine-{}.crash"
_CRASHED = ("Fatal Python error", "Windows fatal exception")  # as faulthandler writes it


class Quarantine:
    """What is known of texts that end the process; safe to use from several threads."""

    def __init__(self, home: Path, key: str) -> None:
        """
        Args:
            key: of the model and the engine; what is known of others is forgotten.
        """
        self._home = home
        self._key = key
        self._lock = threading.Condition()
        self._at_hand: list[frozenset[str]] = []
        self._alone = False
        self._file: Any = None
        self._suspects: set[str] = set()
        self._held: dict[str, float] = {}
        self._load()
        self._learn()

    def holds(self, text: str) -> bool:
        """Whether the engine must not see this text."""
        return _digest(text) in self._held

    def suspects(self, text: str) -> bool:
        """Whether the engine should see this text with no other beside it."""
        return _digest(text) in self._suspects

    def held(self) -> dict[bytes, float]:
        """SHA-256 of the texts that are kept from the engine, and since when (seconds since the
        epoch)."""
        return {bytes.fromhex(digest): since for digest, since in self._held.items()}

    @contextmanager
    def noting(self, texts: Sequence[str], *, alone: bool = False) -> Iterator[None]:
        """The engine is at these texts.

        Args:
            alone: nothing else may be at hand meanwhile; a suspicion ends if all goes well.
        """
        digests = frozenset(map(_digest, texts))
        with self._lock:
            self._lock.wait_for(lambda: not self._alone and not (alone and self._at_hand))
            self._alone = alone
            self._at_hand.append(digests)
            self._note()
        try:
            yield
            if alone:
                self._clear(digests)
        finally:
            with self._lock:
                self._at_hand.remove(digests)
                self._alone = False
                self._note()
                self._lock.notify_all()

    def _clear(self, digests: frozenset[str]) -> None:
        with self._lock:
            if digests & self._suspects:
                self._suspects -= digests
                self._save()

    def arm(self) -> None:
        """From now on a crash of this process leaves behind what was at hand. Without effect where
        something else already looks after crashes, or nothing can be written."""
        if self._file is not None or faulthandler.is_enabled():
            return
        with suppress(OSError):
            path = self._home / _AT_HAND.format(os.getpid())
            handle = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_RDWR, 0o600)
            self._file = os.fdopen(handle, "ab", buffering=0)
            faulthandler.enable(self._file, all_threads=False)

    def close(self) -> None:
        """Ends what `arm` began."""
        if self._file is not None:
            faulthandler.disable()
            self._file.close()
            self._file = None
            with suppress(OSError):
                (self._home / _AT_HAND.format(os.getpid())).unlink()

    def _note(self) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            os.ftruncate(self._file.fileno(), 0)
            if self._at_hand:
                everything = sorted(frozenset[str]().union(*self._at_hand))
                self._file.write(json.dumps(everything).encode() + b"\n")

    def _learn(self) -> None:
        """Reads what processes that have crashed were at."""
        for path in self._home.glob(_AT_HAND.format("*")):
            try:
                noted, _, rest = path.read_text("utf-8", "replace").partition("\n")
                crashed = any(word in noted + rest for word in _CRASHED)
                if not crashed and _runs(path):
                    continue
                path.unlink()
            except OSError:
                continue
            if crashed:
                self._accuse(noted)

    def _accuse(self, noted: str) -> None:
        try:
            digests = {str(digest) for digest in json.loads(noted)} - self._held.keys()
        except (ValueError, TypeError):
            return
        if len(digests) == 1:
            _LOG.error(
                "llama.cpp has ended the process over a text, which is kept from it from now on; "
                "skillrouter-mcp doctor tells which"
            )
            self._held.update(dict.fromkeys(digests, time.time()))
            self._suspects -= digests
        else:
            _LOG.error("llama.cpp has ended the process over one of %d texts", len(digests))
            self._suspects |= digests
        self._save()

    def _load(self) -> None:
        try:
            known = json.loads((self._home / _FILE).read_text("utf-8"))
            if known["key"] == self._key:
                self._suspects = {str(digest) for digest in known["suspects"]}
                self._held = {
                    bytes.fromhex(digest).hex(): float(at) for digest, at in known["held"].items()
                }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._suspects, self._held = set(), {}

    def _save(self) -> None:
        path = self._home / _FILE
        whole = {"key": self._key, "suspects": sorted(self._suspects), "held": self._held}
        draft = path.with_name(f"{_FILE}.{os.getpid()}")
        with suppress(OSError):
            draft.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
            draft.replace(path)


class GuardedEncoder:
    """An encoder that never sees a text which would end the process."""

    def __init__(self, encoder: Encoder, quarantine: Quarantine) -> None:
        self._encoder = encoder
        self._quarantine = quarantine

    @property
    def model(self) -> Model:
        """The catalogue's entry."""
        return self._encoder.model

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_queries`.

        Raises:
            QuarantinedError: one of them would end the process.
        """
        if any(map(self._quarantine.holds, texts)):
            raise QuarantinedError("the request has ended llama.cpp before")
        return self._guarded(self._encoder.encode_queries, texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """As `Encoder.encode_documents`; zero for those that would end the process."""
        vectors = np.zeros((len(texts), self._encoder.dimensions), np.float32)
        rows = [row for row, text in enumerate(texts) if not self._quarantine.holds(text)]
        if rows:
            vectors[rows] = self._guarded(
                self._encoder.encode_documents, [texts[row] for row in rows]
            )
        return vectors

    def _guarded(self, encode: Callable[[Sequence[str]], Vectors], texts: Sequence[str]) -> Vectors:
        if not any(map(self._quarantine.suspects, texts)):
            with self._quarantine.noting(texts):
                return encode(texts)
        vectors = []
        for text in texts:
            with self._quarantine.noting([text], alone=self._quarantine.suspects(text)):
                vectors.append(encode([text]))
        return np.concatenate(vectors)

    def close(self) -> None:
        self._encoder.close()
        self._quarantine.close()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _runs(path: Path) -> bool:
    """Whether the process whose file this is may still be there."""
    if os.name == "nt":
        return time.time() - path.stat().st_mtime < 24 * 3600
    try:
        os.kill(int(path.stem.rpartition("-")[2]), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError, PermissionError):
        return True
    return True
