"""URIs of skills: `skill://<place>/<name>/<file>`, where `<place>` stands for the folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from skillrouter_mcp.routing.shelf import place_of

SKILL_FILE = "SKILL.md"
URI_TEMPLATE = "skill://{place}/{name}/{+file}"

_SCHEME = "skill://"
_NEVER_IN_NAMES = frozenset("/\0" if os.sep == "/" else "/\0\\:")


def skill_uri(name: str, path: str, parts: tuple[str, ...] = (SKILL_FILE,)) -> str:
    """The URI of a file or folder of the skill whose `SKILL.md` lies at `path`.

    Args:
        parts: names from the skill's folder down; none for the folder itself.
    """
    return _SCHEME + "/".join([place_of(path), _quote(name), *map(_quote, parts)])


def _quote(name: str) -> str:
    return quote(os.fsencode(name), safe="")


@dataclass(frozen=True, slots=True)
class SkillUri:
    """A URI taken apart and decoded; `parts` lead from the skill's folder to the file."""

    place: str
    name: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, uri: str) -> SkillUri | None:
        """The URI's parts, or None where it can't be one of a skill: of another scheme, without a
        name, or with a part that would lead elsewhere once decoded."""
        if not uri.startswith(_SCHEME) or "?" in uri or "#" in uri:
            return None
        try:
            names = [_decode(part) for part in uri[len(_SCHEME) :].split("/")]
        except UnicodeError:
            return None
        if len(names) < 2 or not all(map(_is_plain_name, names)):
            return None
        return cls(names[0], names[1], tuple(names[2:]))


def _decode(part: str) -> str:
    return os.fsdecode(unquote_to_bytes(part))


def _is_plain_name(name: str) -> bool:
    return name not in ("", os.curdir, os.pardir) and not _NEVER_IN_NAMES.intersection(name)
