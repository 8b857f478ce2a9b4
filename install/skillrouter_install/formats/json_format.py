"""Edits in JSON, JSON with comments and JSON5."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from skillrouter_install.errors import EditError
from skillrouter_install.formats.edits import (
    Edit,
    apply_edits,
    indent_lines,
    indentation,
    line_end,
    line_start,
    newline_of,
)
from skillrouter_install.formats.json_source import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skillrouter_install.formats.json_source import Element, Value

_SAME_LINE_COMMENTS = re.compile(r"(?:[ \t]*/\*[^\r\n]*?\*/)*[ \t]*(?://[^\r\n]*)?(?=\r?\n)")


class _Style(NamedTuple):
    newline: str
    indent: str


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """JSON in which comments and trailing commas are kept; with `json5` all of JSON5 is read."""

    json5: bool = False

    def read(self, text: str) -> Any:
        """See `Format.read`."""
        root = parse_json(text, json5=self.json5).root
        return {} if root is None else root.data

    def extras(self, text: str) -> frozenset[str]:
        """What the text uses beyond JSON proper: "comments", "trailing commas"."""
        return parse_json(text, json5=self.json5).extras

    def document(self, path: Sequence[str], value: dict[str, Any]) -> str:
        """See `Format.document`."""
        return _dump(_nest(path, value), "  ") + "\n"

    def put(self, text: str, path: Sequence[str], value: Any) -> Iterator[str]:
        """See `Format.put`; the value may be anything JSON has."""
        root = parse_json(text, json5=self.json5).root
        if root is None:
            yield self._only_blanks(text, path, value)
            return
        style = _Style(newline_of(text), _indent_unit(text, root))
        holder, rest = _descend(root, path)
        if not rest:
            yield _replace(text, holder, value, style)
        elif holder.kind == "object":
            member = json.dumps(rest[0], ensure_ascii=False)
            yield _insert(text, holder, member, _nest(rest[1:], value), style)
        elif holder.data is None and holder is not root:
            yield _replace(text, holder, _nest(rest, value), style)
        else:
            raise EditError(f"an object is needed {_place(path, rest)}, found {holder.kind}")

    def append(self, text: str, path: Sequence[str], item: Any) -> Iterator[str]:
        """The text with `item` added to the array at `path`, which is made where it is missing."""
        root = parse_json(text, json5=self.json5).root
        if root is not None:
            holder, rest = _descend(root, path)
            if not rest and holder.kind == "array":
                style = _Style(newline_of(text), _indent_unit(text, root))
                yield _insert(text, holder, None, item, style)
                return
            if not rest and holder.data is not None:
                raise EditError(f"an array is needed {_place(path, ())}, found {holder.kind}")
        yield from self.put(text, path, [item])

    def drop(self, text: str, path: Sequence[str]) -> Iterator[str]:
        """See `Format.drop`."""
        root = parse_json(text, json5=self.json5).root
        if root is None:
            return
        holder, rest = _descend(root, path[:-1])
        if rest:
            return
        for index, element in enumerate(holder.elements):
            if element.key == path[-1]:
                yield _remove(text, holder, index)

    def drop_item(self, text: str, path: Sequence[str], item: Any) -> Iterator[str]:
        """The text without the items equal to `item` of the array at `path`."""
        root = parse_json(text, json5=self.json5).root
        if root is None:
            return
        holder, rest = _descend(root, path)
        if rest:
            return
        for index, element in enumerate(holder.elements):
            if element.key is None and element.value.data == item:
                yield _remove(text, holder, index)

    def _only_blanks(self, text: str, path: Sequence[str], value: Any) -> str:
        newline = newline_of(text)
        document = self.document(path, value).replace("\n", newline)
        if not text.strip():
            return document
        return text + ("" if text.endswith("\n") else newline) + document


def _descend(root: Value, path: Sequence[str]) -> tuple[Value, tuple[str, ...]]:
    """Follow the path as far as the text has it: the value there, and the keys left over."""
    here = root
    for depth, key in enumerate(path):
        found = [element for element in here.elements if element.key == key]
        if len(found) > 1:
            raise EditError(f"it has {key!r} {len(found)} times; keep one of them")
        if not found:
            return here, tuple(path[depth:])
        here = found[0].value
    return here, ()


def _place(path: Sequence[str], rest: Sequence[str]) -> str:
    parents = path[: len(path) - len(rest)]
    return f"at `{'.'.join(parents)}`" if parents else "at the top of the file"


def _nest(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _dump(value: Any, indent: str) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _is_compact(sample: str) -> bool:
    """Whether a piece of the file has no blank after its colons and commas."""
    return bool(re.search(r'"\s*:\S', sample)) and not re.search(r'(?:"\s*:|,)\s', sample)


def _dump_inline(sample: str, value: Any) -> str:
    separators = (",", ":") if _is_compact(sample) else (", ", ": ")
    return json.dumps(value, separators=separators, ensure_ascii=False)


def _inline_element(sample: str, key: str | None, value: Any) -> str:
    """A member, or with `key` None an item, on one line and as tight as the sample."""
    colon = ":" if _is_compact(sample) else ": "
    return (f"{key}{colon}" if key else "") + _dump_inline(sample, value)


def _indent_unit(text: str, root: Value) -> str:
    """What one level of the file is indented by, read off the first nested line."""
    for element in root.elements:
        if "\n" in text[root.start : element.start]:
            unit = indentation(text, element.start)[len(indentation(text, root.start)) :]
            if unit:
                return unit
    return "  "


def _replace(text: str, old: Value, value: Any, style: _Style) -> str:
    source = text[old.start : old.end]
    if "\n" not in text.strip() or (old.elements and "\n" not in source):
        new = _dump_inline(source if old.elements else text, value)
    else:
        new = _laid_out(value, style, indentation(text, old.start))
    return apply_edits(text, [Edit(old.start, old.end, new)])


def _laid_out(value: Any, style: _Style, indent: str) -> str:
    return indent_lines(_dump(value, style.indent), indent, style.newline).removeprefix(indent)


def _insert(text: str, holder: Value, key: str | None, value: Any, style: _Style) -> str:
    """Add a member, or with `key` None an item, after the last one of `holder`."""
    if holder.elements:
        return _insert_after(text, holder, key, value, style)
    inside = text[holder.start + 1 : holder.end - 1]
    colon = "" if key is None else f"{key}: "
    outer = indentation(text, holder.start)
    if "\n" not in text.strip() and text[: holder.start].strip():
        new = _inline_element(text, key, value)
        return apply_edits(text, [Edit(holder.start + 1, holder.start + 1, new)])
    inner = outer + style.indent
    new = f"{style.newline}{inner}{colon}{_laid_out(value, style, inner)}"
    if inside.strip():
        edit = Edit(holder.start + 1, holder.start + 1, new)
    else:
        edit = Edit(holder.start + 1, holder.end - 1, f"{new}{style.newline}{outer}")
    return apply_edits(text, [edit])


def _insert_after(text: str, holder: Value, key: str | None, value: Any, style: _Style) -> str:
    last = holder.elements[-1]
    end = last.value.end
    if "\n" not in text[holder.start : holder.elements[0].start]:
        sample = text[holder.start : holder.end]
        comma = "," if _is_compact(sample) else ", "
        new = comma + _inline_element(sample, key, value)
        return apply_edits(text, [Edit(end, end, new)])
    indent = indentation(text, holder.elements[0].start)
    body = (f"{key}: " if key else "") + _laid_out(value, style, indent)
    new = f"{style.newline}{indent}{body}"
    if last.comma is not None:
        place = _after_comment(text, last.comma + 1)
        return apply_edits(text, [Edit(place, place, new + ",")])
    place = _after_comment(text, end)
    return apply_edits(text, [Edit(end, end, ","), Edit(place, place, new)])


def _after_comment(text: str, position: int) -> int:
    """After the comments that follow on the same line up to its end, if there are any."""
    found = _SAME_LINE_COMMENTS.match(text, position)
    return found.end() if found else position


def _remove(text: str, holder: Value, index: int) -> str:
    element = holder.elements[index]
    if len(holder.elements) == 1 and not _has_comment(text, holder, element):
        return apply_edits(text, [Edit(holder.start + 1, holder.end - 1, "")])
    start, end = element.start, element.value.end
    edits = []
    if element.comma is not None:
        end = element.comma + 1
    elif index:
        comma = holder.elements[index - 1].comma
        assert comma is not None
        edits.append(Edit(comma, comma + 1, ""))
    first, after = line_start(text, start), line_end(text, end)
    if not text[first:start].strip() and not text[end:after].strip():
        edits.append(Edit(first, after, ""))
    elif element.comma is not None:
        while text[end : end + 1] in (" ", "\t"):
            end += 1
        edits.append(Edit(start, end, ""))
    else:
        while text[start - 1] in " \t\r\n":
            start -= 1
        edits.append(Edit(start, end, ""))
    return apply_edits(text, edits)


def _has_comment(text: str, holder: Value, element: Element) -> bool:
    """Whether something beside blanks and a comma stands around the only element."""
    around = text[holder.start + 1 : element.start] + text[element.value.end : holder.end - 1]
    return bool(around.strip(" \t\r\n,"))
