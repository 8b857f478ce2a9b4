"""Walking folders with names of every kind that a file system takes."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skillrouter_mcp.skills.reader import MAX_NAME, read_skill
from skillrouter_mcp.skills.sanitise import is_plain
from skillrouter_mcp.skills.walk import Root, walk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names are text there")

SKIPPED = (b".", b"..", b".git", b"node_modules")
signs = st.sampled_from(
    "\x1b[2J;\x07\x9b\n\r\t \u202e\u2066\u200b\u200d\ufe0f\u0301\U000e0041é表👩a-."
)
names = st.one_of(
    st.binary(min_size=1, max_size=255),
    st.text(signs, min_size=1, max_size=60).map(lambda text: text.encode()[:255]),
    st.integers(200, 255).map(lambda length: b"x" * length),
).filter(lambda name: not {0, ord("/")} & set(name) and name not in SKIPPED)


@given(st.lists(names, min_size=1, max_size=5, unique=True))
@settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_skill_is_found_or_told_whatever_its_folder_is_called(
    tmp_path_factory: pytest.TempPathFactory, names: list[bytes]
) -> None:
    root = tmp_path_factory.mktemp("root")
    made = 0
    for name in names:
        with contextlib.suppress(OSError):  # not every file system takes every name
            folder = os.path.join(os.fsencode(root), name)  # noqa: PTH118
            os.mkdir(folder)  # noqa: PTH102
            Path(os.fsdecode(folder), "SKILL.md").write_text("body")
            made += 1
    found = walk([Root(root, "user")])
    assert len(found.files) + len(found.problems) == made
    for file in found.files:
        skill = read_skill(Path(file.path), real=file.real)
        assert is_plain(file.path)
        assert is_plain(skill.name)
        assert len(skill.name) <= MAX_NAME
        assert all(map(is_plain, skill.warnings))
    for problem in found.problems:
        assert is_plain(problem.path)
        assert is_plain(problem.reason)
        assert "rename the folder" in problem.reason
