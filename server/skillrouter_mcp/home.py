"""The home, where index and state live; known before the settings are read."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from skillrouter_mcp.skills import is_plain, printable

_MAX_PATH = 4_096


def default_home() -> Path:
    """Where index and state live unless `SKILLROUTER_HOME` says otherwise."""
    return user_data_path("skillrouter", appauthor=False)


def home_in_force(given: str | Path | None = None) -> Path:
    """The home that was given, else that of `SKILLROUTER_HOME`, else the usual one.

    Raises:
        ValueError: it is no path that can be used; says why.
    """
    return absolute(Path(given or os.environ.get("SKILLROUTER_HOME") or default_home()))


def absolute(path: Path) -> Path:
    """A path that was set, from the root of the file system, links left as they are.

    Raises:
        ValueError: it holds what could not be shown, names a user that there is not, or starts from
            a current folder that is gone.
    """
    if not is_plain(str(path)):
        raise ValueError(
            f"{printable(str(path), _MAX_PATH)}: the path has control characters, invisible ones "
            "or bytes that are not UTF-8; rename the folder"
        )
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}") from None
    try:
        return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    except OSError:
        raise ValueError(f"{path}: starts from the current folder, which is gone") from None
