from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from skillrouter_mcp.index.errors import QuarantinedError
from skillrouter_mcp.index.quarantine import GuardedEncoder, Quarantine

# Crashes as llama.cpp does, over what it was given.
CRASHES = """
import json, os, sys
from pathlib import Path
from skillrouter_mcp.index.quarantine import Quarantine

quarantine = Quarantine(Path(sys.argv[1]), "key")
quarantine.arm()
with quarantine.noting(json.loads(sys.argv[2])):
    os.abort() if sys.argv[3] == "abort" else os.kill(os.getpid(), 9)
"""


class _Encoder:
    """Writes down what it is given, text by text."""

    dimensions = 2

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def encode_documents(self, texts: Sequence[str]) -> Any:
        self.calls.append(list(texts))
        return np.ones((len(texts), 2), np.float32)

    encode_queries = encode_documents

    def close(self) -> None:
        pass


def _crash(home: Path, *texts: str, by: str = "abort") -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASHES, str(home), json.dumps(texts), by],
        capture_output=True,
        check=False,
    )
    assert done.returncode < 0, done.stderr


def _guarded(home: Path) -> tuple[_Encoder, GuardedEncoder]:
    encoder = _Encoder()
    return encoder, GuardedEncoder(cast("Any", encoder), Quarantine(home, "key"))


def test_the_text_that_ended_the_process_is_kept_from_the_engine(tmp_path: Path) -> None:
    _crash(tmp_path, "deadly")
    encoder, guarded = _guarded(tmp_path)
    vectors = guarded.encode_documents(["harmless", "deadly", "fine"])
    assert encoder.calls == [["harmless", "fine"]]
    assert vectors.tolist() == [[1, 1], [0, 0], [1, 1]]
    with pytest.raises(QuarantinedError, match=r"has ended llama\.cpp before"):
        guarded.encode_queries(["deadly"])


def test_one_of_several_texts_is_found_by_giving_each_alone(tmp_path: Path) -> None:
    _crash(tmp_path, "one", "deadly", "two")
    encoder, guarded = _guarded(tmp_path)
    guarded.encode_documents(["one", "other"])
    assert encoder.calls == [["one"], ["other"]]
    guarded.encode_documents(["one", "other"])
    assert encoder.calls[2:] == [["one", "other"]]
    _crash(tmp_path, "deadly")
    quarantine = Quarantine(tmp_path, "key")
    assert quarantine.holds("deadly")
    assert not quarantine.suspects("deadly")
    assert not quarantine.suspects("one")
    assert quarantine.suspects("two")


def test_a_process_that_was_killed_accuses_nobody(tmp_path: Path) -> None:
    _crash(tmp_path, "innocent", by="kill")
    quarantine = Quarantine(tmp_path, "key")
    assert not quarantine.holds("innocent")
    assert not quarantine.suspects("innocent")
    assert not list(tmp_path.glob("engine-*"))


def test_another_model_or_engine_may_try_again(tmp_path: Path) -> None:
    _crash(tmp_path, "deadly")
    assert Quarantine(tmp_path, "key").holds("deadly")
    assert not Quarantine(tmp_path, "another key").holds("deadly")


def test_what_another_model_or_engine_did_is_remembered_for_its_return(tmp_path: Path) -> None:
    _crash(tmp_path, "deadly")
    other = Quarantine(tmp_path, "another key")
    _crash(tmp_path, "worse", "harmless")
    Quarantine(tmp_path, "another key")
    assert other.held() == {}
    first = Quarantine(tmp_path, "key")
    assert first.holds("deadly")
    assert first.suspects("worse")


def test_processes_that_learn_at_once_forget_nothing_of_each_other(tmp_path: Path) -> None:
    _crash(tmp_path, "one", "two", "three")
    first, second = Quarantine(tmp_path, "key"), Quarantine(tmp_path, "key")
    with first.noting(["one"], alone=True):
        pass
    with second.noting(["two"], alone=True):
        pass
    _crash(tmp_path, "deadly")
    third = Quarantine(tmp_path, "key")
    with first.noting(["three"], alone=True):
        pass
    last = Quarantine(tmp_path, "key")
    assert last.holds("deadly")
    assert not any(map(last.suspects, ["one", "two", "three"]))
    assert list(third.held()) == [hashlib.sha256(b"deadly").digest()]


def test_a_text_is_tried_again_once_the_file_is_removed(tmp_path: Path) -> None:
    _crash(tmp_path, "deadly")
    quarantine = Quarantine(tmp_path, "key")
    assert quarantine.holds("deadly")
    (tmp_path / "quarantine.json").unlink()
    assert quarantine.held() == {}
    assert not quarantine.holds("deadly")


def test_where_nothing_can_be_written_suspicions_end_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _crash(tmp_path, "one", "two")
    quarantine = Quarantine(tmp_path, "key")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    with quarantine.noting(["one"], alone=True):
        pass
    assert not quarantine.suspects("one")
    assert quarantine.suspects("two")


def test_what_is_at_hand_elsewhere_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / f"engine-{os.getppid()}.crash"
    other.write_text('["ab"]\n')
    Quarantine(tmp_path, "key")
    assert other.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"key": "key"}', '{"key": {"suspects": 1, "held": {"x": 1}}}']
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "quarantine.json").write_text(content)
    quarantine = Quarantine(tmp_path, "key")
    assert quarantine.held() == {}


def test_a_suspect_waits_until_nothing_else_is_at_hand(tmp_path: Path) -> None:
    import threading

    _crash(tmp_path, "one", "two")
    quarantine = Quarantine(tmp_path, "key")
    order: list[str] = []
    other_is_in, may_go = threading.Event(), threading.Event()

    def other() -> None:
        with quarantine.noting(["other"]):
            other_is_in.set()
            may_go.wait()
            order.append("other")

    def suspect() -> None:
        with quarantine.noting(["one"], alone=True):
            order.append("one")

    threads = [threading.Thread(target=run) for run in (other, suspect)]
    threads[0].start()
    other_is_in.wait()
    threads[1].start()
    may_go.set()
    for thread in threads:
        thread.join()
    assert order == ["other", "one"]


def test_a_suspicion_stays_where_the_engine_refused(tmp_path: Path) -> None:
    _crash(tmp_path, "one", "two")
    quarantine = Quarantine(tmp_path, "key")
    with pytest.raises(ValueError, match="refused"), quarantine.noting(["one"], alone=True):
        raise ValueError("refused")
    assert quarantine.suspects("one")
