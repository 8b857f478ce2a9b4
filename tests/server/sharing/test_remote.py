"""Against real owner processes; what they answer is tested with the router."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from skillrouter_mcp.routing.shelf import place_of
from skillrouter_mcp.settings import Settings, load_settings
from skillrouter_mcp.sharing import remote as module
from skillrouter_mcp.sharing.channel import ChannelClosedError, connect
from skillrouter_mcp.sharing.messages import OwnerError
from skillrouter_mcp.sharing.remote import (
    AloneError,
    RemoteRouter,
    ask_owner_or_open,
    running_owner,
    tell_owner_to_use,
)
from skillrouter_mcp.sharing.spawning import Spawner

PATIENCE = 120.0
TUNE = "tune the strings of a grand piano"


class _Progress:
    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def reading(self, done: int, total: int) -> None:
        self.told.append(("reading", done, total))

    def embedding(self, done: int, total: int) -> None:
        self.told.append(("embedding", done, total))


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _has_owner(home: Path) -> bool:
    try:
        connect(home).close()
    except ChannelClosedError:
        return False
    return True


@pytest.fixture(autouse=True)
def piano(write_skill: Any) -> Path:
    path = write_skill("tune-piano", body="Tune the treble strings of a grand piano.\n")
    assert isinstance(path, Path)
    return path


def test_what_an_owner_finds_until_all_have_left(settings: Settings, piano: Path) -> None:
    progress = _Progress()
    with RemoteRouter(settings) as router, RemoteRouter(settings) as other:
        changes = router.bring_in_step(progress)
        assert changes is not None
        assert changes.files == 1
        answer = router.find(TUNE)
        assert [(match.name, match.path) for match in answer.matches] == [
            ("tune-piano", str(piano))
        ]
        assert (answer.verdict, answer.skills, answer.pending) == ("match", 1, 0)
        assert other.rank(TUNE, 3).matches[0].parts
        (skill,) = other.skills_after("", 5)
        assert skill.path == str(piano)
        assert other.skill_at(place_of(str(piano)), "tune-piano") == skill
        assert other.skill_at("nowhere", "tune-piano") is None
        router.close()
        assert other.find(TUNE) == answer
    _until(lambda: not _has_owner(settings.home))


def test_each_sees_the_skills_of_its_own_roots(
    settings: Settings, tmp_path: Path, piano: Path
) -> None:
    (tmp_path / "project" / ".skills").mkdir(parents=True)
    (piano.parent).rename(tmp_path / "project" / ".skills" / "tune-piano")
    roots = settings.search_roots([tmp_path / "project"])
    with RemoteRouter(settings) as router:
        router.bring_in_step(roots=roots)
        assert router.find(TUNE, roots=roots).skills == 1
        assert router.find(TUNE).verdict == "empty"


def test_requests_of_many_threads_outlive_their_owner(
    settings: Settings, kill_owner: Callable[[Path], int]
) -> None:
    with RemoteRouter(settings) as router, ThreadPoolExecutor(16) as pool:
        router.find(TUNE)
        # More connections than a request is tried again.
        barrier = threading.Barrier(16)

        def find(_: int) -> Any:
            barrier.wait(PATIENCE)
            return router.find(TUNE)

        answers = list(pool.map(find, range(16)))
        first = kill_owner(settings.home)
        answers.append(router.find(TUNE))
        second = kill_owner(settings.home)
        answers += pool.map(find, range(16))
        assert {answer.matches[0].name for answer in answers} == {"tune-piano"}
        assert first != second
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)  # it was waited for


def test_an_owner_is_there_again_though_nobody_asks(
    settings: Settings, kill_owner: Callable[[Path], int]
) -> None:
    with RemoteRouter(settings):
        assert kill_owner(settings.home)
        _until(lambda: _has_owner(settings.home))


def test_an_owner_that_was_started_ahead_is_the_one_that_is_asked(settings: Settings) -> None:
    ahead, elsewhere = Spawner(settings.home), Spawner(settings.home / "elsewhere")
    with ahead:
        ahead.see_to_it()
    with RemoteRouter(settings, ahead) as router, RemoteRouter(settings, elsewhere) as other:
        assert router.find(TUNE).skills == other.find(TUNE).skills == 1
    assert not elsewhere.home.exists()


def test_who_may_start_none_asks_one_that_runs(settings: Settings) -> None:
    with running_owner(settings) as none:
        assert none is None
    with RemoteRouter(settings), running_owner(settings) as owner:
        assert owner is not None
        assert owner.find(TUNE).skills == 1


@pytest.mark.parametrize("key", ["version", "profile"])
def test_an_owner_that_differs_is_refused(
    settings: Settings, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = settings
    with RemoteRouter(settings):
        if key == "version":
            monkeypatch.setattr(module, "version", lambda _: "9.9.9")
        else:
            monkeypatch.setenv("SKILLROUTER_PROFILE", "other")
            other = load_settings(home=settings.home)
        with pytest.raises(AloneError, match=f"has {key} .*, this one (9.9.9|other)"):
            RemoteRouter(other)


def test_an_owner_that_cannot_start_is_told_with_where_to_look(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLROUTER_LINGER", "-1")
    with pytest.raises(AloneError, match=rf"ended with status 78 .*{settings.home}.*owner\.log"):
        RemoteRouter(settings)


def test_trouble_of_the_owner_is_told_in_its_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.mkdir(exist_ok=True)
    (settings.home / "index.db").mkdir()
    with RemoteRouter(settings) as router, pytest.raises(OwnerError, match=r"index\.db"):
        router.find(TUNE)


def test_one_that_was_closed_asks_nobody(settings: Settings) -> None:
    router = RemoteRouter(settings)
    router.close()
    router.close()
    with pytest.raises(AloneError, match="closed"):
        router.find(TUNE)


def test_where_no_owner_runs_ones_own_router_is_asked(settings: Settings) -> None:
    own = MagicMock()

    assert ask_owner_or_open(settings, lambda finder: finder, lambda _: own) is own.__enter__()


def test_where_the_owner_ends_over_a_request_ones_own_router_is_asked(settings: Settings) -> None:
    own = MagicMock()
    asked: list[object] = []

    def ask(finder: object) -> str:
        asked.append(finder)
        if isinstance(finder, RemoteRouter):
            raise AloneError("it has ended")
        return "found"

    with RemoteRouter(settings):
        assert ask_owner_or_open(settings, ask, lambda _: own) == "found"
    assert len(asked) == 2


def test_a_profile_that_was_chosen_meanwhile_is_no_other_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = settings.model_copy(update={"profile": "other"})
    with RemoteRouter(settings), RemoteRouter(stale, start=False) as router:
        assert router.find(TUNE).skills == 1


def test_with_no_owner_the_next_one_uses_a_profile(settings: Settings) -> None:
    assert "next server" in tell_owner_to_use(settings, "embedded")


def test_an_owner_is_told_to_use_a_profile_whatever_it_uses(settings: Settings) -> None:
    other = settings.model_copy(update={"profile": "other"})
    with RemoteRouter(settings):
        assert tell_owner_to_use(other, "embedded") == "Profile embedded answers."
        with pytest.raises(OwnerError, match="nonesuch"):
            tell_owner_to_use(settings, "nonesuch")


def test_what_stands_in_the_index_is_told(settings: Settings, root: Path) -> None:
    (root / "broken").mkdir()
    (root / "broken" / "SKILL.md").write_bytes(b"\xff\xfe\xff")
    with RemoteRouter(settings) as router:
        router.bring_in_step()
        account = router.account()
    assert (account.skills, account.pending, account.warnings) == (1, 0, ())
    ((path, reason),) = account.problems
    assert path == str(root / "broken" / "SKILL.md")
    assert "UTF-8" in reason
