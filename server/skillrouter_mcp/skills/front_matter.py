"""Front matter and body of a `SKILL.md`, read as leniently as the format asks of clients.

Skills are written by hand, for clients that differ in what they accept. So text that is no YAML is
read again with its values quoted (`description: Use when: …` is the usual mistake), then line by
line; text that is no front matter at all counts as body.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from skillrouter_mcp.skills.safe_yaml import (
    Document,
    HostileYamlError,
    InvalidYamlError,
    load_yaml,
)
from skillrouter_mcp.skills.sanitise import legible, printable
from skillrouter_mcp.skills.skill import SkillError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS = 65_536
"""Front matter that is longer counts as body."""

_OPENING = re.compile(r"\s*---[ \t]*\n")
_CLOSING = re.compile(r"^---[ \t]*(?:\n|\Z)", re.MULTILINE)
_ENTRY = re.compile(r"(?P<key>[^\W\d][^:#]{0,63}?)[ \t]*:(?:[ \t]+(?P<value>.*))?$")
_UNQUOTED = re.compile(r":(?:\s|\Z)|\A[@`%*&!]")
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """A `SKILL.md` taken apart.

    `fields` hold no control, bidi or invisible characters but tabs and line feeds. `warnings` are
    plain sentences that are safe to print.
    """

    fields: dict[str, object]
    body: str
    warnings: tuple[str, ...]


def read_front_matter(text: str, *, numbers: bool = False) -> FrontMatter:
    """Take `text`, with `\\n` line ends, apart.

    With `numbers`, the fields hold numbers where YAML does, else these stay as they were written.

    Raises SkillError for front matter that is built to exhaust its reader.
    """
    opening = _OPENING.match(text)
    if opening is None:
        return FrontMatter({}, text.strip(), ("there is no front matter",))
    start = opening.end()
    closing = _CLOSING.search(text, start)
    if closing is None or closing.start() - start > MAX_CHARACTERS:
        warning = (
            f"the front matter is not closed by a line of --- within {MAX_CHARACTERS:,} "
            "characters, so it counts as part of the body"
        )
        return FrontMatter({}, text[start:].strip(), (warning,))
    line = text.count("\n", 0, start) + 1
    document, warnings = _parse(text[start : closing.start()], line, numbers)
    body = text[closing.end() :].strip()
    if document.value is None:
        return FrontMatter({}, body, (*warnings, "the front matter is empty"))
    if not isinstance(document.value, dict):
        warning = "the front matter holds no fields, so it counts as part of the body"
        return FrontMatter({}, text[start:].strip(), (warning,))
    if document.repeated_keys:
        keys = ", ".join(f'"{printable(key, 60)}"' for key in document.repeated_keys[:3])
        warnings += (f"given more than once, so that the last one counts: {keys}",)
    fields = _legible(document.value)
    if fields != document.value:
        warnings += ("the front matter holds control or invisible characters, which were left out",)
    return FrontMatter(cast("dict[str, object]", fields), body, warnings)


def _parse(text: str, first_line: int, numbers: bool) -> tuple[Document, tuple[str, ...]]:
    try:
        try:
            return load_yaml(text, numbers=numbers), ()
        except InvalidYamlError as error:
            where = f"line {first_line + error.line}: {printable(error.reason, 100)}"
        try:
            return load_yaml(_quote_values(text), numbers=numbers), (
                f"the front matter is not valid YAML ({where}), "
                "so its values were read as if they were quoted",
            )
        except InvalidYamlError:
            return Document(_read_lines(text), ()), (
                f"the front matter is not valid YAML ({where}), so it was read line by line",
            )
    except HostileYamlError as error:
        raise SkillError(f"has front matter that {error.reason}: simplify it") from None


def _legible(value: object) -> object:
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, list):
        return [_legible(item) for item in value]
    if isinstance(value, dict):
        return {legible(key): _legible(item) for key, item in value.items()}
    return value


def _quote_values(text: str) -> str:
    """`text` with spaces for tabs in indents, and with quotes around the plain values of the top
    level that YAML takes for something else."""
    lines = []
    for key, value, more in _entries(text):
        joined = " ".join([value, *map(str.strip, more)]).strip()
        if key and value and value[0] not in "\"'[{|>#" and _UNQUOTED.search(joined):
            quoted = joined.replace("'", "''")
            lines.append(f"{key}: '{quoted}'")
        else:
            lines += [f"{key}: {value}"] if key else []
            lines += [_INDENT.sub(_spaces, line) for line in more]
    return "\n".join(lines)


def _read_lines(text: str) -> dict[str, object] | str:
    """Each `key: value` of the top level, with the lines below it, as text; `text` without any."""
    fields: dict[str, object] = {}
    for key, value, more in _entries(text):
        if key:
            if value[:1] in ("|", ">"):
                value = ""
            joined = " ".join([value, *map(str.strip, more)]).strip()
            if len(joined) > 1 and joined[0] == joined[-1] and joined[0] in "\"'":
                joined = joined[1:-1]
            fields[key] = joined
    return fields or text


def _entries(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Key, rest of its line, and the lines up to the next key. What comes before the first key is
    given with the key ""."""
    key, value = "", ""
    more: list[str] = []
    for line in text.split("\n"):
        if entry := _ENTRY.match(line):
            yield key, value, more
            key, value, more = entry["key"], (entry["value"] or "").strip(), []
        else:
            more.append(line)
    yield key, value, more


def _spaces(indent: re.Match[str]) -> str:
    return indent.group().replace("\t", "  ")
