"""The skills of a library as the Skills extension presents them: entries, files and folders.

What an entry says of a file is read from the file at that moment; the index only tells which
skills there are (https://modelcontextprotocol.io/seps/2640-skills-extension).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import mimetypes
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrouter_mcp.protocol.skill_files import (
    MAX_BYTES,
    NotServedError,
    Parts,
    TooLargeError,
    list_files,
    list_folder,
    read_file,
)
from skillrouter_mcp.protocol.skill_uri import SKILL_FILE, SkillUri, skill_uri
from skillrouter_mcp.skills import SkillError, plain, printable

if TYPE_CHECKING:
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.index.store import Location
    from skillrouter_mcp.sharing.finder import SkillFinder

LISTED = 500
"""Skills that are listed at all: a host may put every one before its model. The others are found by
requests, and served like these."""

PAGE = 50
"""Skills that are looked at for a page of the list."""

FOLDER_PAGE = 500
"""Files and folders in a page of a folder's list."""

_LOG = logging.getLogger(__name__)
_MAX_NAME = 128
_MAX_DESCRIPTION = 4_096
_META = "io.modelcontextprotocol.skills/"
_MARKDOWN = "text/markdown"
_FOLDER = "inode/directory"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_NAME = 64
_LONGEST_DESCRIPTION = 1_024
_TYPES = mimetypes.MimeTypes()
for _ending, _type in {  # which Pythons before 3.14 know no types for
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".toml": "application/toml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}.items():
    _TYPES.add_type(_type, _ending)

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file as `resources/read` answers it: text where its bytes are UTF-8."""

    content: str | bytes
    mime_type: str | None
    meta: dict[str, Any] | None


class SkillCatalogue:
    """The skills that requests may find, by URI. To be used from any thread.

    Every method raises `NotServedError` for what it has nothing at, `OSError` for what it cannot
    read, and `DatabaseError`.
    """

    def __init__(self, finder: SkillFinder, roots: Roots | None) -> None:
        self._finder = finder
        self._roots = roots

    def page(self, cursor: str | None) -> tuple[list[Entry], str | None]:
        """Entries of the skills after the cursor, and the cursor to go on with, None at the end.

        Left out is what `entry` refuses, what has no name and description as the format wants
        them, since a host may refuse a list with such an entry in it, and all after the first
        `LISTED`.
        """
        listed, after = (0, "") if cursor is None else _decode_page(cursor)
        skills = self._finder.skills_after(after, min(PAGE, LISTED - listed) + 1, self._roots)
        page = skills[: min(PAGE, LISTED - listed)]
        entries = []
        for skill in page:
            try:
                entry = self._entry(skill)
            except (NotServedError, OSError) as error:
                _LOG.info("%s is not listed: %s", skill.path, error)
                continue
            if _is_to_the_letter(entry["frontmatter"]):
                entries.append(entry)
        listed += len(page)
        more = len(skills) > len(page) and listed < LISTED
        return entries, _encode(f"{listed} {page[-1].path}") if more else None

    def entry(self, uri: str) -> Entry:
        """The entry of the skill whose `SKILL.md` has this URI."""
        skill, parts = self._resolve(uri)
        if parts != (SKILL_FILE,):
            raise NotServedError(f"{printable(uri, 300)} is not the URI of a {SKILL_FILE}")
        return self._entry(skill)

    def read(self, uri: str) -> FileContent:
        """The file with this URI, as it is now."""
        skill, parts = self._resolve(uri)
        folder, skill_file = os.path.split(skill.path)
        if parts != (SKILL_FILE,):
            return _content(read_file(folder, parts), _type_of(parts[-1]), None)
        data = read_file(folder, (skill_file,))
        return _content(data, _MARKDOWN, _described(skill, data))

    def children(self, uri: str, cursor: str | None) -> tuple[list[Entry], str | None]:
        """Resources of what lies in the skill's folder with this URI, and the next cursor."""
        skill, parts = self._resolve(uri)
        folder, skill_file = os.path.split(skill.path)
        names = dict(list_folder(folder, parts))
        if not parts and skill_file in names:
            names[SKILL_FILE] = names.pop(skill_file)
        after = "" if cursor is None else _decode(cursor)
        ahead = sorted(name for name in names if name > after)
        resources = [
            self._resource(skill, (*parts, name), names[name]) for name in ahead[:FOLDER_PAGE]
        ]
        more = len(ahead) > FOLDER_PAGE
        return resources, _encode(ahead[FOLDER_PAGE - 1]) if more else None

    def _resource(self, skill: Location, parts: Parts, is_folder: bool) -> Entry:
        resource = {
            "uri": skill_uri(skill.name, skill.path, parts),
            "name": printable(parts[-1], _MAX_NAME),
        }
        if parts == (SKILL_FILE,):
            described = _described(skill, read_file(*_split(skill.path)))
            return resource | {
                "name": described[f"{_META}name"],
                "description": described[f"{_META}description"],
                "mimeType": _MARKDOWN,
            }
        mime_type = _FOLDER if is_folder else _type_of(parts[-1])
        return resource | ({"mimeType": mime_type} if mime_type else {})

    def _entry(self, skill: Location) -> Entry:
        folder, skill_file = os.path.split(skill.path)
        front_matter: dict[str, object] = {}
        resources = []
        total = 0
        files = list_files(folder)
        for parts in sorted(files, key=lambda parts: (parts != (skill_file,), parts)):
            is_skill_file = parts == (skill_file,)
            try:
                data = read_file(folder, parts)
            except NotServedError as error:
                if is_skill_file or isinstance(error, TooLargeError):
                    raise
                continue  # removed meanwhile
            total += len(data)
            if total > MAX_BYTES:
                raise TooLargeError(f"the skill's files have more than {MAX_BYTES:,} bytes")
            if is_skill_file:
                front_matter = _front_matter(skill, data)
            resources.append(
                {
                    "uri": skill_uri(
                        skill.name, skill.path, (SKILL_FILE,) if is_skill_file else parts
                    ),
                    "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
                    "size": len(data),
                }
            )
        uri = skill_uri(skill.name, skill.path)
        if not resources or resources[0]["uri"] != uri:
            read_file(folder, (skill_file,))  # says why it isn't among them
            raise NotServedError(f"the skill has changed while it was read: {uri}")
        return {"uri": uri, "frontmatter": front_matter, "resources": resources}

    def _resolve(self, uri: str) -> tuple[Location, Parts]:
        parsed = SkillUri.parse(uri)
        if parsed is not None:
            skill = self._finder.skill_at(parsed.place, parsed.name, self._roots)
            if skill is not None:
                return skill, parsed.parts
        raise NotServedError(f"no skill is served at {printable(uri, 300)}")


def _split(path: str) -> tuple[str, Parts]:
    folder, file = os.path.split(path)
    return folder, (file,)


def _type_of(name: str) -> str | None:
    file_type, encoding = _TYPES.guess_type(f"./{name}")  # a path, whatever colons are in the name
    return None if encoding else file_type


def _is_to_the_letter(front_matter: dict[str, object]) -> bool:
    name, description = front_matter.get("name"), front_matter.get("description")
    return (
        isinstance(name, str)
        and len(name) <= _LONGEST_NAME
        and _NAME.fullmatch(name) is not None
        and isinstance(description, str)
        and 0 < len(description.strip()) <= _LONGEST_DESCRIPTION
    )


def _front_matter(skill: Location, data: bytes) -> dict[str, object]:
    from skillrouter_mcp.skills.front_matter import read_front_matter  # PyYAML takes its time

    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        fields = read_front_matter(text, numbers=True).fields
    except UnicodeDecodeError:
        raise NotServedError(f"{SKILL_FILE} is no longer UTF-8") from None
    except SkillError as error:
        raise NotServedError(f"{SKILL_FILE} {error.reason}") from None
    given = fields.get("name")
    if isinstance(given, str) and plain(given, _MAX_NAME) not in ("", skill.name):
        raise NotServedError("the skill has been renamed and will soon be found under a new URI")
    return fields


def _described(skill: Location, data: bytes) -> dict[str, Any]:
    description = _front_matter(skill, data).get("description")
    if not isinstance(description, str):
        description = ""
    return {
        f"{_META}name": skill.name,
        f"{_META}description": plain(description, _MAX_DESCRIPTION),
    }


def _content(data: bytes, mime_type: str | None, meta: dict[str, Any] | None) -> FileContent:
    if b"\0" not in data:
        try:
            return FileContent(data.decode("utf-8"), mime_type, meta)
        except UnicodeDecodeError:
            pass
    return FileContent(data, mime_type, meta)


def _encode(place: str) -> str:
    return base64.urlsafe_b64encode(os.fsencode(place)).decode("ascii")


def _decode(cursor: str) -> str:
    try:
        return os.fsdecode(base64.b64decode(cursor.encode("ascii"), b"-_", validate=True))
    except (UnicodeError, binascii.Error):
        raise _nowhere() from None


def _decode_page(cursor: str) -> tuple[int, str]:
    """How many skills came before, and the path of the last of them."""
    listed, _, path = _decode(cursor).partition(" ")
    if not (listed.isascii() and listed.isdigit() and len(listed) < 9):
        raise _nowhere()
    return min(int(listed), LISTED), path


def _nowhere() -> NotServedError:
    return NotServedError("no list goes on at this cursor: begin anew without one")
