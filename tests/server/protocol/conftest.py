from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skillrouter_gguf import load_catalogue
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root


@pytest.fixture
def library(tmp_path: Path, root: Path) -> Iterator[Library]:
    """An index over `root`, empty until `scan`; the extension needs no vectors."""
    fingerprint = Fingerprint.of(load_catalogue().model("all-minilm-l6-v2"))
    library = Library(tmp_path / "home", [Root(root, "user")], fingerprint)
    yield library
    library.close()
