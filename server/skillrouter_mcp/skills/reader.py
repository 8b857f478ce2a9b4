"""From a path to a skill."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from skillrouter_mcp.skills.reasons import irregular, why
from skillrouter_mcp.skills.sanitise import plain, printable
from skillrouter_mcp.skills.skill import Skill, SkillError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_BYTES = 1_048_576
"""Size of a `SKILL.md` beyond which it is refused, unread: 1 MiB. The longest public skills known
have 160,000 characters, of up to three bytes each in Chinese."""

MAX_NAME = 128
"""Characters of a name that are kept; the format allows 64."""

MAX_DESCRIPTION = 4_096
"""Characters of a description that are kept; the format allows 1,024."""

_GOOD_NAME = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_FORMAT_DESCRIPTION = 1_024
_MARKDOWN = (".md", ".markdown", ".mdx")
_REPLACED = "was replaced while it was looked at: it is read at the next look"
_AT_ONCE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
_IS_A_LINK = (errno.ELOOP, errno.EMLINK)  # the latter on FreeBSD
_UTF_16_OR_32 = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_skill(path: Path, *, real: str | None = None, max_bytes: int = MAX_BYTES) -> Skill:
    """Load the `SKILL.md` at `path`, whose folder lends it its name if it has none of its own.

    Arguments and errors are those of `read_text` and `parse_skill`.
    """
    return parse_skill(read_text(path, real=real, max_bytes=max_bytes), path)


def announce(real: str) -> None:
    """Has the system fetch a file, at a path without links, that will be read soon; where it can't,
    or the file would not be read, nothing happens."""
    if hasattr(os, "posix_fadvise"):
        with suppress(SkillError, OSError, ValueError):
            _check_unopened(real, MAX_BYTES)
            descriptor = _open_at_once(real, os.O_RDONLY)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)


def read_text(path: Path, *, real: str | None = None, max_bytes: int = MAX_BYTES) -> str:
    """The text of the `SKILL.md` at `path`, with `\\n` line ends.

    Nothing but a regular file of at most `max_bytes` bytes is opened, and a link is followed only
    to Markdown: a downloaded skill can't make the reader hang or hand over other files.

    Args:
        real: where a walk has found the path to lead (`SkillFile.real`). It is read there and
            nowhere else, whatever has become of the folders and links on the way since. By default
            the file itself may be a link, or else lie behind one.

    Raises SkillError.
    """
    return _decode(_read(real or _real_path(path), max_bytes))


def parse_skill(text: str, path: Path) -> Skill:
    """The skill that `text` describes, as if it were read from `path`.

    Raises SkillError.
    """
    from skillrouter_mcp.skills.front_matter import read_front_matter  # PyYAML takes its time

    folder, file_name = os.path.split(os.path.abspath(path))  # noqa: PTH100 (keeps links)
    front_matter = read_front_matter(text)
    fields, body = front_matter.fields, front_matter.body
    warnings = list(front_matter.warnings)
    name = _name(fields, os.path.basename(folder), warnings)  # noqa: PTH119
    description = _description(fields, warnings)
    if not description and not body:
        raise SkillError("holds neither a description nor a body: write them")
    if file_name != "SKILL.md":
        warnings.append(f"the file should be called SKILL.md, not {printable(file_name, 60)}")
    hidden = str(fields.get("disable-model-invocation")).lower() in ("true", "yes", "on")
    return Skill(name, description, body, fields, tuple(warnings), hidden)


def _real_path(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # no path at all, which reading will find out
        return str(path)


def _read(path: str, max_bytes: int) -> bytes:
    try:
        _check_unopened(path, max_bytes)
        with open(path, "rb", opener=_open_at_once) as file:
            opened = os.fstat(file.fileno())
            _check(opened, max_bytes)
            data = file.read(opened.st_size + 1) or b""
            if len(data) > opened.st_size:  # it has grown since
                data += file.read(max_bytes + 1 - len(data)) or b""
            if not _lies_at(path, file.fileno(), opened):
                raise SkillError(_REPLACED)
    except (OSError, ValueError) as error:
        raise SkillError(why(error)) from None
    if len(data) > max_bytes:
        raise SkillError(_too_large(len(data), max_bytes))
    return data


def _check_unopened(path: str, max_bytes: int) -> None:
    """
    Raises:
        SkillError: what lies at the path is not to be opened.
    """
    _check(os.stat(path), max_bytes)  # noqa: PTH116
    if not path.lower().endswith(_MARKDOWN):
        raise SkillError(
            f"is a link to {printable(path, 200)}, which is no Markdown: "
            "link to a file whose name ends in .md"
        )


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for anybody and through no link, should a pipe or a link have taken the
    file's place since it was looked at."""
    try:
        return os.open(path, flags | _AT_ONCE)
    except OSError as error:
        if error.errno in _IS_A_LINK:
            raise SkillError(_REPLACED) from None
        raise


def _lies_at(path: str, descriptor: int, opened: os.stat_result) -> bool:
    """Whether what was opened lies at the path, with no link on the way: so none led elsewhere."""
    try:
        if os.readlink(f"/proc/self/fd/{descriptor}") == path:  # noqa: PTH115
            return True  # the quick way, on Linux
    except OSError:
        pass
    return os.path.realpath(path) == path and os.path.samestat(os.lstat(path), opened)


def _check(status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SkillError(irregular(status.st_mode))
    if status.st_size > max_bytes:
        raise SkillError(_too_large(status.st_size, max_bytes))


def _too_large(size: int, max_bytes: int) -> str:
    return (
        f"has {size:,} bytes or more, the limit is {max_bytes:,}: "
        "move what it doesn't need at once into files beside it"
    )


def _decode(data: bytes) -> str:
    for mark, encoding in _UTF_16_OR_32.items():
        if data.startswith(mark):
            raise SkillError(f"is {encoding}: save it as UTF-8")
    if b"\x00" in data:
        raise SkillError("holds NUL bytes, so it is binary or UTF-16: save it as UTF-8 text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SkillError(
            f"is not UTF-8 (byte 0x{data[error.start]:02x} in line {line}; "
            "perhaps it is Windows-1252 or another local encoding): save it as UTF-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _name(fields: Mapping[str, object], folder: str, warnings: list[str]) -> str:
    given = fields.get("name")
    if isinstance(given, bool):
        given = str(given).lower()
    folder = plain(folder, MAX_NAME)
    name = plain(given, MAX_NAME) if isinstance(given, str) else ""
    if not name:
        name = folder or "unnamed"
        if fields:
            fault = "no name" if given is None else "a name that can't be used"
            warnings.append(f'the front matter gives {fault}, so the skill is called "{name}"')
        return name
    if given != name or not _GOOD_NAME.match(name):
        warnings.append(
            f'the name "{printable(str(given), 80)}" is not what the format allows: '
            "1 to 64 of a-z, 0-9 and single hyphens between them"
        )
    if name != folder:
        warnings.append(f'the name "{name}" differs from the folder\'s, "{folder}"')
    return name


def _description(fields: Mapping[str, object], warnings: list[str]) -> str:
    given = fields.get("description")
    if isinstance(given, list):
        given = " ".join(item for item in given if isinstance(item, str))
        warnings.append("the description is a list, its items were read as one text")
    if not isinstance(given, str):
        given = ""
    description = plain(given, MAX_DESCRIPTION)
    if not description:
        warnings.append("there is no description, so the skill is found by its body alone")
    elif len(given) > _FORMAT_DESCRIPTION:
        warnings.append(
            f"the description has {len(given):,} characters, the format allows "
            f"{_FORMAT_DESCRIPTION:,}; the first {MAX_DESCRIPTION:,} count"
        )
    return description
