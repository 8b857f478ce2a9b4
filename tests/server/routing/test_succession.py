"""A second profile: the packaged model with a prefix of its own, so that its vectors differ."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import ModelError, load_catalogue
from skillrouter_gguf.model_file import EMBEDDED
from skillrouter_gguf.pins import Pin, write_pin
from skillrouter_mcp.index import right_of_way
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.routing import succession as module
from skillrouter_mcp.routing.ranking import Ranker
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.succession import (
    ClosedError,
    Succession,
    open_best,
    predecessor,
)
from skillrouter_mcp.settings import Settings, SettingsError, load_settings
from skillrouter_mcp.skills import Root

PATIENCE = 60.0
LOGS = "compress old log files"
_ENTRIES = """
[models.prefixed]
kind = "encoder"
path = "{path}"
dimensions = 384
context = 512
pooling = "mean"
document_prefix = "skill: "

[models.gone]
kind = "encoder"
path = "/no/such/file.gguf"
dimensions = 384
context = 512
pooling = "mean"

[profiles.other]
encoder = "prefixed"

[profiles.gone]
encoder = "gone"
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)
    root, home = tmp_path / "skills", tmp_path / "home"
    for name, body in (
        ("rotate-logs", "Compress old log files with gzip and delete them after a month.\n"),
        ("bake-bread", "Mix flour, water, salt and yeast; bake hot.\n"),
    ):
        (root / name).mkdir(parents=True)
        (root / name / "SKILL.md").write_text(f"---\nname: {name}\n---\n{body}")
    home.mkdir()
    packaged = load_catalogue().model("skillrouter-minilm-l6")
    path = tmp_path / "prefixed.gguf"
    (home / "models").mkdir()
    _put(home, path, (EMBEDDED / packaged.file).read_bytes())
    (home / "models.toml").write_text(_ENTRIES.format(path=path), encoding="utf-8")
    return load_settings(home=home, roots=(root,), threads=1)


def _put(home: Path, path: Path, content: bytes) -> None:
    """Has the model `prefixed` be this file, as pulling it does."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(content)
    draft.replace(path)
    digest = hashlib.sha256(content).hexdigest()
    write_pin(home / "models", "prefixed", Pin(path=path, size=len(content), sha256=digest))


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def embedded(settings: Settings) -> Settings:
    """Settings of a home in which all skills are embedded for the packaged profile."""
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
    return settings


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing more is embedded until this is set."""
    go_on = threading.Event()
    embed = Library.embed

    def embed_later(self: Library, *given: Any, **named: Any) -> Iterator[int]:
        go_on.wait(PATIENCE)
        return embed(self, *given, **named)

    monkeypatch.setattr(Library, "embed", embed_later)
    yield go_on
    go_on.set()


def test_the_profile_before_answers_until_all_skills_are_embedded(
    embedded: Settings, held: threading.Event
) -> None:
    with Succession(embedded) as routers:
        said = routers.use("other")
        assert "profile other; until all are, profile embedded answers" in said
        _until(lambda: routers.status()["follower"].startswith("profile other answers once 2"))
        assert routers.status()["profile"] == "embedded"
        answer = routers.find(LOGS)
        assert (answer.matches[0].name, answer.pending) == ("rotate-logs", 0)
        held.set()
        _until(lambda: routers.status()["profile"] == "other")
        assert routers.status()["follower"] == ""
        answer = routers.find(LOGS)
        assert (answer.matches[0].name, answer.pending) == ("rotate-logs", 0)


def _answers(routers: Succession, profile: str) -> bool:
    return routers.status()["profile"] == profile


def test_requests_are_answered_all_the_while(embedded: Settings) -> None:
    with Succession(embedded) as routers:
        routers.find(LOGS)
        stop = threading.Event()
        answers: list[str] = []
        troubles: list[BaseException] = []

        def ask() -> None:
            while not stop.is_set():
                try:
                    answers.append(routers.find(LOGS).matches[0].name)
                except BaseException as error:
                    troubles.append(error)
                    return

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for profile in ("other", "embedded", "other"):
            routers.use(profile)
            _until(partial(_answers, routers, profile))
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert troubles == []
    assert set(answers) == {"rotate-logs"}


def test_begun_with_a_new_profile_the_one_before_answers_first(
    embedded: Settings, held: threading.Event
) -> None:
    with Succession(embedded.model_copy(update={"profile": "other"})) as routers:
        assert routers.status()["profile"] == "embedded"
        assert routers.find(LOGS).pending == 0
        held.set()
        _until(lambda: routers.status()["profile"] == "other")


def test_begun_anew_a_profile_answers_by_itself(settings: Settings) -> None:
    with Succession(settings.model_copy(update={"profile": "other"})) as routers:
        assert routers.status()["profile"] == "other"
        _until(lambda: routers.find(LOGS).pending == 0)


def test_changes_reach_the_profile_that_is_to_follow(
    embedded: Settings, held: threading.Event
) -> None:
    (root,) = embedded.roots
    with Succession(embedded) as routers:
        routers.use("other")
        (root / "tune-piano").mkdir()
        (root / "tune-piano" / "SKILL.md").write_text("Tune the strings of a grand piano.")
        held.set()
        _until(lambda: routers.status()["profile"] == "other")
        _until(lambda: routers.find("tune the piano").pending == 0)
        _until(lambda: routers.find("tune the piano").skills == 3)
        assert routers.find("tune the piano").matches[0].name == "tune-piano"


def test_roots_that_somebody_looks_at_are_kept_in_step_for_both(
    embedded: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    (folder / "tune-piano").mkdir(parents=True)
    (folder / "tune-piano" / "SKILL.md").write_text("Tune the strings of a grand piano.")
    roots = (Root(folder, "project"),)

    def skills_and_pending() -> tuple[int, int]:
        answer = routers.find("tune the piano", 1, roots)
        return answer.skills, answer.pending

    with Succession(embedded) as routers:
        routers.attend(roots)
        _until(lambda: skills_and_pending() == (1, 0))
        routers.use("other")
        _until(lambda: routers.status()["profile"] == "other")
        answer = routers.find("tune the piano", 1, roots)
        assert (answer.matches[0].name, answer.pending) == ("tune-piano", 0)
        routers.leave(roots)
        assert routers.account(roots).skills == 1
        assert routers.account().skills == 2


@pytest.mark.parametrize(
    ("profile", "error", "told"),
    [("nonesuch", SettingsError, "nonesuch"), ("gone", ModelError, "models pull gone")],
)
def test_a_profile_that_cannot_be_used_changes_nothing(
    embedded: Settings, profile: str, error: type[Exception], told: str
) -> None:
    with Succession(embedded) as routers:
        with pytest.raises(error, match=told):
            routers.use(profile)
        assert routers.status()["profile"] == "embedded"
        assert routers.find(LOGS).matches[0].name == "rotate-logs"


def test_a_profile_whose_model_does_not_load_is_given_up_with_the_reason(
    embedded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Router) -> None:
        raise ModelError("the file is cut short")

    with Succession(embedded) as routers:
        monkeypatch.setattr(Router, "prepare", refuse)
        routers.use("other")
        _until(lambda: "the file is cut short" in routers.status()["refused"])
        assert routers.status() | {"profile": "embedded", "follower": ""} == routers.status()
        assert routers.find(LOGS).matches[0].name == "rotate-logs"


def test_several_who_ask_for_a_profile_at_once_get_one(embedded: Settings) -> None:
    opened: list[Router] = []
    with Succession(embedded) as routers, ThreadPoolExecutor(4) as pool:
        opening = Router.open

        def open_and_note(*given: Any, **more: Any) -> Router:
            opened.append(opening(*given, **more))
            return opened[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Router, "open", open_and_note)
            list(pool.map(routers.use, ["other"] * 4))
        _until(lambda: _answers(routers, "other"))
    assert len(opened) == 1


def test_a_request_that_takes_long_is_answered_by_the_profile_it_was_asked_of(
    embedded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    find = Router.find

    def find_late(self: Router, *given: Any) -> Any:
        if given[0] == "late":
            asked.set()
            go_on.wait(PATIENCE)
        return find(self, LOGS)

    monkeypatch.setattr(Router, "find", find_late)
    with Succession(embedded) as routers, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(routers.find, "late")
        assert asked.wait(PATIENCE)
        routers.use("other")
        _until(lambda: _answers(routers, "other"))
        go_on.set()
        assert answer.result().matches[0].name == "rotate-logs"


def test_a_request_goes_before_the_skills_of_the_profile_that_is_to_follow(
    embedded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on, embedding = threading.Event(), threading.Event(), threading.Event()
    rank, embed = Ranker.rank, Library.embed

    def rank_late(self: Ranker, *given: Any) -> Any:
        asked.set()
        go_on.wait(PATIENCE)
        return rank(self, *given)

    def begin_to_embed(self: Library, *given: Any, **named: Any) -> Iterator[int]:
        embedding.set()
        return embed(self, *given, **named)

    monkeypatch.setattr(right_of_way, "_PATIENCE", PATIENCE)
    monkeypatch.setattr(Ranker, "rank", rank_late)
    monkeypatch.setattr(Library, "embed", begin_to_embed)
    with Succession(embedded) as routers, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(routers.find, LOGS)
        assert asked.wait(PATIENCE)
        try:
            routers.use("other")
            assert embedding.wait(PATIENCE)
            time.sleep(0.3)
            assert "once 2 more" in routers.status()["follower"]
        finally:
            go_on.set()
        assert answer.result().matches[0].name == "rotate-logs"
        _until(lambda: _answers(routers, "other"))


def test_answers_do_not_have_it_look_whether_the_profile_is_ready(
    embedded: Settings, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", PATIENCE)
    looks: list[bool] = []
    is_in_step = Router.is_in_step

    def look(self: Router) -> bool:
        looks.append(is_in_step(self))
        return looks[-1]

    monkeypatch.setattr(Router, "is_in_step", look)
    with Succession(embedded) as routers:
        routers.use("other")
        _until(lambda: looks)
        for request in ("bread", "logs", "yeast"):
            routers.find(request)
            time.sleep(0.05)
        held.set()
        assert looks == [False]


def test_a_profile_before_that_cannot_be_used_does_not_answer(
    embedded: Settings, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Router.encoder

    def refuse(self: Router) -> Any:
        if self.profile == "embedded":
            raise ModelError("the file is damaged")
        return encoder(self)

    monkeypatch.setattr(Router, "encoder", refuse)
    other = embedded.model_copy(update={"profile": "other"})
    with Succession(other) as routers:
        assert routers.status()["profile"] == "other"
        assert routers.find(LOGS).pending == 2
        with open_best(other) as router:
            assert router.profile == "other"
        held.set()


def test_a_profile_whose_model_is_another_by_now_follows_itself(embedded: Settings) -> None:
    (path,) = embedded.home.parent.glob("prefixed.gguf")
    with Succession(embedded) as routers:
        routers.use("other")
        _until(lambda: _answers(routers, "other"))
        assert routers.use("other") == "Profile other answers."
        _put(embedded.home, path, path.read_bytes() + b"\0")
        assert "profile other answers as it was" in routers.use("other")
        _until(lambda: routers.use("other") == "Profile other answers.")
        assert routers.find(LOGS).pending == 0


def test_it_can_be_called_back(embedded: Settings, held: threading.Event) -> None:
    with Succession(embedded) as routers:
        routers.use("other")
        assert routers.use("other") == routers.use("other")
        assert routers.use("embedded") == "Profile embedded answers."
        assert routers.status()["follower"] == ""


def test_who_waits_for_the_index_waits_for_both(embedded: Settings) -> None:
    with Succession(embedded) as routers:
        routers.use("other")
        routers.bring_in_step()
        _until(lambda: routers.status()["profile"] == "other")


def test_a_single_request_is_answered_by_the_more_complete_profile(embedded: Settings) -> None:
    other = embedded.model_copy(update={"profile": "other"})
    with Router.open(other, keep=False) as router:
        assert predecessor(router, other) == embedded
        assert router.library.pending() == 2
    with open_best(other) as router:
        assert router.library.pending() == 0
    with Router.open(other, keep=False) as router:
        router.bring_in_step()
        assert predecessor(router, other) is None
    with open_best(other) as router, Router.open(other, keep=False) as expected:
        assert router.encoder().model == expected.encoder().model


def test_closed_it_answers_no_more(embedded: Settings) -> None:
    routers = Succession(embedded)
    routers.close()
    with pytest.raises(ClosedError):
        routers.find(LOGS)
