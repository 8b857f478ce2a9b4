from __future__ import annotations

import os
import socket
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from skillrouter_mcp.skills.sanitise import is_plain
from skillrouter_mcp.skills.walk import MAX_DEPTH, MAX_PROBLEMS, Problem, Root, Walk, walk

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


def only_problem(root: Path) -> Problem:
    (problem,) = walk_user(root).problems
    assert is_plain(problem.path)
    assert is_plain(problem.reason)
    return problem


class TestPlainFolders:
    def test_skills_are_found_at_any_depth_up_to_six(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        folders = ["/".join("abcdefg"[:depth]) for depth in range(1, 8)]
        for folder in folders:
            write_skill(folder + "/own")
        assert MAX_DEPTH == 6
        assert found_below(root) == [folder + "/own" for folder in reversed(folders[:5])]

    def test_skills_within_skills_are_found(self, root: Path, write_skill: WriteSkill) -> None:
        for folder in ["kit", "kit/part", "kit/more/part"]:
            write_skill(folder)
        assert found_below(root) == ["kit", "kit/more/part", "kit/part"]

    def test_a_root_may_itself_be_a_skill(self, root: Path, write_skill: WriteSkill) -> None:
        write_skill()
        assert found_below(root) == ["."]

    @pytest.mark.parametrize("folder", [".git", "node_modules"])
    def test_what_tools_keep_is_skipped(
        self, root: Path, write_skill: WriteSkill, folder: str
    ) -> None:
        write_skill(f"a/{folder}/b")
        write_skill(".hidden/c")
        assert found_below(root) == [".hidden/c"]

    @pytest.mark.parametrize("folder", ["assets", "references", "scripts"])
    def test_samples_among_a_skills_resources_are_skipped(
        self, root: Path, write_skill: WriteSkill, folder: str
    ) -> None:
        write_skill("kit")
        write_skill(f"kit/{folder}/sample")
        write_skill(f"{folder}/skill")
        assert found_below(root) == sorted(["kit", f"{folder}/skill"])

    def test_the_name_of_the_format_wins_over_its_lower_case(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        write_skill("both", name="skill.md")
        write_skill("both", name="SKILL.md")
        write_skill("lower", name="skill.md")
        for other in ("Skill.md", "SKILL.MD", "SKILL.md.bak", "README.md"):
            write_skill("none", name=other)
        paths = [Path(file.path) for file in walk_user(root).files]
        assert [path.parent.name for path in paths] == ["both", "lower"]
        assert paths[0].samefile(root / "both" / "SKILL.md")

    def test_the_order_does_not_depend_on_the_disk(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        for folder in ["b", "c/x", "a", "c", "Z"]:
            write_skill(folder)
        assert found_below(root) == ["Z", "a", "b", "c", "c/x"]


class TestRoots:
    def test_a_root_that_is_not_there_yet_is_empty(self, root: Path) -> None:
        assert walk_user(root / "later") == Walk((), (), ())

    def test_a_root_that_is_a_file_is_told(self, write_skill: WriteSkill) -> None:
        assert "not a folder" in only_problem(write_skill("a")).reason

    def test_a_root_that_is_no_path_is_told(self, root: Path) -> None:
        assert "rename" in only_problem(Path(f"{root}/nul\0")).reason
        assert only_problem(root / "\ud800").reason

    def test_a_root_may_be_a_link_and_keeps_its_name(
        self, tmp_path: Path, root: Path, write_skill: WriteSkill
    ) -> None:
        write_skill("a")
        link = tmp_path / "link"
        link.symlink_to(root)
        assert [file.path for file in walk_user(link).files] == [f"{link}/a/SKILL.md"]

    def test_a_relative_root_gives_absolute_paths(
        self, root: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write_skill("a")
        monkeypatch.chdir(root / "a")
        assert [Path(file.path) for file in walk_user(Path("..")).files] == [path]

    def test_each_root_has_its_own_skills_in_the_order_given(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        write_skill("project/x")
        write_skill("user/y")
        (root / "project" / "linked").symlink_to(root / "user" / "y")
        project, user = Root(root / "project", "project"), Root(root / "user", "user")
        found = walk([user, project])
        assert [(file.root, Path(file.path).parent.name) for file in found.files] == [
            (user, "y"),
            (project, "linked"),
            (project, "x"),
        ]

    def test_the_first_of_the_same_roots_counts(self, root: Path, write_skill: WriteSkill) -> None:
        write_skill("a")
        first, again = Root(root, "project"), Root(root / "a" / "..", "user")
        assert [file.root for file in walk([first, again]).files] == [first]

    def test_a_problem_is_told_of_the_root_that_it_lies_under(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        odd = Root(root / "two\nlines", "project")
        inner = Root(write_skill("a"), "user")
        write_skill("two\nlines")
        assert [problem.root for problem in walk([inner, odd]).problems] == [inner, odd]

    def test_a_root_within_another_has_its_own_files_too(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        path = write_skill("group/a")
        outer, inner = Root(root, "user"), Root(root / "group", "user")
        assert [(file.path, file.root) for file in walk([outer, inner]).files] == [
            (str(path), outer),
            (str(path), inner),
        ]


class TestStamps:
    def test_the_stamp_stays_while_nothing_changes(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        write_skill("a")
        assert walk_user(root) == walk_user(root)

    @pytest.mark.parametrize("change", ["edit", "touch", "replace", "rights"])
    def test_the_stamp_tells_a_change(
        self, root: Path, write_skill: WriteSkill, change: str
    ) -> None:
        path = write_skill("a", "before")
        os.utime(path, ns=(1, 1))
        before = walk_user(root).files[0].stamp
        if change == "edit":
            path.write_text("after, and longer")
            os.utime(path, ns=(1, 1))
        elif change == "touch":
            os.utime(path, ns=(2, 2))
        elif change == "replace":
            other = write_skill("a", "beside", name="new")
            os.utime(other, ns=(1, 1))
            other.replace(path)
        else:
            while os.stat(path).st_ctime_ns == before.ctime_ns:  # noqa: PTH116 (a coarse clock)
                path.chmod(0o600)
        assert walk_user(root).files[0].stamp != before

    def test_the_stamp_is_that_of_a_links_target(
        self, tmp_path: Path, root: Path, write_skill: WriteSkill
    ) -> None:
        target = tmp_path / "target.md"
        target.write_text("one")
        write_skill("a").unlink()
        (root / "a" / "SKILL.md").symlink_to(target)
        assert walk_user(root).files[0].stamp.size == 3
        target.write_text("three")
        assert walk_user(root).files[0].stamp.size == 5


class TestProblems:
    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
    def test_what_is_no_regular_file_is_told_and_harms_nothing_else(
        self, root: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_skill("good")
        for folder in ("device", "folder", "pipe", "socket"):
            (root / folder).mkdir()
        (root / "device" / "SKILL.md").symlink_to("/dev/zero")
        (root / "folder" / "SKILL.md").mkdir()
        os.mkfifo(root / "pipe" / "SKILL.md")
        monkeypatch.chdir(root / "socket")  # a socket's path has to be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("SKILL.md")
        found = walk_user(root)
        assert folders_of(found, root) == ["good"]
        assert [(Path(p.path).parent.name, p.reason.split(" and ")[0]) for p in found.problems] == [
            ("device", "is a device"),
            ("folder", "is a folder"),
            ("pipe", "is a pipe"),
            ("socket", "is a socket"),
        ]

    def test_a_closed_folder_is_told(self, root_of_ordinary_user: Path) -> None:
        root = root_of_ordinary_user
        for folder in ("closed", "open"):
            (root / folder).mkdir()
            (root / folder / "SKILL.md").write_text("body")
        (root / "closed").chmod(0)
        found = walk_user(root)
        assert folders_of(found, root) == ["open"]
        assert [Path(problem.path).name for problem in found.problems] == ["closed"]
        assert "permission denied" in found.problems[0].reason

    @pytest.mark.parametrize(
        ("folder", "shown"),
        [
            ("two\nlines", "two\\nlines"),
            ("\x1b[2Jclear", "\\x1b[2Jclear"),
            ("left\u202eright", "left\\u202eright"),
            (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ],
    )
    def test_a_path_that_cannot_be_shown_is_told(
        self, root: Path, write_skill: WriteSkill, folder: str, shown: str
    ) -> None:
        try:
            write_skill(folder + "/group")
        except OSError:
            pytest.skip("the file system does not take such names")
        write_skill("good")
        found = walk_user(root)
        assert folders_of(found, root) == ["good"]
        assert [problem.path for problem in found.problems] == [f"{root}/{shown}/group/SKILL.md"]
        assert "rename the folder" in found.problems[0].reason

    def test_odd_folders_without_skills_are_nobodys_problem(self, root: Path) -> None:
        (root / "two\nlines").mkdir()
        assert found_below(root) == []

    def test_very_many_problems_are_summed_up(self, root: Path) -> None:
        for number in range(MAX_PROBLEMS + 7):
            (root / f"{number}").symlink_to("nowhere")
        problems = walk_user(root).problems
        assert len(problems) == MAX_PROBLEMS + 1
        more = "has 7 more problems below it: put right those listed first"
        assert Problem(str(root), Root(root, "user"), more) in problems


class TestLimits:
    def test_too_many_folders_are_told_and_the_nearest_skills_kept(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        for number in range(5):
            write_skill(f"{number}/deeper")
            write_skill(f"{number}")
        found = walk([Root(root, "user")], max_folders=8)
        assert folders_of(found, root) == ["0", "0/deeper", "1", "1/deeper", "2", "3", "4"]
        assert [problem.path for problem in found.problems] == [str(root)]
        assert "more than 8 folders" in found.problems[0].reason

    def test_links_count_like_folders(self, root: Path) -> None:
        (root / "a").mkdir()
        for number in range(9):
            (root / f"link-{number}").symlink_to(root / "a")
        assert not walk([Root(root, "user")], max_folders=11).problems
        assert walk([Root(root, "user")], max_folders=10).problems

    def test_too_many_entries_are_told(self, root: Path, write_skill: WriteSkill) -> None:
        for number in range(20):
            write_skill("a", name=f"note-{number}")
        assert not walk([Root(root, "user")], max_entries=21).problems
        found = walk([Root(root, "user")], max_entries=20)
        assert "more than 20 files and folders" in found.problems[0].reason

    def test_one_root_does_not_use_up_the_limit_of_another(
        self, root: Path, write_skill: WriteSkill
    ) -> None:
        for number in range(9):
            write_skill(f"large/{number}")
        write_skill("small/a")
        found = walk([Root(root / "large", "user"), Root(root / "small", "user")], max_folders=5)
        assert "small/a" in folders_of(found, root)

    def test_a_chain_of_folders_deeper_than_a_path_can_be_is_no_trouble(self, root: Path) -> None:
        at = os.open(root, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d" * 100, dir_fd=at)
            below = os.open("d" * 100, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        assert found_below(root) == []


def test_it_gives_way_every_few_folders(
    root: Path, write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("skillrouter_mcp.skills.walk"), "_FOLDERS_AT_A_TIME", 2)
    for name in "abc":
        write_skill(name)
    given: list[bool] = []
    walk([Root(root, "user")], give_way=lambda: given.append(True))
    assert len(given) == 2
