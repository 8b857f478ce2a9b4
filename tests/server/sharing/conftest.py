from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from skillrouter_mcp.settings import Settings, load_settings
from skillrouter_mcp.sharing.channel import ChannelClosedError, connect

PATIENCE = 120.0


@pytest.fixture
def settings(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those of a home of its own over `root`; an owner that was started there is ended."""
    monkeypatch.setenv("SKILLROUTER_LINGER", "0")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        settings = load_settings(home=Path(home), roots=(root,), threads=1)
        yield settings
        _kill(settings.home)


@pytest.fixture
def kill_owner() -> Callable[[Path], int]:
    """Kills the process that owns the index of a home; its id, 0 where there was none."""
    return _kill


def _kill(home: Path) -> int:
    with suppress(ChannelClosedError), closing(connect(home)) as channel:
        owner = int(channel.receive(PATIENCE)["pid"])
        os.kill(owner, signal.SIGKILL)
        with suppress(ChannelClosedError):
            channel.receive(PATIENCE)  # it is told that the other side has ended
        return owner
    return 0
