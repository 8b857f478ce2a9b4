from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skillrouter_gguf import Encoder, load_catalogue

SkillWriter = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_user() -> None:
    for name in [name for name in os.environ if name.startswith(("SKILLROUTER_", "CLAUDE_"))]:
        del os.environ[name]


@pytest.fixture(scope="session")
def encoder() -> Iterator[Encoder]:
    """The embedded model, loaded."""
    with Encoder.open(load_catalogue().model("all-minilm-l6-v2"), threads=1) as encoder:
        yield encoder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder for skills."""
    folder = tmp_path / "skills"
    folder.mkdir()
    return folder


@pytest.fixture
def write_skill(root: Path) -> SkillWriter:
    """Writes a skill below `root` and gives the path of its `SKILL.md`."""

    def write(
        name: str, body: str = "Do it.\n", description: str = "Does it.", at: str = ""
    ) -> Path:
        path = root / (at or name) / "SKILL.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"---\nname: {name}\ndescription: {description}\n---\n\n{body}", encoding="utf-8"
        )
        return path

    return write
