"""Walking roots with links in them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillrouter_mcp.skills.sanitise import is_plain
from skillrouter_mcp.skills.walk import Root, Walk, walk

WriteSkill = Callable[..., Path]


def walk_user(root: Path) -> Walk:
    return walk([Root(root, "user")])


def folders_of(found: Walk, root: Path) -> list[str]:
    """The skills' folders below the root, as they were found."""
    return [Path(file.path).parent.relative_to(root).as_posix() for file in found.files]


def found_below(root: Path) -> list[str]:
    found = walk_user(root)
    assert found.problems == ()
    return folders_of(found, root)


def test_linked_folders_are_followed(tmp_path: Path, root: Path) -> None:
    for folder in ["elsewhere/one", "elsewhere/group/two"]:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "SKILL.md").write_text("body")
    (root / "mine").symlink_to(tmp_path / "elsewhere")
    assert found_below(root) == ["mine/group/two", "mine/one"]


def test_a_link_to_one_skill_is_followed(tmp_path: Path, root: Path) -> None:
    (tmp_path / "skill").mkdir()
    (tmp_path / "skill" / "SKILL.md").write_text("body")
    (root / "linked").symlink_to(tmp_path / "skill")
    assert found_below(root) == ["linked"]


def test_links_count_as_folders_for_the_depth(tmp_path: Path, root: Path) -> None:
    for depth in (5, 6):
        folder = tmp_path.joinpath("elsewhere", *"abcdef"[:depth])
        folder.mkdir(parents=True)
        (folder / "SKILL.md").write_text("body")
    (root / "mine").symlink_to(tmp_path / "elsewhere")
    assert found_below(root) == ["mine/a/b/c/d/e"]


def test_links_behind_links_are_followed(tmp_path: Path, root: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two" / "skill").mkdir(parents=True)
    (tmp_path / "two" / "skill" / "SKILL.md").write_text("body")
    (tmp_path / "one" / "next").symlink_to(tmp_path / "two")
    (root / "first").symlink_to(tmp_path / "one")
    assert found_below(root) == ["first/next/skill"]


def test_a_folder_counts_once_and_under_its_own_path(root: Path, write_skill: WriteSkill) -> None:
    write_skill("z/skill")
    (root / "a").symlink_to(root / "z" / "skill")
    (root / "b").symlink_to(root / "z")
    assert found_below(root) == ["z/skill"]


def test_loops_are_cut(tmp_path: Path, root: Path, write_skill: WriteSkill) -> None:
    write_skill("group/a")
    (root / "group" / "up").symlink_to(root)
    (root / "group" / "self").symlink_to(root / "group")
    other = tmp_path / "other"
    other.mkdir()
    (other / "back").symlink_to(root / "group")
    (other / "again").symlink_to(other)
    (root / "other").symlink_to(other)
    assert found_below(root) == ["group/a"]


def test_a_folder_above_the_root_is_not_entered(
    tmp_path: Path, root: Path, write_skill: WriteSkill
) -> None:
    write_skill("a")
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "SKILL.md").write_text("body")
    (root / "up").symlink_to(tmp_path)
    (root / "top").symlink_to("/")
    found = walk_user(root)
    assert folders_of(found, root) == ["a"]
    assert [Path(problem.path).name for problem in found.problems] == ["top", "up"]
    assert "holds the root" in found.problems[0].reason


@pytest.mark.parametrize("packed_as", ["skill", "checkout"])
def test_no_link_leads_out_of_what_others_have_packed(
    tmp_path: Path, root: Path, write_skill: WriteSkill, packed_as: str
) -> None:
    (tmp_path / "private" / "skill").mkdir(parents=True)
    (tmp_path / "private" / "skill" / "SKILL.md").write_text("body")
    if packed_as == "skill":
        write_skill("packed")
    else:
        (root / "packed" / ".git").mkdir(parents=True)
    write_skill("packed/group/own")
    write_skill("beside")
    (root / "packed" / "group" / "out").symlink_to(tmp_path / "private")
    (root / "packed" / "inside").symlink_to(root / "packed" / "group")
    (root / "packed" / "to-root").symlink_to(root / "beside")
    (root / "packed" / "file").symlink_to(tmp_path / "private" / "skill" / "SKILL.md")
    (root / "packed" / "nowhere").symlink_to(tmp_path / "missing")
    found = walk_user(root)
    assert "packed/group/own" in folders_of(found, root)
    assert not [file for file in found.files if "private" in os.path.realpath(file.path)]
    (problem,) = found.problems
    assert Path(problem.path).name == "out"
    assert "out of a skill's folder or git checkout" in problem.reason


@pytest.mark.parametrize("packed_as", ["skill", "checkout", "checkout's top"])
def test_no_skill_that_others_have_packed_is_a_link_out(
    tmp_path: Path, root: Path, write_skill: WriteSkill, packed_as: str
) -> None:
    (tmp_path / "notes.md").write_text("private")
    part = root / "packed"
    if packed_as == "skill":
        write_skill("packed")
    else:
        (root / "packed" / ".git").mkdir(parents=True)
    if packed_as != "checkout's top":
        part = root / "packed" / "part"
        part.mkdir()
    (part / "SKILL.md").symlink_to(tmp_path / "notes.md")
    found = walk_user(root)
    assert folders_of(found, root) == (["packed"] if packed_as == "skill" else [])
    assert found.linked == ()
    (problem,) = found.problems
    assert problem.path == str(part / "SKILL.md")
    assert "out of a skill's folder or git checkout" in problem.reason


def test_a_skill_may_be_a_link_within_a_package_into_the_roots_or_its_owners(
    tmp_path: Path, root: Path, write_skill: WriteSkill
) -> None:
    (tmp_path / "notes.md").write_text("the owner's")
    (root / "own").mkdir()
    (root / "own" / "SKILL.md").symlink_to(tmp_path / "notes.md")
    write_skill("packed")
    write_skill("packed", name="part.md")
    for part, target in (("one", "../part.md"), ("two", root / "own" / "SKILL.md")):
        (root / "packed" / part).mkdir()
        (root / "packed" / part / "SKILL.md").symlink_to(target)
    found = walk([Root(root, "user"), Root(tmp_path, "user")])
    assert found.problems == ()
    found = walk_user(root)
    assert folders_of(found, root) == ["own", "packed", "packed/one"]
    assert [Path(problem.path).parent.name for problem in found.problems] == ["two"]


def test_a_skills_linked_resources_are_nobodys_problem(
    tmp_path: Path, root: Path, write_skill: WriteSkill
) -> None:
    write_skill("a")
    (tmp_path / "shared").mkdir()
    (root / "a" / "references").symlink_to(tmp_path / "shared")
    assert found_below(root) == ["a"]


def test_links_that_lead_nowhere_are_told(root: Path) -> None:
    (root / "gone").symlink_to(root / "missing")
    (root / "own").symlink_to(root / "own")
    (root / "a").mkdir()
    (root / "a" / "SKILL.md").symlink_to(root / "missing.md")
    assert [
        (Path(problem.path).relative_to(root).as_posix(), problem.reason.split(":")[0])
        for problem in walk_user(root).problems
    ] == [
        ("a/SKILL.md", "is gone, or is a link that leads nowhere"),
        ("gone", "is gone, or is a link that leads nowhere"),
        ("own", "is a link that leads back to itself"),
    ]


def test_the_lock_of_an_editor_is_nobodys_problem(root: Path, write_skill: WriteSkill) -> None:
    write_skill()
    (root / ".#SKILL.md").symlink_to("me@host.123:456")
    assert found_below(root) == ["."]


def test_links_to_files_are_no_folders(root: Path, write_skill: WriteSkill) -> None:
    (root / "notes").symlink_to(write_skill("a"))
    assert found_below(root) == ["a"]


names = st.sampled_from(["a", "b", "c", "scripts", "node_modules", ".git"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(
    skills=st.lists(paths, max_size=5),
    links=st.lists(st.tuples(paths, st.one_of(st.just("."), st.just(".."), paths)), max_size=6),
)
@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_tangle_of_folders_and_links_is_walked_once(
    tmp_path_factory: pytest.TempPathFactory, skills: list[str], links: list[tuple[str, str]]
) -> None:
    root = tmp_path_factory.mktemp("outer") / "root"
    root.mkdir()
    for path in skills:
        (root / path).mkdir(parents=True, exist_ok=True)
        (root / path / "SKILL.md").write_text("body")
    for path, target in links:
        with contextlib.suppress(OSError):  # taken already, or below a link that leads nowhere
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(root / target)
    found = walk_user(root)
    real = [os.path.realpath(file.path) for file in found.files]
    assert len(real) == len(set(real))
    assert all(Path(path).is_relative_to(os.path.realpath(root)) for path in real)
    assert all(is_plain(problem.path) and is_plain(problem.reason) for problem in found.problems)
    assert found == walk_user(root)


def test_what_one_project_holds_is_not_reached_from_another_root(tmp_path: Path) -> None:
    ours, theirs, user = (tmp_path / name for name in ("ours", "theirs", "user"))
    for folder in (ours, theirs / "secret", user / "package"):
        folder.mkdir(parents=True)
    (theirs / "secret" / "SKILL.md").write_text("---\nname: secret\n---\nTheirs.")
    (user / "package" / "SKILL.md").write_text("---\nname: package\n---\nMine.")
    (user / "package" / "inner").mkdir()
    (user / "package" / "inner" / "SKILL.md").symlink_to(theirs / "secret" / "SKILL.md")
    both = walk([Root(user, "user"), Root(theirs, "project"), Root(ours, "project")])
    assert [(Path(file.path).name, file.root.path) for file in both.files] == [
        ("SKILL.md", user),
        ("SKILL.md", theirs),
    ]
    trusted = walk([Root(user, "user"), Root(theirs, "user")])
    assert len([file for file in trusted.files if file.root.path == user]) == 2


def test_what_only_some_may_see_is_not_reached_through_what_others_see_too(tmp_path: Path) -> None:
    shared, theirs = Root(tmp_path / "shared", "user"), Root(tmp_path / "theirs", "user")
    package, secret = shared.path / "package", theirs.path / "secret"
    for folder in (package / "inner", secret):
        folder.mkdir(parents=True)
        (folder.parent if folder.name == "inner" else folder).joinpath("SKILL.md").write_text("It.")
    (package / "inner" / "SKILL.md").symlink_to(secret / "SKILL.md")

    def found(*sets: tuple[Root, ...]) -> list[str]:
        walked = walk([shared, theirs], sets)
        assert bool(walked.problems) is (len(walked.files) == 2)
        return folders_of(
            Walk(tuple(f for f in walked.files if f.root == shared), (), ()), shared.path
        )

    together, alone = (shared, theirs), (shared,)
    assert found() == found(together) == found(together, (theirs,)) == ["package", "package/inner"]
    assert found(together, alone) == found(alone, (theirs,)) == ["package"]
