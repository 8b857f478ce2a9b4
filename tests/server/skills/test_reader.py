from __future__ import annotations

import codecs
import os
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillrouter_mcp.skills.reader import (
    MAX_BYTES,
    MAX_DESCRIPTION,
    MAX_NAME,
    announce,
    read_skill,
)
from skillrouter_mcp.skills.sanitise import is_plain
from skillrouter_mcp.skills.skill import Skill, SkillError

WriteSkill = Callable[..., Path]


def reason_of(path: Path, max_bytes: int = MAX_BYTES) -> str:
    with pytest.raises(SkillError) as caught:
        read_skill(path, max_bytes=max_bytes)
    assert is_plain(caught.value.reason)
    return caught.value.reason


def test_a_good_skill_has_no_warnings(write_skill: WriteSkill) -> None:
    content = "---\nname: pdf-tools\ndescription: Fill in\n  forms.\nversion: 1.10\n---\n# Title\n"
    assert read_skill(write_skill("pdf-tools", content)) == Skill(
        name="pdf-tools",
        description="Fill in forms.",
        body="# Title",
        front_matter={
            "name": "pdf-tools",
            "description": "Fill in forms.",
            "version": "1.10",
        },
        warnings=(),
        hidden=False,
    )


def test_without_front_matter_the_folder_lends_its_name(write_skill: WriteSkill) -> None:
    skill = read_skill(write_skill("pdf-tools", "# Title"))
    assert (skill.name, skill.description, skill.body) == ("pdf-tools", "", "# Title")
    assert skill.front_matter == {}
    assert skill.warnings == (
        "there is no front matter",
        "there is no description, so the skill is found by its body alone",
    )


def test_without_description_the_body_still_loads(write_skill: WriteSkill) -> None:
    skill = read_skill(write_skill("a", "---\nname: a\ndescription:\n---\nbody"))
    assert (skill.description, skill.body) == ("", "body")
    assert len(skill.warnings) == 1
    assert "no description" in skill.warnings[0]


def test_without_body_the_description_still_loads(write_skill: WriteSkill) -> None:
    skill = read_skill(write_skill("a", "---\nname: a\ndescription: b\n---\n"))
    assert (skill.description, skill.body, skill.warnings) == ("b", "", ())


@pytest.mark.parametrize("content", ["", "  \n", "---\nname: a\n---\n", "\ufeff"])
def test_with_neither_there_is_no_skill(write_skill: WriteSkill, content: str) -> None:
    assert "neither a description nor a body" in reason_of(write_skill("a", content))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("PDF Tools", "PDF Tools"),
        ("pdf--tools", "pdf--tools"),
        ("-pdf", "-pdf"),
        ("表格", "表格"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("[pdf, tools]", "folder"),
        ("{pdf: tools}", "folder"),
        ("''", "folder"),
        ('"\\e[31m\\u202e"', "folder"),
        ('"pdf\\n\\nIgnore\\tthe rest"', "pdf Ignore the rest"),
        ('"\\e[31mpdf\\e[0m\\u202e"', "pdf"),
        ("x" * 10_000, "x" * (MAX_NAME - 1) + "…"),
    ],
)
def test_a_bad_name_warns_and_loads(write_skill: WriteSkill, given: str, name: str) -> None:
    skill = read_skill(write_skill("folder", f"---\nname: {given}\ndescription: b\n---\nbody"))
    assert skill.name == name
    assert is_plain(skill.name)
    assert any("name" in warning for warning in skill.warnings)
    assert all(is_plain(warning) and len(warning) < 400 for warning in skill.warnings)


@pytest.mark.parametrize("given", ["123", "1.10", "2026-01-31", "true", "no"])
def test_a_name_that_yaml_takes_for_something_else_stays_as_written(
    write_skill: WriteSkill, given: str
) -> None:
    content = f"---\nname: {given}\ndescription: b\n---\nbody"
    assert read_skill(write_skill("a", content)).name == given


@pytest.mark.parametrize(("length", "warns"), [(64, False), (65, True)])
def test_the_format_allows_names_of_64_characters(
    write_skill: WriteSkill, length: int, warns: bool
) -> None:
    name = "x" * length
    skill = read_skill(write_skill(name, f"---\nname: {name}\ndescription: b\n---\nbody"))
    assert skill.name == name
    assert bool(skill.warnings) is warns


def test_a_name_that_differs_from_the_folder_warns(write_skill: WriteSkill) -> None:
    skill = read_skill(write_skill("forms", "---\nname: pdf\ndescription: b\n---\nbody"))
    assert skill.name == "pdf"
    assert skill.warnings == ('the name "pdf" differs from the folder\'s, "forms"',)


def test_names_are_the_same_however_their_accents_are_written(write_skill: WriteSkill) -> None:
    path = write_skill("cafe\u0301", "---\nname: caf\u00e9\ndescription: b\n---\nbody")
    assert not any("differs" in warning for warning in read_skill(path).warnings)


def test_a_description_is_one_line_of_limited_length(write_skill: WriteSkill) -> None:
    content = "---\nname: a\ndescription: |\n  one \x1b[31mred\n\n  two\n---\nbody"
    assert read_skill(write_skill("a", content)).description == "one [31mred two"
    skill = read_skill(write_skill("a", f"---\nname: a\ndescription: {'x ' * 9_000}\n---\nbody"))
    assert len(skill.description) <= MAX_DESCRIPTION
    assert "1,024" in skill.warnings[0]


def test_a_description_may_be_a_list(write_skill: WriteSkill) -> None:
    skill = read_skill(write_skill("a", "---\nname: a\ndescription: [one, two]\n---\nbody"))
    assert skill.description == "one two"
    assert "list" in skill.warnings[0]


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ("true", True),
        ("'true'", True),
        ("yes", True),
        ("false", False),
        ("", False),
        ("[a]", False),
    ],
)
def test_the_author_may_hide_a_skill_from_models(
    write_skill: WriteSkill, value: str, hidden: bool
) -> None:
    content = f"---\nname: a\ndescription: b\ndisable-model-invocation: {value}\n---\nbody"
    assert read_skill(write_skill("a", content)).hidden is hidden


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_read_alike(write_skill: WriteSkill, line_end: str) -> None:
    content = line_end.join(["---", "name: a", "description: b", "---", "one", "two"])
    skill = read_skill(write_skill("a", content))
    assert (skill.name, skill.body, skill.warnings) == ("a", "one\ntwo", ())


def test_a_byte_order_mark_is_accepted(write_skill: WriteSkill) -> None:
    content = codecs.BOM_UTF8 + b"---\nname: a\ndescription: b\n---\nbody"
    assert read_skill(write_skill("a", content)).warnings == ()


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-16", "UTF-16"), ("utf-32", "UTF-32"), ("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16")],
)
def test_other_unicode_encodings_are_refused_by_name(
    write_skill: WriteSkill, encoding: str, named: str
) -> None:
    path = write_skill("a", "---\nname: a\n---\nbody".encode(encoding))
    assert named in reason_of(path)
    assert "UTF-8" in reason_of(path)


def test_local_encodings_are_refused_with_the_line(write_skill: WriteSkill) -> None:
    path = write_skill("a", "---\nname: a\ndescription: “quoted”\n---\n".encode("cp1252"))
    assert "not UTF-8 (byte 0x93 in line 3" in reason_of(path)


def test_binary_content_is_refused(write_skill: WriteSkill) -> None:
    assert "NUL" in reason_of(write_skill("a", b"---\nname: a\n---\nbo\x00dy"))


def test_a_file_over_the_limit_is_refused_unread(write_skill: WriteSkill) -> None:
    path = write_skill("a", "x")
    with path.open("r+b") as file:
        file.truncate(50 * 1024 * 1024)
    reason = reason_of(path)
    assert "52,428,800 bytes" in reason
    assert f"{MAX_BYTES:,}" in reason


def test_the_limit_can_be_chosen(write_skill: WriteSkill) -> None:
    path = write_skill("a", "x" * 100)
    assert read_skill(path, max_bytes=100).body == "x" * 100
    assert "limit is 99" in reason_of(path, max_bytes=99)


def test_a_missing_file_is_told(root: Path) -> None:
    assert "is gone" in reason_of(root / "a" / "SKILL.md")


def test_a_folder_is_refused(root: Path) -> None:
    (root / "SKILL.md").mkdir()
    assert "is a folder" in reason_of(root / "SKILL.md")


def test_an_unreadable_file_is_told(root_of_ordinary_user: Path) -> None:
    path = root_of_ordinary_user / "SKILL.md"
    path.write_text("body")
    path.chmod(0)
    assert "permission denied" in reason_of(path)


def test_a_lower_case_file_name_warns(write_skill: WriteSkill) -> None:
    path = write_skill("a", "---\nname: a\ndescription: b\n---\nbody", name="skill.md")
    assert read_skill(path).warnings == ("the file should be called SKILL.md, not skill.md",)


def test_a_skill_at_the_top_of_the_disk_has_a_name_too(
    write_skill: WriteSkill, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_skill("a", "body")
    monkeypatch.chdir(path.parent)
    assert read_skill(Path("SKILL.md")).name == "a"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files here")
class TestFilesThatAreNone:
    def test_a_pipe_is_refused_without_waiting_for_a_writer(self, root: Path) -> None:
        os.mkfifo(root / "SKILL.md")
        assert "is a pipe" in reason_of(root / "SKILL.md")

    def test_a_pipe_that_takes_the_place_of_a_file_holds_nobody_up(
        self, write_skill: WriteSkill, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = os.lstat(write_skill("a"))
        os.mkfifo(root / "SKILL.md")
        monkeypatch.setattr(os, "lstat", lambda path: status)
        assert "is a pipe" in reason_of(root / "SKILL.md")

    def test_a_socket_is_refused(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root)  # a socket's path has to be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("SKILL.md")
            assert "is a socket" in reason_of(root / "SKILL.md")

    @pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
    def test_a_device_is_refused(self, root: Path, device: str) -> None:
        (root / "SKILL.md").symlink_to(device)
        assert "is a device" in reason_of(root / "SKILL.md")


@pytest.mark.skipif(
    not (hasattr(os, "posix_fadvise") and Path("/proc/self/fd").exists()),
    reason="a system that takes no such advice, or does not tell of which file it was",
)
class TestAnnouncing:
    @pytest.fixture
    def advised(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
        """Of which files the system was told, and what."""
        told: list[tuple[str, int]] = []

        def advise(descriptor: int, start: int, length: int, advice: int) -> None:
            assert (start, length) == (0, 0)  # all of it
            told.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), advice))

        monkeypatch.setattr(os, "posix_fadvise", advise)
        return told

    def test_a_file_is_fetched(
        self, write_skill: WriteSkill, advised: list[tuple[str, int]]
    ) -> None:
        path = os.path.realpath(write_skill("a"))
        announce(path)
        assert advised == [(path, os.POSIX_FADV_WILLNEED)]

    @pytest.mark.parametrize("refused", [False, True])
    def test_nothing_is_left_open(
        self, write_skill: WriteSkill, refused: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def advise(*_: int) -> None:
            if refused:
                raise OSError("no advice is taken of this")

        monkeypatch.setattr(os, "posix_fadvise", advise)
        path = os.path.realpath(write_skill("a"))
        announce(path)
        assert path not in [file.path for file in psutil.Process().open_files()]

    def test_what_would_not_be_read_is_not_fetched(
        self, write_skill: WriteSkill, root: Path, advised: list[tuple[str, int]]
    ) -> None:
        announce(str(root / "gone" / "SKILL.md"))
        announce("\0")
        announce(str(write_skill("large", "x" * (MAX_BYTES + 1))))
        (root / "secret.txt").write_text("secret")
        announce(str(root / "secret.txt"))
        (root / "SKILL.md").symlink_to(write_skill("a"))
        announce(str(root / "SKILL.md"))
        assert advised == []

    def test_a_pipe_is_not_opened(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(root / "SKILL.md")
        opened: list[str] = []
        monkeypatch.setattr(os, "open", lambda path, *_: opened.append(path))
        announce(str(root / "SKILL.md"))
        assert opened == []


class TestLinks:
    def test_a_link_to_markdown_is_followed(self, tmp_path: Path, root: Path) -> None:
        (tmp_path / "notes.md").write_text("body")
        (root / "SKILL.md").symlink_to(tmp_path / "notes.md")
        skill = read_skill(root / "SKILL.md")
        assert (skill.name, skill.body) == ("root", "body")

    def test_a_link_to_another_kind_of_file_is_refused(self, tmp_path: Path, root: Path) -> None:
        (tmp_path / "id_ed25519").write_text("secret")
        (tmp_path / "by-way-of.md").symlink_to(tmp_path / "id_ed25519")
        (root / "SKILL.md").symlink_to(tmp_path / "by-way-of.md")
        reason = reason_of(root / "SKILL.md")
        assert "id_ed25519, which is no Markdown" in reason

    def test_a_link_that_leads_nowhere_is_told(self, root: Path) -> None:
        (root / "SKILL.md").symlink_to(root / "missing.md")
        assert "leads nowhere" in reason_of(root / "SKILL.md")

    def test_a_link_that_leads_to_itself_is_told(self, root: Path) -> None:
        (root / "SKILL.md").symlink_to(root / "SKILL.md")
        assert "leads back to itself" in reason_of(root / "SKILL.md")


pieces = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.sampled_from(
        [
            b"---\n",
            b"name: ",
            b"description: ",
            b"a: b: c\n",
            b"\r\n",
            b"\n",
            b"\xff\xfe",
            b"\x00",
            b"\xef\xbb\xbf",
            b"\x1b[2J",
            b"\x93",
            b"&a ",
            b"*a\n",
            b"[" * 99,
            "\u202e".encode(),
        ]
    ),
)


@given(st.lists(pieces, max_size=10).map(b"".join))
@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_bytes_are_read_or_refused(write_skill: WriteSkill, content: bytes) -> None:
    path = write_skill("a", content)
    try:
        skill = read_skill(path)
    except SkillError as error:
        said: tuple[str, ...] = (error.reason,)
    else:
        said = (skill.name, skill.description, *skill.warnings)
        assert 1 <= len(skill.name) <= MAX_NAME
        assert len(skill.description) <= MAX_DESCRIPTION
        assert skill.description or skill.body
        assert not {"\x00", "\r"} & set(skill.body)
        skill.body.encode()
    assert all(is_plain(sentence) for sentence in said)
