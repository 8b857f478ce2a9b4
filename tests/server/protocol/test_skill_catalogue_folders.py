from __future__ import annotations

from typing import Any

import pytest

from skillrouter_mcp.protocol import skill_catalogue
from skillrouter_mcp.protocol.skill_catalogue import SkillCatalogue
from skillrouter_mcp.protocol.skill_files import NotServedError
from skillrouter_mcp.protocol.skill_uri import skill_uri


def test_folders_list_their_children(
    catalogue: SkillCatalogue, write_skill: Any, scan: Any
) -> None:
    path = write_skill("rotate-logs")
    (path.parent / "references").mkdir()
    (path.parent / "references" / "more.md").write_text("More.")
    (path.parent / "empty").mkdir()
    scan()
    folder = skill_uri("rotate-logs", str(path), ())
    assert catalogue.children(folder, None) == (
        [
            {
                "uri": f"{folder}/SKILL.md",
                "name": "rotate-logs",
                "description": "Does it.",
                "mimeType": "text/markdown",
            },
            {"uri": f"{folder}/empty", "name": "empty", "mimeType": "inode/directory"},
            {"uri": f"{folder}/references", "name": "references", "mimeType": "inode/directory"},
        ],
        None,
    )
    assert catalogue.children(f"{folder}/references", None) == (
        [{"uri": f"{folder}/references/more.md", "name": "more.md", "mimeType": "text/markdown"}],
        None,
    )
    assert catalogue.children(f"{folder}/empty", None) == ([], None)
    for uri in (f"{folder}/SKILL.md", f"{folder}/none", folder.rpartition("/")[0]):
        with pytest.raises(NotServedError):
            catalogue.children(uri, None)


def test_a_folder_of_thousands_is_listed_in_pages(
    catalogue: SkillCatalogue, write_skill: Any, monkeypatch: pytest.MonkeyPatch, scan: Any
) -> None:
    monkeypatch.setattr(skill_catalogue, "FOLDER_PAGE", 4)
    path = write_skill("crowded")
    names = [f"{number}.md" for number in range(10)]
    for name in names:
        (path.parent / name).touch()
    scan()
    seen: list[str] = []
    cursor = None
    while True:
        children, cursor = catalogue.children(skill_uri("crowded", str(path), ()), cursor)
        seen += [child["name"] for child in children]
        if cursor is None:
            break
    assert seen == sorted([*names, "crowded"], key=lambda name: name.replace("crowded", "SKILL.md"))
