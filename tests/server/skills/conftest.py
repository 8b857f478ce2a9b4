from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WriteSkill = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder of skills."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def write_skill(root: Path) -> WriteSkill:
    """Writes a `SKILL.md` into a folder below the root and returns its path."""

    def write(folder: str = "", content: str | bytes = "Body.", name: str = "SKILL.md") -> Path:
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def root_of_ordinary_user() -> Iterator[Path]:
    """An empty folder of skills, while the process has no more rights than anybody: for root, no
    file is unreadable."""
    if not hasattr(os, "geteuid"):
        pytest.skip("rights are kept differently here")
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() != 0:
            yield Path(folder)
            return
        os.chmod(folder, 0o777)  # noqa: PTH101
        try:
            os.seteuid(65534)
        except OSError:
            pytest.skip("the process may not give up its rights")
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)
