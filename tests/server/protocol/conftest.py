from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from skillrouter_gguf import load_catalogue
from skillrouter_mcp.index.attendance import Roots
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.store import Location
from skillrouter_mcp.protocol.skill_catalogue import SkillCatalogue
from skillrouter_mcp.routing.answer import Answer
from skillrouter_mcp.routing.shelf import Shelf
from skillrouter_mcp.skills import Root


@pytest.fixture
def library(tmp_path: Path, root: Path) -> Iterator[Library]:
    """An index over `root`, empty until `scan`; the extension needs no vectors."""
    fingerprint = Fingerprint.of(load_catalogue().model("skillrouter-minilm-l6"))
    library = Library(tmp_path / "home", [Root(root, "user")], fingerprint)
    yield library
    library.close()


@pytest.fixture
def scan(library: Library) -> Callable[[], None]:
    """Brings `library` in step with `root`."""

    def scanned() -> None:
        with library.writing() as mine:
            assert mine
            library.scan()

    return scanned


class _Finder:
    """Knows all skills of a library, and finds none for a request."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        raise NotImplementedError

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        return Shelf(self._library.locations(roots)).after(path, count)

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        return Shelf(self._library.locations(roots)).at(place, name)

    def close(self) -> None:
        pass


@pytest.fixture
def catalogue(library: Library) -> SkillCatalogue:
    """The skills of `library` as the extension presents them."""
    return SkillCatalogue(_Finder(library), None)
