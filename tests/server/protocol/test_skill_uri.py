from __future__ import annotations

import os

import pytest

from skillrouter_mcp.protocol.skill_uri import SkillUri, skill_uri
from skillrouter_mcp.routing.shelf import place_of

PATH = "/home/ada/.skills/rotate-logs/SKILL.md"


def test_uri_ends_with_the_name_and_tells_two_skills_of_one_name_apart() -> None:
    first, second = skill_uri("rotate-logs", PATH), skill_uri("rotate-logs", "/other/SKILL.md")
    assert first.endswith("/rotate-logs/SKILL.md")
    assert first != second


def test_folder_of_a_skill_has_no_trailing_slash() -> None:
    assert skill_uri("rotate-logs", PATH, ()) == f"skill://{place_of(PATH)}/rotate-logs"


@pytest.mark.parametrize(
    "parts",
    [
        ("SKILL.md",),
        ("references", "a b.md"),
        ("50% off?#1.md",),
        ("整理", "发票.md"),
        (os.fsdecode(b"caf\xe9.txt"),),
        (),
    ],
)
def test_what_was_made_a_uri_is_read_back(parts: tuple[str, ...]) -> None:
    uri = skill_uri("成绩 a/b".replace("/", "-"), PATH, parts)
    assert uri.isascii()
    assert SkillUri.parse(uri) == SkillUri(place_of(PATH), "成绩 a-b", parts)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "skill://",
        "skill://place",
        "skill:///name/SKILL.md",
        "skill://place//SKILL.md",
        "skill://place/name/",
        "skill://place/name/../SKILL.md",
        "skill://place/name/./SKILL.md",
        "skill://place/name/%2e%2e/SKILL.md",
        "skill://place/name/..%2f..%2fetc%2fpasswd",
        "skill://place/name/a%2fb",
        "skill://place/name/a%00b",
        "skill://place/name/SKILL.md?x",
        "skill://place/name/SKILL.md#x",
        "file:///etc/passwd",
        "SKILL://place/name/SKILL.md",
        "/etc/passwd",
    ],
)
def test_what_leads_elsewhere_is_no_uri_of_a_skill(uri: str) -> None:
    assert SkillUri.parse(uri) is None
