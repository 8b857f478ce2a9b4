from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.index.library import Library
from skillrouter_mcp.protocol import skill_catalogue
from skillrouter_mcp.protocol.skill_catalogue import SkillCatalogue
from skillrouter_mcp.protocol.skill_files import MAX_BYTES, MAX_FILES, NotServedError
from skillrouter_mcp.protocol.skill_uri import skill_uri


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _listed(catalogue: SkillCatalogue) -> list[str]:
    names, cursor = [], None
    while True:
        entries, cursor = catalogue.page(cursor)
        names += [entry["frontmatter"]["name"] for entry in entries]
        if cursor is None:
            return names


def test_entry_has_front_matter_and_every_file_once(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    (path.parent / "a.bin").write_bytes(b"\0\xff")
    (path.parent / "scripts").mkdir()
    (path.parent / "scripts" / "run me.sh").write_text("gzip\n")
    scan()
    uri = skill_uri("rotate-logs", str(path))
    base = uri.removesuffix("/SKILL.md")
    assert catalogue.entry(uri) == {
        "uri": uri,
        "frontmatter": {"name": "rotate-logs", "description": "Does it."},
        "resources": [
            {"uri": uri, "digest": _digest(path.read_bytes()), "size": path.stat().st_size},
            {"uri": f"{base}/a.bin", "digest": _digest(b"\0\xff"), "size": 2},
            {"uri": f"{base}/scripts/run%20me.sh", "digest": _digest(b"gzip\n"), "size": 5},
        ],
    }


def test_digest_and_size_follow_the_file_before_the_index_does(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    scan()
    write_skill("rotate-logs", body="Another body, of another length.\n")
    (resource,) = catalogue.entry(skill_uri("rotate-logs", str(path)))["resources"]
    assert resource["digest"] == _digest(path.read_bytes())
    assert resource["size"] == path.stat().st_size


def test_every_file_of_an_entry_can_be_read_with_its_digest(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs", body="Zeile\r\nÜber\u2028den Rand.\n")
    names = ["a b.md", "100%.txt", "q?.md", "h#.md", "整理.md", "bom.txt", "latin.txt", "nul.txt"]
    for name in names:
        (path.parent / name).write_bytes(b"\xef\xbb\xbfa\r\nb\n")
    (path.parent / "latin.txt").write_bytes(b"caf\xe9")
    (path.parent / "nul.txt").write_bytes(b"a\0b")
    scan()
    resources = catalogue.entry(skill_uri("rotate-logs", str(path)))["resources"]
    assert len(resources) == len(names) + 1
    for resource in resources:
        content = catalogue.read(resource["uri"]).content
        data = content.encode() if isinstance(content, str) else content
        assert (_digest(data), len(data)) == (resource["digest"], resource["size"])


def test_a_name_that_is_not_utf_8_has_a_uri(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    try:
        Path(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.txt")).write_text("hot")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    scan()
    _, resource = catalogue.entry(skill_uri("rotate-logs", str(path)))["resources"]
    assert resource["uri"].endswith("/caf%E9.txt")
    assert catalogue.read(resource["uri"]).content == "hot"
    folder = skill_uri("rotate-logs", str(path), ())
    names = [child["name"] for child in catalogue.children(folder, None)[0]]
    assert "caf\\xe9.txt" in names


def test_front_matter_is_what_a_host_reads_in_the_file(
    catalogue: SkillCatalogue, root: Path, scan: Any
) -> None:
    (root / "typed").mkdir()
    path = root / "typed" / "SKILL.md"
    path.write_text(
        "---\nname: typed\ndescription: 'Types: all'\nlicense: MIT\nversion: 1.5\ncount: 12\n"
        'quoted: "12"\nmetadata: {author: ada, draft: false, none: null, on: [yes, 0x1f]}\n'
        "date: 2026-09-13\n---\nBody.\n"
    )
    scan()
    assert catalogue.entry(skill_uri("typed", str(path)))["frontmatter"] == {
        "name": "typed",
        "description": "Types: all",
        "license": "MIT",
        "version": 1.5,
        "count": 12,
        "quoted": "12",
        "metadata": {"author": "ada", "draft": False, "none": None, "on": ["yes", 31]},
        "date": "2026-09-13",
    }


def test_skill_file_is_markdown_with_name_and_description(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    scan()
    file = catalogue.read(skill_uri("rotate-logs", str(path)))
    assert file.content == path.read_text()
    assert file.mime_type == "text/markdown"
    assert file.meta == {
        "io.modelcontextprotocol.skills/name": "rotate-logs",
        "io.modelcontextprotocol.skills/description": "Does it.",
    }


def test_other_files_have_their_own_type(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    (path.parent / "a.json").write_text("{}")
    (path.parent / "a.png").write_bytes(b"\x89PNG")
    (path.parent / "Makefile").write_text("all:")
    (path.parent / "logs.csv.gz").write_bytes(b"\x1f\x8b")
    (path.parent / "a.yaml").write_text("a: 1")
    (path.parent / "data:text,notes.md").write_text("Notes.")
    scan()
    assert catalogue.read(skill_uri("rotate-logs", str(path), ("a.json",))).mime_type == (
        "application/json"
    )
    image = catalogue.read(skill_uri("rotate-logs", str(path), ("a.png",)))
    assert (image.content, image.mime_type) == (b"\x89PNG", "image/png")
    types = {
        "Makefile": None,
        "logs.csv.gz": None,
        "a.yaml": "application/yaml",
        "data:text,notes.md": "text/markdown",
    }
    for name, mime_type in types.items():
        file = catalogue.read(skill_uri("rotate-logs", str(path), (name,)))
        assert file.mime_type == mime_type, name


def test_a_skill_file_in_small_letters_is_served_under_its_proper_name(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    small = path.with_name("skill.md")
    path.rename(small)
    scan()
    uri = skill_uri("rotate-logs", str(small))
    assert [resource["uri"] for resource in catalogue.entry(uri)["resources"]] == [uri]
    assert catalogue.read(uri).content == small.read_text()


def test_pages_hold_every_skill_once(
    catalogue: SkillCatalogue, write_skill: Any, monkeypatch: pytest.MonkeyPatch, scan: Any
) -> None:
    monkeypatch.setattr(skill_catalogue, "PAGE", 3)
    names = [f"skill-{number}" for number in range(7)]
    for name in names:
        write_skill(name, body=name)
    write_skill("skill-0", body="skill-0", at="copies/skill-0")
    scan()
    assert sorted(_listed(catalogue)) == sorted([*names, "skill-0"])


def test_a_large_library_is_listed_in_part_and_served_whole(
    catalogue: SkillCatalogue, write_skill: Any, monkeypatch: pytest.MonkeyPatch, scan: Any
) -> None:
    monkeypatch.setattr(skill_catalogue, "PAGE", 2)
    monkeypatch.setattr(skill_catalogue, "LISTED", 3)
    paths = [write_skill(name, body=name) for name in "abcd"]
    scan()
    assert _listed(catalogue) == ["a", "b", "c"]
    uri = skill_uri("d", str(paths[3]))
    assert catalogue.entry(uri)["uri"] == uri


def test_a_cursor_goes_on_though_its_skill_is_gone(
    catalogue: SkillCatalogue, write_skill: Any, monkeypatch: pytest.MonkeyPatch, scan: Any
) -> None:
    monkeypatch.setattr(skill_catalogue, "PAGE", 2)
    paths = [write_skill(name, body=name) for name in "abcd"]
    scan()
    _, cursor = catalogue.page(None)
    paths[1].unlink()
    scan()
    entries, cursor = catalogue.page(cursor)
    assert [entry["frontmatter"]["name"] for entry in entries] == ["c", "d"]
    assert cursor is None


@pytest.mark.parametrize("cursor", ["?", "a", "é", "/../"])
def test_a_foreign_cursor_is_refused(catalogue: SkillCatalogue, cursor: str) -> None:
    with pytest.raises(NotServedError, match="cursor"):
        catalogue.page(cursor)


def test_an_empty_library_has_an_empty_list(catalogue: SkillCatalogue) -> None:
    assert catalogue.page(None) == ([], None)


def test_hidden_skills_are_not_served(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("mine", description="Mine.\ndisable-model-invocation: true")
    scan()
    assert _listed(catalogue) == []
    for ask in (catalogue.entry, catalogue.read):
        with pytest.raises(NotServedError, match="no skill is served"):
            ask(skill_uri("mine", str(path)))


@pytest.mark.parametrize(
    "front_matter",
    [
        "description: It has no name.",
        "name: undescribed",
        "name: 7\ndescription: Its name is a number.",
        "name: Not A Name\ndescription: Its name is none that the format allows.",
        f"name: {'long' * 20}\ndescription: Its name is too long.",
        f"name: wordy\ndescription: {'long ' * 300}",
        "name: vague\ndescription: [a, list]",
    ],
)
def test_what_a_host_would_refuse_is_served_but_not_listed(
    catalogue: SkillCatalogue,
    library: Library,
    root: Path,
    write_skill: Any,
    front_matter: str,
    scan: Any,
) -> None:
    write_skill("complete")
    (root / "lax").mkdir()
    path = root / "lax" / "SKILL.md"
    path.write_text(f"---\n{front_matter}\n---\nBody.\n")
    scan()
    assert _listed(catalogue) == ["complete"]
    (name,) = [s.name for s in library.locations() if s.path == str(path)]
    uri = skill_uri(name, str(path))
    assert catalogue.entry(uri)["resources"][0]["uri"] == uri


def test_too_many_files_leave_the_skill_readable_but_without_entry(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("crowded")
    for number in range(MAX_FILES):
        (path.parent / f"{number}.md").touch()
    scan()
    uri = skill_uri("crowded", str(path))
    assert _listed(catalogue) == []
    with pytest.raises(NotServedError, match="more than 512 files"):
        catalogue.entry(uri)
    assert catalogue.read(uri).content == path.read_text()


def test_too_many_bytes_leave_the_skill_readable_but_without_entry(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("heavy")
    for name in ("a.bin", "b.bin"):
        with (path.parent / name).open("wb") as file:
            file.truncate(MAX_BYTES // 2)
    scan()
    uri = skill_uri("heavy", str(path))
    assert _listed(catalogue) == []
    with pytest.raises(NotServedError, match="more than 16,777,216 bytes"):
        catalogue.entry(uri)
    assert catalogue.read(uri).content == path.read_text()


def test_a_skill_file_that_is_a_link_out_is_refused_with_the_reason(
    catalogue: SkillCatalogue, tmp_path: Path, root: Path, scan: Any
) -> None:
    (tmp_path / "note.md").write_text("---\nname: note\ndescription: A note.\n---\nSecret.\n")
    (root / "note").mkdir()
    path = root / "note" / "SKILL.md"
    path.symlink_to(tmp_path / "note.md")
    scan()
    assert _listed(catalogue) == []
    for ask in (catalogue.entry, catalogue.read):
        with pytest.raises(NotServedError, match="leads out"):
            ask(skill_uri("note", str(path)))


def test_a_skill_that_was_renamed_is_not_served_under_its_old_uri(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("old")
    scan()
    path.write_text(path.read_text().replace("old", "new"))
    with pytest.raises(NotServedError, match="renamed"):
        catalogue.entry(skill_uri("old", str(path)))
    scan()
    assert catalogue.entry(skill_uri("new", str(path)))["frontmatter"]["name"] == "new"


@pytest.mark.parametrize("text", [b"\xff\xfe", b"---\na: &a [1,1]\n" + b"b: " + b"[" * 40])
def test_a_skill_file_spoilt_since_it_was_indexed_is_refused(
    catalogue: SkillCatalogue, write_skill: Any, text: bytes, scan: Any
) -> None:
    path = write_skill("spoilt")
    scan()
    path.write_bytes(text + b"\n---\n")
    with pytest.raises(NotServedError, match=r"SKILL\.md"):
        catalogue.entry(skill_uri("spoilt", str(path)))


def test_a_skill_that_is_gone_is_refused(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("gone")
    write_skill("kept", body="kept")
    scan()
    path.unlink()
    assert _listed(catalogue) == ["kept"]
    for ask in (catalogue.entry, catalogue.read):
        with pytest.raises(NotServedError):
            ask(skill_uri("gone", str(path)))


@pytest.mark.parametrize(
    "tail", ["/SKILL.md/", "", "/", "/../b/SKILL.md", "/%2e%2e/b/SKILL.md", "/..%2fb%2fSKILL.md"]
)
def test_nothing_but_a_file_of_the_skill_is_read(
    catalogue: SkillCatalogue, write_skill: Any, tail: str, scan: Any
) -> None:
    path = write_skill("a", body="a")
    write_skill("b", body="b")
    scan()
    uri = skill_uri("a", str(path), ()) + tail
    for ask in (catalogue.entry, catalogue.read):
        with pytest.raises(NotServedError):
            ask(uri)


def test_name_and_place_must_both_be_right(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("a")
    scan()
    for uri in (skill_uri("b", str(path)), skill_uri("a", "/elsewhere/SKILL.md")):
        with pytest.raises(NotServedError, match="no skill is served"):
            catalogue.entry(uri)


def test_messages_show_no_control_characters(catalogue: SkillCatalogue) -> None:
    with pytest.raises(NotServedError) as refusal:
        catalogue.read("skill://x/y/\x1b[2J\u202e")
    assert str(refusal.value).isprintable()


def test_a_nested_skill_is_served_for_itself_and_as_files_of_the_one_around_it(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    outer = write_skill("outer", body="outer")
    inner = write_skill("inner", body="inner", at="outer/inner")
    scan()
    around = [r["uri"] for r in catalogue.entry(skill_uri("outer", str(outer)))["resources"]]
    assert around == [
        skill_uri("outer", str(outer)),
        skill_uri("outer", str(outer), ("inner", "SKILL.md")),
    ]
    assert len(catalogue.entry(skill_uri("inner", str(inner)))["resources"]) == 1
    assert sorted(_listed(catalogue)) == ["inner", "outer"]
