from __future__ import annotations

from skillrouter_mcp.index.store import Location
from skillrouter_mcp.routing.shelf import Shelf, place_of

PATHS = ("/a/SKILL.md", "/b/x/SKILL.md", "/b/y/SKILL.md", "/é/SKILL.md")
SKILLS = [Location(number, f"skill-{number}", path) for number, path in enumerate(PATHS)]


def _paths(shelf: Shelf, path: str, count: int) -> list[str]:
    return [skill.path for skill in shelf.after(path, count)]


def test_pages_follow_each_other_by_path() -> None:
    shelf = Shelf(SKILLS)
    assert _paths(shelf, "", 3) == list(PATHS[:3])
    assert _paths(shelf, PATHS[2], 3) == [PATHS[3]]
    assert _paths(shelf, PATHS[3], 3) == []


def test_a_page_goes_on_where_a_skill_has_gone_meanwhile() -> None:
    shelf = Shelf([SKILLS[0], *SKILLS[2:]])
    assert _paths(shelf, PATHS[1], 1) == [PATHS[2]]


def test_a_skill_is_known_by_its_place_and_name_together() -> None:
    shelf = Shelf(SKILLS)
    for skill in SKILLS:
        assert shelf.at(place_of(skill.path), skill.name) == skill
    assert shelf.at(place_of(PATHS[0]), "skill-1") is None
    assert shelf.at("", "skill-0") is None


def test_copies_of_a_skill_have_places_of_their_own() -> None:
    copies = [Location(1, "same", path) for path in PATHS]
    shelf = Shelf(copies)
    assert [shelf.at(place_of(path), "same") for path in PATHS] == copies


def test_a_place_is_short_plain_and_always_the_same() -> None:
    assert place_of("/a/SKILL.md") == place_of("/a/SKILL.md")
    assert len({place_of(path) for path in PATHS}) == len(PATHS)
    assert all(len(place_of(path)) == 16 and place_of(path).isalnum() for path in PATHS)


def test_nothing_is_on_an_empty_shelf() -> None:
    assert Shelf([]).after("", 5) == []
    assert Shelf([]).at(place_of("/a"), "a") is None
