from __future__ import annotations

import errno
import stat

import pytest

from skillrouter_mcp.skills.reasons import irregular, why


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFDIR, "a folder"),
        (stat.S_IFIFO, "a pipe"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFCHR, "a device"),
        (stat.S_IFBLK, "a device"),
        (0, "of a kind that holds no text"),
    ],
)
def test_files_that_are_none_are_named(mode: int, kind: str) -> None:
    assert irregular(mode | 0o644).startswith(f"is {kind} and was not opened")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOENT, "x"), "is gone"),
        (OSError(errno.EACCES, "x"), "permission denied"),
        (OSError(errno.ELOOP, "x"), "leads back to itself"),
        (OSError(errno.EIO, "x"), "input/output error"),
        (OSError("no number"), "unknown error"),
        (ValueError("embedded null byte"), "path that the system can't take"),
    ],
)
def test_every_failure_has_a_reason(error: OSError | ValueError, words: str) -> None:
    assert words in why(error)
