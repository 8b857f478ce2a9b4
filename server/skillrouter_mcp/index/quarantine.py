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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from skillrouter_mcp.index.errors import QuarantinedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skillrouter_gguf import Encoder, Model

    Vectors = NDArray[np.float32]

_LOG = logging.getLogger(__name__)
_FILE = "quarantine.json"
_LOCK_FILE = "quarantine.lock"
_LOCK_SECONDS = 5.0
_AT_HAND = "engine-{}.crash"
_CRASHED = ("Fatal Python error", "Windows fatal exception")  # as faulthandler writes it


@dataclass(slots=True)
class _Known:
    """Digests of texts: those of which one has ended a process, and those that have, with when."""

    suspects: set[str] = field(default_factory=set)
    held: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, section: Any) -> _Known:
        held = {bytes.fromhex(digest).hex(): float(at) for digest, at in section["held"].items()}
        return cls({str(digest) for digest in section["suspects"]}, held)

    def section(self) -> dict[str, Any]:
        return {"suspects": sorted(self.suspects), "held": self.held}


class Quarantine:
    """What is known of texts that end the process; safe to use from several threads, and beside
    other processes that know more."""

    def __init__(self, home: Path, key: str) -> None:
        """
        Args:
            key: of the model and the engine; what is known of others is nothing to this one.
        """
        self._home = home
        self._key = key
        self._lock = threading.Condition()
        self._at_hand: list[frozenset[str]] = []
        self._alone = False
        self._file: Any = None
        self._known = self._load().get(key, _Known())
        self._learn()

    def holds(self, text: str) -> bool:
        """Whether the engine must not see this text."""
        return _digest(text) in self._known.held

    def suspects(self, text: str) -> bool:
        """Whether the engine should see this text with no other beside it."""
        return _digest(text) in self._known.suspects

    def held(self) -> dict[bytes, float]:
        """SHA-256 of the texts that are kept from the engine, and since when (seconds since the
        epoch); as the file has it, which somebody may have removed."""
        self._known = self._load().get(self._key, _Known())
        return {bytes.fromhex(digest): since for digest, since in self._known.held.items()}

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
        def clear(known: _Known) -> None:
            known.suspects -= digests

        with self._lock:
            if digests & self._known.suspects:
                self._change(self._key, clear)

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
                digests = sorted(frozenset[str]().union(*self._at_hand))
                note = {"key": self._key, "texts": digests}
                self._file.write(json.dumps(note).encode() + b"\n")

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
            note = json.loads(noted)
            key, digests = str(note["key"]), {str(digest) for digest in note["texts"]}
        except (ValueError, TypeError, KeyError):
            return

        def accuse(known: _Known) -> None:
            texts = digests - known.held.keys()
            if len(texts) == 1:
                _LOG.error(
                    "llama.cpp has ended the process over a text, which is kept from it from now "
                    "on; skillrouter-mcp doctor tells which"
                )
                known.held.update(dict.fromkeys(texts, time.time()))
                known.suspects -= texts
            else:
                _LOG.error("llama.cpp has ended the process over one of %d texts", len(texts))
                known.suspects |= texts

        self._change(key, accuse)

    def _change(self, key: str, change: Callable[[_Known], None]) -> None:
        """Changes what is known, in the file too unless that cannot be written."""
        try:
            with FileLock(self._home / _LOCK_FILE, timeout=_LOCK_SECONDS):
                everything = self._load()
                change(everything.setdefault(key, _Known()))
                self._save(everything)
        except OSError:
            everything = {self._key: self._known}
            change(everything.setdefault(key, _Known()))
        self._known = everything.get(self._key, _Known())

    def _load(self) -> dict[str, _Known]:
        """What the file knows, by key; nothing where it is damaged."""
        try:
            sections = json.loads((self._home / _FILE).read_text("utf-8"))
            return {str(key): _Known.of(section) for key, section in sections.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _save(self, everything: dict[str, _Known]) -> None:
        path = self._home / _FILE
        whole = {key: known.section() for key, known in everything.items()}
        draft = path.with_name(f"{_FILE}.{os.getpid()}")
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
