"""Skills in folders, and what tells that not a byte of them has changed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any


def make_skill(folder: Path, body: str = "Do.\n") -> Path:
    (folder / "scripts").mkdir(parents=True)
    (folder / "SKILL.md").write_text(body)
    (folder / "scripts" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "scripts" / "run.sh").chmod(0o750)
    (folder / "scripts" / "again.sh").symlink_to("run.sh")
    (folder / "empty").mkdir()
    return folder


def make_link(path: Path, text: str | Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(text)
    return path


def below(folder: Path) -> dict[str, Any]:
    """Everything below a folder: names, modes, contents and their times, texts of links."""
    seen: dict[str, Any] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            seen[name] = os.readlink(path)  # noqa: PTH115 - to the byte
        elif path.is_file():
            status = path.stat()
            seen[name] = status.st_mode, status.st_mtime_ns, path.read_bytes()
        else:
            seen[name] = path.stat().st_mode
    return seen


def rename_within_a_folder(self: Path, target: Path) -> Path:
    """What `Path.rename` does where each folder lies on a disk of its own."""
    if self.parent != Path(target).parent:
        raise OSError(errno.EXDEV, "on another disk")
    os.rename(self, target)  # noqa: PTH104 - this stands in for the other
    return Path(target)
