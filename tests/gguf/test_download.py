from __future__ import annotations

import errno
import hashlib
import random
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.gguf import tiny_models
from tests.gguf.pulling import Heard, publish, pull, refused

from skillrouter_gguf import ModelStore, download

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub


class Killed(BaseException):
    """Ends a pull where it stands."""


@pytest.mark.parametrize("seed", range(10))
def test_a_pull_that_was_killed_is_resumed_without_fetching_anything_twice(
    hub: LocalHub, store: ModelStore, seed: int
) -> None:
    publish(hub)
    content = tiny_models.encoder()
    cut = random.Random(seed).randrange(1, len(content))
    hub.faults.cuts = [cut]
    from skillrouter_gguf.pull import pull as pull_model

    class Ends(Heard):
        def fetching(self, name: str, done: int, total: int) -> None:
            if done == cut:
                raise Killed

    with pytest.raises(Killed):
        pull_model(store, "tiny", Ends())
    assert hub.sent() == cut
    pull(store)
    assert hub.sent() == len(content)
    assert store.path(store.ready("tiny")).read_bytes() == content


@pytest.mark.parametrize("seed", range(10))
def test_a_connection_that_is_cut_is_taken_up_by_itself(
    hub: LocalHub, store: ModelStore, seed: int
) -> None:
    publish(hub)
    content = tiny_models.encoder()
    draw = random.Random(seed)
    hub.faults.cuts = [draw.randrange(len(content) // 4) for _ in range(3)]
    pull(store)
    assert hub.sent() == len(content)
    assert store.path(store.ready("tiny")).read_bytes() == content


def test_a_connection_that_brings_nothing_more_is_given_up_with_what_was_fetched_kept(
    hub: LocalHub, store: ModelStore
) -> None:
    publish(hub)
    hub.faults.cuts = [100_000, *[0] * 20]
    said = refused(store)
    assert f"{hub.endpoint}/tiny/encoder" in said
    assert "what was fetched is kept" in said
    hub.faults.cuts = []
    pull(store)
    assert hub.sent() == len(tiny_models.encoder())


def test_a_server_that_knows_no_ranges(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    hub.faults.cuts = [100_000]
    hub.faults.ignore_ranges = True
    pull(store)
    assert store.path(store.ready("tiny")).read_bytes() == tiny_models.encoder()


def test_a_damaged_download_of_the_right_length_is_refused_and_removed(
    hub: LocalHub, store: ModelStore
) -> None:
    publish(hub)
    hub.faults.damage = lambda content: content[:-9] + b"\xff" + content[-8:]
    said = refused(store)
    assert "tiny.gguf arrived damaged" in said
    assert hashlib.sha256(tiny_models.encoder()).hexdigest() in said
    assert "It was deleted" in said
    assert not list(store.folder.rglob("*.part"))
    hub.faults.damage = bytes
    pull(store)


def test_a_file_that_is_longer_than_told(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    hub.faults.damage = lambda content: content + b"more"
    assert "arrived damaged" in refused(store)


def test_a_file_that_is_shorter_than_told(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    hub.faults.damage = lambda content: content[:-1]
    assert "tiny.gguf ends before" in refused(store)
    hub.faults.damage = bytes
    pull(store)


def test_too_little_room_is_told_before_anything_is_fetched(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    said = refused(store)
    assert "0 MB are free on this disk" in said
    assert "SKILLROUTER_HOME" in said
    assert hub.sent() == 0


def test_a_disk_that_fills_up(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.Download, "_append", full)
    assert f"{store.folder / 'parts'}: the disk is full. Make room" in refused(store)
