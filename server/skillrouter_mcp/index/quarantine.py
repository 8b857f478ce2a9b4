"""Texts over which the engine has ended its process, so that none does so twice.

llama.cpp aborts where it finds itself in a state that it takes for impossible, and nothing in the
process can prevent that. So the texts at hand are noted before it sees them, and the next process
reads what the one before was at when it crashed. Several texts at once are only suspected: each is
then embedded with nothing beside it, and the one that ends the process again is kept from it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from skillrouter_mcp.index.errors import QuarantinedError
from skillrouter_mcp.index.quarantine_notes import NOTES, take_left

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from skillrouter_gguf import Encoder, Model

    Vectors = NDArray[np.float32]

_LOG = logging.getLogger(__name__)
_FILE = "quarantine.json"
_LOCK_FILE = "quarantine.lock"
_LOCK_SECONDS = 5.0


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
        self._armed = False
        self._known = self._load()[key]
        for left in take_left(home):
            self._accuse(left)

    def holds(self, text: str) -> bool:
        """Whether the engine must not see this text."""
        return _digest(text) in self._known.held

    def suspects(self, text: str) -> bool:
        """Whether the engine should see this text with no other beside it."""
        return _digest(text) in self._known.suspects

    def held(self) -> dict[bytes, float]:
        """SHA-256 of the texts that are kept from the engine, and since when (seconds since the
        epoch); as the file has it, which somebody may have removed."""
        self._known = self._load()[self._key]
        return {bytes.fromhex(digest): since for digest, since in self._known.held.items()}

    @contextmanager
    def noting(self, texts: Sequence[str], *, alone: bool = False) -> Iterator[None]:
        """The engine is at these texts.

        Args:
            alone: no engine of this process may have anything else at hand meanwhile; a
                suspicion ends if all goes well.
        """
        digests = frozenset(map(_digest, texts))
        with NOTES.noting(self._key, digests, alone=alone):
            yield
            if alone and digests & self._known.suspects:
                self._clear(digests)

    def _clear(self, digests: frozenset[str]) -> None:
        def clear(everything: defaultdict[str, _Known]) -> None:
            everything[self._key].suspects -= digests

        self._change(clear)

    def arm(self) -> None:
        """From now on a crash of this process leaves behind what was at hand, until `close`.
        Without effect where something else already looks after crashes, or nothing can be
        written."""
        if not self._armed:
            self._armed = True
            NOTES.arm(self._home)

    def close(self) -> None:
        """Ends what `arm` began."""
        if self._armed:
            self._armed = False
            NOTES.disarm(self._home)

    def _accuse(self, left: Mapping[str, set[str]]) -> None:
        """Holds the text that a process was at when it crashed; suspects them if there were
        several, whichever engines were at them."""

        def accuse(everything: defaultdict[str, _Known]) -> None:
            texts = {key: digests - everything[key].held.keys() for key, digests in left.items()}
            count = sum(map(len, texts.values()))
            if count == 1:
                _LOG.error(
                    "llama.cpp has ended the process over a text, which is kept from it from now "
                    "on; skillrouter-mcp doctor tells which"
                )
            else:
                _LOG.error("llama.cpp has ended the process over one of %d texts", count)
            for key, digests in texts.items():
                known = everything[key]
                if count == 1:
                    known.held.update(dict.fromkeys(digests, time.time()))
                    known.suspects -= digests
                else:
                    known.suspects |= digests

        self._change(accuse)

    def _change(self, change: Callable[[defaultdict[str, _Known]], None]) -> None:
        """Changes what is known, in the file too unless that cannot be written."""
        try:
            with FileLock(self._home / _LOCK_FILE, timeout=_LOCK_SECONDS):
                everything = self._load()
                change(everything)
                self._save(everything)
        except OSError:
            everything = defaultdict(_Known, {self._key: self._known})
            change(everything)
        self._known = everything[self._key]

    def _load(self) -> defaultdict[str, _Known]:
        """What the file knows, by key; nothing where it is damaged."""
        everything: defaultdict[str, _Known] = defaultdict(_Known)
        try:
            sections = json.loads((self._home / _FILE).read_text("utf-8"))
            everything |= {str(key): _Known.of(section) for key, section in sections.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return everything

    def _save(self, everything: Mapping[str, _Known]) -> None:
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
