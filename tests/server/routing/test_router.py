from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import ModelFileError
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import NotKeptError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.routing import router as routing
from skillrouter_mcp.routing.models import encoder_of
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.shelf import place_of
from skillrouter_mcp.routing.signals import SIGNALS
from skillrouter_mcp.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("the log files fill the disk, gzip the old ones", "rotate-logs"),
        ("resize the file system after adding storage", "grow-disk"),
        ("yeast", "bake-bread"),
        ("差旅发票怎么报销", "fapiao"),
        ("把镜像部署到 Kubernetes", "deploy-service"),
        ("Please read the diff of my pull request before I merge. " * 300, "review-code"),
    ],
)
def test_body_decides(router: Router, query: str, name: str) -> None:
    assert router.rank(query, 3).matches[0].name == name


def test_matches_are_in_order_each_once_and_explained(router: Router) -> None:
    matches = router.rank("bake bread", 50).matches
    scores = [match.score for match in matches]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert len({match.path for match in matches}) == len(matches)
    assert all(set(match.parts) == set(SIGNALS) for match in matches)


def test_limit_is_kept(router: Router) -> None:
    assert len(router.rank("bake bread", 2).matches) == 2


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_nothing_is_refused(router: Router, limit: int) -> None:
    with pytest.raises(ValueError, match=f"1 or more, not {limit}"):
        router.find("bake bread", limit)


def test_same_request_gets_the_same_answer(router: Router) -> None:
    assert router.find("resize the disk") == router.find("resize the disk")


def test_no_match_is_returned_when_nothing_fits(router: Router) -> None:
    answer = router.find("translate a medieval Icelandic saga into Finnish verse")
    assert answer.verdict == "none"
    assert answer.matches == ()


def test_what_does_not_fit_is_left_out_beside_what_does(router: Router) -> None:
    request = "compress yesterday's log files with gzip, delete those older than a month"
    ranked = router.rank(request, 50).matches
    found = router.find(request, 50).matches
    assert found == tuple(match for match in ranked if match.score >= 0.02)
    assert 0 < len(found) < len(ranked)


def test_the_best_of_an_answer_is_kept_whatever_its_score(
    router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_LEAST_SCORE", 1.1)
    assert [match.name for match in router.find("flour, water, salt and yeast").matches] == [
        "bake-bread"
    ]


def test_sure_match_is_called_one(router: Router) -> None:
    answer = router.find(
        "compress yesterday's log files with gzip, delete those older than a month"
    )
    assert answer.verdict == "match"


@pytest.mark.parametrize("query", ["", "?", "的", "\x00\ud800", "Как?", "🧰" * 5000])
def test_request_without_meaning_is_answered(router: Router, query: str) -> None:
    assert router.find(query).skills == 7


def test_copies_are_answered_once(router: Router, tmp_path: Path, skills_of: Path) -> None:
    shutil.copytree(skills_of / "bake-bread", tmp_path / "skills" / "a")
    shutil.copytree(skills_of / "bake-bread", tmp_path / "skills" / "b")
    settings = load_settings(home=tmp_path / "home", roots=(tmp_path / "skills",), threads=1)
    with Router.open(settings, keep=False) as copies:
        copies.bring_in_step()
        (match,) = copies.rank("bread", 5).matches
    assert match.path == str(tmp_path / "skills" / "a" / "SKILL.md")


def test_skills_without_vectors_are_found_by_their_words(
    tmp_path: Path, write_skill: Any, root: Path
) -> None:
    path = write_skill("rotate-logs", body="gzip the old logs")
    write_skill("bake-bread", body="flour and yeast")
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with Router.open(settings, keep=False) as router:
        with router.library.writing():
            router.library.scan()
        answer = router.rank("old logs", 5)
    assert answer.matches[0].path == str(path)
    assert answer.pending == 2


def test_empty_library_is_called_empty(tmp_path: Path, root: Path) -> None:
    settings = load_settings(home=tmp_path / "home", roots=(root,))
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
        assert router.find("anything").verdict == "empty"


def test_kept_router_follows_the_folder(tmp_path: Path, write_skill: Any, root: Path) -> None:
    write_skill("bake-bread", body="flour and yeast")
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with Router.open(settings) as router:
        assert router.find("yeast").skills == 1


@pytest.fixture
def another(tmp_path: Path, root: Path) -> Iterator[Library]:
    """A library of the same home, as another process has it open."""
    settings = load_settings(home=tmp_path / "home", roots=(root,))
    model = encoder_of(settings)
    library = Library(settings.home, settings.search_roots(), Fingerprint.of(model))
    yield library
    library.close()


@pytest.mark.parametrize("keep", [True, False])
def test_while_another_process_reads_the_skills_no_library_is_called_empty(
    tmp_path: Path, root: Path, another: Library, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_FIRST_SCAN_SECONDS", 0.01)
    monkeypatch.setattr(routing, "_EMPTY_SCAN_SECONDS", 0.01)
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with another.writing() as mine, Router.open(settings, keep=keep) as router:
        assert mine
        if not keep:
            assert router.bring_in_step(patience=1) is None
        answer = router.find("anything")
    assert (answer.verdict, answer.matches, answer.skills) == ("none", (), 0)


def test_a_request_waits_for_what_another_process_reads(
    tmp_path: Path, root: Path, another: Library, write_skill: Any
) -> None:
    write_skill("bake-bread", body="flour and yeast")
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with another.writing() as mine, Router.open(settings) as router:
        assert mine
        another.scan()
        assert router.find("yeast").skills == 1


def test_why_nothing_can_be_read_is_told(
    tmp_path: Path, root: Path, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*_: object) -> None:
        raise OSError("no space left")

    write_skill("bake-bread")
    monkeypatch.setattr(Library, "scan", scan)
    with (
        Router.open(load_settings(home=tmp_path / "home", roots=(root,))) as router,
        pytest.raises(NotKeptError, match="no space left"),
    ):
        router.find("yeast")


def test_what_can_be_found_is_found_though_the_folders_cannot_be_read(
    tmp_path: Path, root: Path, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(*_: object) -> None:
        raise OSError("no space left")

    write_skill("bake-bread", body="flour and yeast")
    settings = load_settings(home=tmp_path / "home", roots=(root,), threads=1)
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
    monkeypatch.setattr(Library, "scan", scan)
    with Router.open(settings) as router:
        assert router.find("yeast").skills == 1


def test_unknown_profile_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"profile.*nonesuch.*embedded"):
        Router.open(load_settings(home=tmp_path, profile="nonesuch"))


def test_the_list_of_skills_waits_for_the_first_look_at_the_folders(
    tmp_path: Path, root: Path, write_skill: Any
) -> None:
    for name in ("three", "one", "two"):
        write_skill(name)
    with Router.open(load_settings(home=tmp_path / "home", roots=(root,))) as router:
        first = router.skills_after("", 2)
        assert [skill.name for skill in first] == ["one", "three"]
        assert [skill.name for skill in router.skills_after(first[-1].path, 2)] == ["two"]
        assert router.skill_at(place_of(first[0].path), "one") == first[0]
        assert router.skill_at(place_of(first[0].path), "two") is None


def test_each_sees_the_skills_of_its_own_roots(
    tmp_path: Path, root: Path, write_skill: Any
) -> None:
    write_skill("bake-bread", "Flour, water, salt and yeast.")
    ours, theirs = tmp_path / "ours" / ".skills", tmp_path / "theirs" / ".skills"
    for folder, text in ((ours, "Ours has rye."), (theirs, "Theirs has spelt.")):
        (folder / "bake-bread").mkdir(parents=True)
        (folder / "bake-bread" / "SKILL.md").write_text(f"---\nname: bake-bread\n---\n{text}")
    settings = load_settings(home=tmp_path / "home", roots=(root,))
    with Router.open(settings) as router:
        for project in (ours, theirs):
            roots = settings.search_roots([project.parent])
            router.attend(roots)
            router.bring_in_step(roots=roots)
            (match,) = router.rank("bake bread with yeast", 5, roots).matches
            assert Path(match.path) == project / "bake-bread" / "SKILL.md"
            (skill,) = router.skills_after("", 5, roots)
            assert skill.path == match.path
            router.leave(roots)
        (match,) = router.rank("bake bread with yeast", 5).matches
        assert Path(match.path) == root / "bake-bread" / "SKILL.md"


def test_roots_that_nobody_attends_to_are_read_when_they_are_asked_for(
    tmp_path: Path, root: Path
) -> None:
    project = tmp_path / "project" / ".skills" / "bake-bread"
    project.mkdir(parents=True)
    (project / "SKILL.md").write_text("---\nname: bake-bread\n---\nFlour and yeast.")
    settings = load_settings(home=tmp_path / "home", roots=(root,))
    with Router.open(settings) as router:
        (match,) = router.rank("bread", 5, settings.search_roots([tmp_path / "project"])).matches
    assert match.name == "bake-bread"


def test_what_is_asked_for_is_embedded_first(tmp_path: Path, root: Path, write_skill: Any) -> None:
    for number in range(40):
        write_skill(f"notes-{number:02}", f"Take note number {number} of the meeting.")
    write_skill("zebra-crossing", "Paint a zebra crossing on the street.")
    with Router.open(load_settings(home=tmp_path / "home", roots=(root,)), keep=False) as router:
        with router.library.writing() as mine:
            assert mine
            router.library.scan()
            asked = router.rank("paint a zebra crossing", 1)
            assert asked.pending == 41
            next(router.library.embed(router.encoder()))
            router.library.refresh()
        (match,) = router.rank("paint a zebra crossing", 1).matches
        assert match.parts["window"] > 0
        assert router.library.snapshot.pending == 41 - 4


def test_an_encoder_of_whole_texts_embeds_each_skill_once(open_profile: Any) -> None:
    with open_profile("whole") as router:
        answer = router.rank("bake bread with flour and yeast", 50)
        mirror = router.library.snapshot.mirror
    assert answer.pending == 0
    assert len(mirror.windows) == len(mirror.labels) == answer.skills
    assert [match.score for match in answer.matches] == sorted(
        (match.score for match in answer.matches), reverse=True
    )
    assert answer.matches[0].name == "bake-bread"  # by its words: the encoder knows nothing


def test_the_encoder_of_a_profile_that_was_not_fetched_is_asked_for(open_profile: Any) -> None:
    with pytest.raises(ModelFileError, match="models pull gone"), open_profile("lost"):
        pass


def test_the_index_may_lie_elsewhere_than_models_and_settings(
    tmp_path: Path, root: Path, write_skill: Any
) -> None:
    write_skill("bake-bread")
    home = tmp_path / "home"
    settings = load_settings(home=home, roots=(root,), threads=1)
    with Router.open(settings, keep=False, index=tmp_path / "index") as router:
        router.bring_in_step()
    assert (tmp_path / "index" / "index.db").exists()
    assert not home.exists()
