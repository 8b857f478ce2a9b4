from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skillrouter_gguf import load_catalogue
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.protocol.skill_catalogue import SkillCatalogue
from skillrouter_mcp.skills import Root


@pytest.fixture
def library(tmp_path: Path, root: Path) -> Iterator[Library]:
    """An index over `root`, empty until `scan`; the extension needs no vectors."""
    fingerprint = Fingerprint.of(load_catalogue().model("all-minilm-l6-v2"))
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


@pytest.fixture
def catalogue(library: Library) -> SkillCatalogue:
    """The skills of `library` as the extension presents them."""
    return SkillCatalogue(library)
