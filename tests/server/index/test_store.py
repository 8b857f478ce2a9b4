from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skillrouter_mcp.index import schema
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.store import SkillStore
from skillrouter_mcp.skills import Problem, Root, Skill, SkillFile, Stamp

USER = Root(Path("/user"), "user")
PROJECT = Root(Path("/project"), "project")
BOTH = (PROJECT, USER)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SkillStore]:
    database = Database(tmp_path / "a.db", "write")
    schema.prepare(database)
    yield SkillStore(database)
    database.close()


def _file(path: str, root: Root = USER, mtime: int = 1) -> SkillFile:
    return SkillFile(path, root, Stamp(10, mtime, mtime, 3, 4))


def _skill(
    name: str, body: str = "body", hidden: bool = False, warnings: tuple[str, ...] = ()
) -> Skill:
    return Skill(
        name=name, description="", body=body, front_matter={}, warnings=warnings, hidden=hidden
    )


def _names(store: SkillStore, *roots: Root) -> list[str]:
    return [document.name for document in store.documents(store.visible(roots or BOTH))]


def test_copies_are_one_document_found_at_the_first_root(store: SkillStore) -> None:
    store.save([(_file("/user/b/a"), _skill("a")), (_file("/project/a", PROJECT), _skill("a"))])
    (document_id,) = store.visible(BOTH)
    assert store.locate([document_id], BOTH)[document_id].path == "/project/a"
    assert store.locate([document_id], [USER])[document_id].path == "/user/b/a"


def test_each_set_of_roots_sees_its_own(store: SkillStore) -> None:
    store.save([(_file("/user/a"), _skill("a")), (_file("/project/b", PROJECT), _skill("b"))])
    assert _names(store, USER) == ["a"]
    assert _names(store, PROJECT) == ["b"]
    assert _names(store) == ["a", "b"]
    assert store.visible([]) == []


def test_project_skill_hides_the_users_of_its_name(store: SkillStore) -> None:
    store.save(
        [
            (_file("/user/a"), _skill("a", "the user's")),
            (_file("/project/a", PROJECT), _skill("a", "the project's")),
        ]
    )
    (document_id,) = store.visible(BOTH)
    assert store.documents([document_id])[0].body == "the project's"
    (warning,) = store.shadowed(BOTH)
    assert warning.path == "/user/a"
    assert "/project/a" in warning.reason
    assert store.shadowed([USER]) == []


def test_two_skills_of_one_name_in_one_scope_both_stay(store: SkillStore) -> None:
    store.save([(_file("/user/1"), _skill("a", "one")), (_file("/user/2"), _skill("a", "two"))])
    assert len(store.visible(BOTH)) == 2


def test_hidden_skill_is_not_found(store: SkillStore) -> None:
    store.save([(_file("/user/a"), _skill("a", hidden=True))])
    assert store.visible(BOTH) == []


def test_stamps_tell_what_was_read_loadable_or_not(store: SkillStore) -> None:
    store.save([(_file("/user/a", mtime=1), _skill("a"))], [(_file("/user/b", mtime=2), "broken")])
    stamps = store.stamps([USER])
    assert set(stamps) == {("/user/a", "/user"), ("/user/b", "/user")}
    assert len(set(stamps.values())) == 2
    assert store.stamps([PROJECT]) == {}


def test_a_file_that_breaks_is_no_skill_any_more_and_mends_again(store: SkillStore) -> None:
    store.save([(_file("/user/a"), _skill("a"))])
    store.save([], [(_file("/user/a", mtime=2), "is not UTF-8")])
    assert store.visible(BOTH) == []
    assert store.problems(BOTH) == [Problem("/user/a", USER, "is not UTF-8")]
    store.save([(_file("/user/a", mtime=3), _skill("a"))])
    assert _names(store) == ["a"]
    assert store.problems(BOTH) == []


def test_problems_of_a_walk_replace_those_of_the_last(store: SkillStore) -> None:
    store.replace_walk_problems(BOTH, [Problem("/user/x", USER, "cannot be read")])
    store.replace_walk_problems(BOTH, [Problem("/user/y", USER, "cannot be read")])
    assert [problem.path for problem in store.problems(BOTH)] == ["/user/y"]
    assert store.problems([PROJECT]) == []


def test_removed_files_leave_no_document_behind(store: SkillStore) -> None:
    store.save([(_file("/user/a"), _skill("a")), (_file("/user/copy"), _skill("a"))])
    store.remove([("/user/a", "/user")])
    assert store.drop_orphans() == 0
    store.remove([("/user/copy", "/user")])
    assert store.drop_orphans() == 1
    assert store.document_ids() == set()


def test_warnings_are_remembered(store: SkillStore) -> None:
    store.save([(_file("/user/a"), _skill("a", warnings=("bad name", "no description")))])
    assert [problem.reason for problem in store.warned(BOTH)] == ["bad name", "no description"]


def test_a_file_under_two_roots_is_one_place_and_goes_from_each_by_itself(
    store: SkillStore,
) -> None:
    outer = Root(Path("/"), "user")
    loaded = [
        (_file("/user/a", root), _skill("a", warnings=("bad name",))) for root in (USER, outer)
    ]
    failed = [(_file("/user/b", root), "is a pipe") for root in (USER, outer)]
    store.save(loaded, failed)
    roots = [USER, outer]
    assert [place.path for place in store.locations(roots)] == ["/user/a"]
    assert [problem.path for problem in store.warned(roots)] == ["/user/a"]
    assert [problem.path for problem in store.problems(roots)] == ["/user/b"]
    store.remove([("/user/a", "/user"), ("/user/b", "/user")])
    assert store.stamps([USER]) == {}
    assert len(store.stamps([outer])) == 2


def test_a_projects_file_among_the_users_hides_only_others(store: SkillStore) -> None:
    nested = Root(Path("/user/project"), "project")
    path = "/user/project/a"
    store.save([(_file(path, nested), _skill("a")), (_file(path), _skill("a"))])
    assert store.shadowed([nested, USER]) == []


def test_clear_forgets_everything(store: SkillStore) -> None:
    store.save([(_file("/user/a"), _skill("a"))], [(_file("/user/b"), "broken")])
    store.clear()
    assert store.stamps(BOTH) == {}
    assert store.document_ids() == set()


@pytest.mark.parametrize("text", ["\x00nul", "emoji 🧰 和中文", "'; DROP TABLE skill; --"])
def test_any_text_is_kept_as_it_is(store: SkillStore, text: str) -> None:
    store.save([(_file(f"/user/{text}"), _skill(text, text))])
    (document,) = store.documents(store.visible(BOTH))
    assert (document.name, document.body) == (text, text)


DAY = 24 * 3600


def test_roots_that_nobody_uses_for_thirty_days_are_forgotten(store: SkillStore) -> None:
    store.save([(_file("/user/a/SKILL.md"), _skill("a"))])
    store.save(
        [(_file("/project/b/SKILL.md", PROJECT), _skill("b"))],
        [(_file("/project/c/SKILL.md", PROJECT), "is broken")],
    )
    store.forget_unused(BOTH, 100 * DAY)
    for day in range(101, 131):
        store.forget_unused([USER], day * DAY)
    assert _names(store) == ["a", "b"]
    store.forget_unused([USER], 131 * DAY)
    assert _names(store) == ["a"]
    assert store.problems([PROJECT]) == []
    assert store.drop_orphans() == 1


def test_roots_in_use_are_kept_though_their_folder_is_missing_for_long(store: SkillStore) -> None:
    store.save([(_file("/user/a/SKILL.md"), _skill("a"))])
    for day in (100, 140, 200):
        store.forget_unused([USER], day * DAY)
    assert _names(store) == ["a"]


def test_roots_of_which_nothing_was_noted_are_kept_for_thirty_days(store: SkillStore) -> None:
    store.save([(_file("/project/b/SKILL.md", PROJECT), _skill("b"))])
    for day in (100, 125, 130):
        store.forget_unused([USER], day * DAY)
        assert _names(store) == ["b"]
    store.forget_unused([USER], 131 * DAY)
    assert _names(store) == []


def test_use_is_noted_once_a_day(store: SkillStore) -> None:
    store.forget_unused([USER], 100 * DAY)
    version = store._database.version()
    store.forget_unused([USER], 100 * DAY + 5)
    assert store._database.version() == version
    store.forget_unused([USER], 101 * DAY + 5)
    assert store._database.version() != version


def test_a_clock_that_was_ahead_keeps_no_root_for_ever(store: SkillStore) -> None:
    store.save([(_file("/project/b/SKILL.md", PROJECT), _skill("b"))])
    store.forget_unused(BOTH, 9_000 * DAY)
    store.forget_unused(BOTH, 100 * DAY)
    store.forget_unused([USER], 131 * DAY)
    assert _names(store) == []
