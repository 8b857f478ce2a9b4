from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from skillrouter_mcp.index.errors import QuarantinedError
from skillrouter_mcp.index.mirror import Floats
from skillrouter_mcp.index.quarantine import Quarantine
from skillrouter_mcp.routing.guarded_reranker import GuardedReranker

SHA256 = "a" * 64
# Crashes as llama.cpp does, while it reads texts with a reranker.
CRASHES = """
import json, os, sys
from pathlib import Path
from types import SimpleNamespace
from skillrouter_mcp.index.quarantine import Quarantine
from skillrouter_mcp.routing.guarded_reranker import GuardedReranker

class Deadly:
    model = SimpleNamespace(sha256=sys.argv[4])

    def score(self, query, documents, *, deadline=None):
        if sys.argv[3] in (query, *documents):
            os.abort()
        return [0.0] * len(documents)

quarantine = Quarantine(Path(sys.argv[1]), "key")
quarantine.arm()
query, *documents = json.loads(sys.argv[2])
GuardedReranker(Deadly(), quarantine).score(query, documents, 1e12)
"""


class _Reranker:
    """Writes down what it is given, call by call."""

    def __init__(self, read: int = 99) -> None:
        self.model = SimpleNamespace(sha256=SHA256)
        self.calls: list[tuple[str, list[str]]] = []
        self._read = read

    def score(
        self, query: str, documents: Sequence[str], *, deadline: float | None = None
    ) -> Floats:
        self.calls.append((query, list(documents)))
        return np.arange(len(documents), dtype=np.float32)[: self._read]


def _crash(home: Path, *texts: str, deadly: str, sha256: str = SHA256) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, str(home), json.dumps(texts), deadly, sha256],
        capture_output=True,
        check=False,
    )
    assert done.returncode < 0, done.stderr


def _guarded(home: Path, read: int = 99) -> tuple[_Reranker, GuardedReranker]:
    reranker = _Reranker(read)
    return reranker, GuardedReranker(cast("Any", reranker), Quarantine(home, "key"))


def _later() -> float:
    return time.monotonic() + 60


def test_scores_come_with_nan_for_what_was_not_read(tmp_path: Path) -> None:
    reranker, guarded = _guarded(tmp_path, read=2)
    scores = guarded.score("q", ["a", "b", "c"], _later())
    assert scores[:2].tolist() == [0, 1]
    assert np.isnan(scores[2])
    assert reranker.calls == [("q", ["a", "b", "c"])]


def test_a_text_that_ends_the_process_is_found_and_kept_from_it(tmp_path: Path) -> None:
    for _ in range(2):
        _crash(tmp_path, "q", "a", "deadly", "b", deadly="deadly")
    reranker, guarded = _guarded(tmp_path)
    scores = guarded.score("other", ["c", "deadly", "d"], _later())
    assert reranker.calls == [("other", ["c", "d"])]
    assert np.isnan(scores).tolist() == [False, True, False]


def test_a_request_that_ends_the_process_is_not_read_again(tmp_path: Path) -> None:
    for _ in range(2):
        _crash(tmp_path, "deadly", "a", "b", deadly="deadly")
    _, guarded = _guarded(tmp_path)
    with pytest.raises(QuarantinedError, match=r"has ended llama\.cpp before"):
        guarded.score("deadly", ["a"], _later())


def test_those_that_were_suspected_are_read_alone_once(tmp_path: Path) -> None:
    _crash(tmp_path, "q", "a", "deadly", deadly="deadly")
    reranker, guarded = _guarded(tmp_path)
    guarded.score("q", ["a", "b"], _later())
    assert reranker.calls == [("q", [""]), ("q", ["a"]), ("q", ["b"])]
    guarded.score("q", ["a", "b"], _later())
    assert reranker.calls[3:] == [("q", ["a", "b"])]


def test_suspects_are_not_read_when_the_time_is_over(tmp_path: Path) -> None:
    _crash(tmp_path, "q", "a", "deadly", deadly="deadly")
    reranker, guarded = _guarded(tmp_path)
    assert np.isnan(guarded.score("q", ["a"], time.monotonic() - 1)).all()
    assert reranker.calls == [("q", [""])]
    _, again = _guarded(tmp_path)
    assert again._quarantine.suspects(again._note("a"))


def test_another_reranker_and_the_encoder_may_read_it(tmp_path: Path) -> None:
    for _ in range(2):
        _crash(tmp_path, "q", "deadly", deadly="deadly", sha256="b" * 64)
    reranker, guarded = _guarded(tmp_path)
    guarded.score("q", ["deadly"], _later())
    assert reranker.calls == [("q", ["deadly"])]
    assert not Quarantine(tmp_path, "key").holds("deadly")
