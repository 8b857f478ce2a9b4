"""Folders and links moved whole: at each moment the old or the new place has all of it."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
from pathlib import Path

from skillrouter_install.files import sync_folder

_MOST_STEPS = 40  # where systems give up too


def move_folder(source: Path, target: Path) -> None:
    """Move a folder, also to another file system; `clear_traces` removes what a crash leaves.

    Raises:
        OSError: it cannot be moved, or something is in the way; the source is then still whole.
    """
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "something of that name is in the way", str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, target)
        try:
            remove_folder(source)
        except OSError:
            if source.exists():
                shutil.rmtree(target)
            raise
    sync_folder(target.parent)
    sync_folder(source.parent)


def _copy(source: Path, target: Path) -> None:
    staging = _staging(target)
    shutil.rmtree(staging, ignore_errors=True)
    try:
        shutil.copytree(source, staging, symlinks=True)
        for folder, _, names in os.walk(staging):
            for name in names:
                _sync_file(Path(folder, name))
            sync_folder(Path(folder))
        staging.rename(target)
    except shutil.Error as error:
        shutil.rmtree(staging, ignore_errors=True)
        place, _, reason = error.args[0][0]
        raise OSError(errno.EIO, f"it cannot be copied ({reason})", place) from None
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(target.parent)


def _sync_file(path: Path) -> None:
    if not path.is_symlink():
        with contextlib.suppress(PermissionError), path.open("rb") as file:
            os.fsync(file.fileno())


def remove_folder(path: Path) -> None:
    """Delete a folder that has a copy elsewhere: gone at once from its name, then from the disk."""
    aside = _aside(path)
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    shutil.rmtree(aside)


def clear_traces(source: Path, target: Path) -> None:
    """Delete what an interrupted move between two places has left beside them."""
    for trace in (_staging(target), _aside(source)):
        if os.path.lexists(trace):
            shutil.rmtree(trace)


def put_link(path: Path, text: str) -> None:
    """Make a link that says `text`, in place of one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = clear_link_trace(path)
    temporary.symlink_to(text, target_is_directory=True)
    temporary.replace(path)
    sync_folder(path.parent)


def clear_link_trace(path: Path) -> Path:
    """Delete the link that an interrupted `put_link` has left beside `path`: returns its place."""
    temporary = path.with_name(f".{path.name}.skillrouter-link")
    temporary.unlink(missing_ok=True)
    return temporary


def link_text(path: Path) -> str | None:
    """What a link says, None where there is no link."""
    return os.readlink(path) if path.is_symlink() else None  # noqa: PTH115 - to the byte


def place(path: Path) -> Path:
    """The path with the links in its parent resolved: one name for one place."""
    return Path(os.path.realpath(path.parent), path.name)


def led_to(path: Path) -> Path:
    """The place that a link leads to, one step on."""
    there = Path(os.path.realpath(path.parent), path.readlink())
    flat = Path(os.path.normpath(there))
    # With `..` behind a link the two differ.
    return place(flat) if os.path.realpath(flat) == os.path.realpath(there) else there.resolve()


def steps(path: Path) -> int:
    """How many links, one leading to the next, are followed from the path to what it means."""
    count = 0
    while path.is_symlink() and count < _MOST_STEPS:
        path, count = led_to(path), count + 1
    return count


def same_tree(one: Path, other: Path) -> bool:
    """Whether two folders hold the same: names, contents, texts of links."""
    if one.is_symlink() or other.is_symlink():
        return link_text(one) == link_text(other)
    if one.is_dir() and other.is_dir():
        left, right = ({path.name for path in folder.iterdir()} for folder in (one, other))
        return left == right and all(same_tree(one / name, other / name) for name in left)
    return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)


def _staging(target: Path) -> Path:
    return target.with_name(f".{target.name}.skillrouter-copy")


def _aside(source: Path) -> Path:
    return source.with_name(f".{source.name}.skillrouter-moved")
