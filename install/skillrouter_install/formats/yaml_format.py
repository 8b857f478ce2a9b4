"""Edits in YAML: PyYAML says where things stand, the text itself is changed by lines.

Writing a loaded YAML file back loses comments, quotes or line breaks with every library, so the
entry's own lines are put in or taken out and nothing else is touched.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from skillrouter_install.errors import ConfigSyntaxError, EditError
from skillrouter_install.formats.edits import (
    Edit,
    apply_edits,
    indent_lines,
    line_and_column,
    line_end,
    line_start,
    newline_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_BaseLoader):  # type: ignore[misc]
    """The safe loader, with a tag that it does not know read as the tag and its content."""


def _tagged(loader: Any, suffix: str, node: yaml.Node) -> tuple[str, str]:
    return (suffix, yaml.serialize(node))


_Loader.add_multi_constructor("!", _tagged)


class _Member(NamedTuple):
    key: Any
    value: Any
    limit: int
    """Where the next key of the file begins its line, which this member cannot reach past."""


class YamlFormat:
    """YAML 1.1 as PyYAML reads it, one document a file."""

    def read(self, text: str) -> Any:
        """See `Format.read`."""
        try:
            data = yaml.load(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise ConfigSyntaxError(error.problem or str(error), line=line, column=column) from None
        except yaml.reader.ReaderError as error:
            line, column = line_and_column(text, int(error.position))
            raise ConfigSyntaxError(str(error.reason), line=line, column=column) from None
        except RecursionError:
            raise ConfigSyntaxError("nested too deeply", line=1, column=1) from None
        except (ValueError, LookupError, AttributeError):
            raise ConfigSyntaxError("a value does not fit its tag", line=1, column=1) from None
        return {} if data is None else data

    def document(self, path: Sequence[str], value: dict[str, Any]) -> str:
        """See `Format.document`."""
        return _dump(_nest(path, value), 2) + "\n"

    def put(self, text: str, path: Sequence[str], value: dict[str, Any]) -> Iterator[str]:
        """See `Format.put`."""
        root: Any = yaml.compose(text, Loader=_Loader)
        end = _document_end(text)
        if _is_null(root):
            yield _add_lines(text, end, 0, _dump(_nest(path, value), 2))
            return
        members, rest = _descend(root, path, end)
        if not rest:
            yield from self._replace(text, members[-1], path[-1], value)
            return
        step = _indent_step(root)
        holder = members[-1].value if members else root
        new = _nest(rest, value)
        if isinstance(holder, yaml.MappingNode) and holder.flow_style:
            if not holder.value:
                yield from self._fill(text, members, root, new, step)
            yield from _put_in_flow(text, holder, new)
        elif isinstance(holder, yaml.MappingNode) and holder.value:
            column = holder.value[0][0].start_mark.column
            limit = members[-1].limit if members else end
            block = _dump(new, step)
            for place in _ends(text, limit, column):
                yield _add_lines(text, place, column, block)
            first = line_start(text, holder.value[0][0].start_mark.index)
            yield _add_lines(text, first, column, block)
        elif members and _is_null(holder):
            yield from self._fill(text, members, root, new, step)
        else:
            parents = ".".join(path[: len(path) - len(rest)])
            place_name = f"at `{parents}`" if parents else "at the top of the file"
            raise EditError(f"a mapping is needed {place_name}, found a {holder.id}")

    def drop(self, text: str, path: Sequence[str]) -> Iterator[str]:
        """See `Format.drop`."""
        root: Any = yaml.compose(text, Loader=_Loader)
        if _is_null(root):
            return
        members, rest = _descend(root, path, _document_end(text))
        if rest:
            return
        member = members[-1]
        holder = members[-2].value if len(members) > 1 else root
        if holder.flow_style:
            yield _drop_from_flow(text, holder, member)
            return
        edits = [Edit(*_lines(text, member), "")]
        if len(holder.value) == 1 and len(members) > 1:
            parent = members[-2].key.end_mark.index
            colon = text.index(":", parent) + 1
            yield apply_edits(text, [Edit(colon, colon, " {}"), *edits])
        yield apply_edits(text, edits)

    def _replace(
        self, text: str, member: _Member, name: str, value: dict[str, Any]
    ) -> Iterator[str]:
        start, end = _lines(text, member)
        if text[start : member.key.start_mark.index].strip(" "):
            mark = member.value.start_mark.index, member.value.end_mark.index
            yield apply_edits(text, [Edit(*mark, _flow(value))])
            return
        without = text[:start] + text[end:]
        block = _dump({name: value}, 2)
        yield _add_lines(without, start, member.key.start_mark.column, block)

    def _fill(
        self,
        text: str,
        members: Sequence[_Member],
        root: yaml.Node,
        new: dict[str, Any],
        step: int,
    ) -> Iterator[str]:
        """Give a key without a value, or with `{}` or `null`, its first entry."""
        if not members:
            start, end = root.start_mark.index, root.end_mark.index
            block = _dump(new, 2).replace("\n", newline_of(text))
            yield apply_edits(text, [Edit(start, end, block)])
            return
        key, value, limit = members[-1]
        column = key.start_mark.column + step
        start, end = value.start_mark.index, value.end_mark.index
        if start >= key.end_mark.index:
            while text[start - 1] == " ":
                start -= 1
            bare = text[:start] + text[end:]
            for place in _ends(bare, limit - (end - start), column):
                yield _add_lines(bare, place, column, _dump(new, step))


def _is_null(node: yaml.Node | None) -> bool:
    return node is None or (
        isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
    )


def _nest(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _dump(value: Any, indent: int) -> str:
    text: str = yaml.safe_dump(
        value, sort_keys=False, allow_unicode=True, width=10**9, indent=indent
    )
    return text.removesuffix("\n")


def _flow(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _document_end(text: str) -> int:
    """Where content can be added last: the end of the text, or its `...` line."""
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.DocumentEndEvent) and event.explicit:
            mark: Any = event.start_mark
            return int(mark.index)
    return len(text)


def _descend(
    root: yaml.Node, path: Sequence[str], end: int
) -> tuple[list[_Member], tuple[str, ...]]:
    """Follow the path as far as the text has it: the members met, and the keys left over."""
    members: list[_Member] = []
    here, limit = root, end
    for depth, name in enumerate(path):
        pairs = here.value if isinstance(here, yaml.MappingNode) else []
        keys = [key for key, _ in pairs]
        found = [index for index, key in enumerate(keys) if key.value == name]
        if len(found) > 1:
            raise EditError(f"it has {name!r} {len(found)} times; keep one of them")
        if not found:
            return members, tuple(path[depth:])
        index = found[0]
        if index + 1 < len(keys):
            following = keys[index + 1].start_mark
            limit = following.index - following.column
        key, here = pairs[index]
        if here.start_mark.index < key.start_mark.index:
            raise EditError(f"`{name}` is an alias of another part of the file")
        members.append(_Member(key, here, limit))
    return members, ()


def _indent_step(root: yaml.Node) -> int:
    """By how many columns the file indents: read off its first nested mapping."""
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            step = value.value[0][0].start_mark.column - key.start_mark.column
            if step > 1:
                return int(step)
    return 2


def _ends(text: str, limit: int, column: int) -> list[int]:
    """Places to add an entry at `column` before `limit`, the likeliest first.

    First after the last line that is neither blank nor a comment further left than the entry,
    then before the blank lines only, then at the limit itself.
    """
    places = []
    for past_comments in (True, False):
        place = limit
        while place > 0:
            start = line_start(text, place - 1)
            line = text[start:place]
            comment = re.match(r" *(?=#)", line)
            outside = past_comments and comment is not None and comment.end() < column
            if line.strip() and not outside:
                break
            place = start
        places.append(place)
    return list(dict.fromkeys([*places, limit]))


def _add_lines(text: str, place: int, column: int, block: str) -> str:
    newline = newline_of(text)
    lines = indent_lines(block, " " * column, newline)
    before, after = text[:place], text[place:]
    if before and not before.endswith("\n"):
        return before + newline + lines + (newline + after if after else "")
    return before + lines + newline + after


def _lines(text: str, member: _Member) -> tuple[int, int]:
    """The lines of a member, less the blank ones and the comments after it."""
    start = line_start(text, member.key.start_mark.index)
    end = _ends(text, member.limit, member.key.start_mark.column + 1)[0]
    return start, max(end, line_end(text, member.key.start_mark.index))


def _put_in_flow(text: str, holder: yaml.MappingNode, new: dict[str, Any]) -> Iterator[str]:
    """Add an entry to a mapping in braces: after its last value, or before the brace."""
    entry = ", ".join(f"{json.dumps(key)}: {_flow(value)}" for key, value in new.items())
    brace = holder.end_mark.index - 1
    if holder.value:
        after = holder.value[-1][1].end_mark.index
        yield apply_edits(text, [Edit(after, after, f", {entry}")])
        yield apply_edits(text, [Edit(brace, brace, f", {entry}")])
    yield apply_edits(text, [Edit(brace, brace, entry)])


def _drop_from_flow(text: str, holder: yaml.MappingNode, member: _Member) -> str:
    start, end = member.key.start_mark.index, member.value.end_mark.index
    following = re.compile(r"\s*,[ \t]*").match(text, end)
    if following:
        end = following.end()
    else:
        preceding = re.search(r",\s*$", text[holder.start_mark.index : start])
        if preceding:
            start = holder.start_mark.index + preceding.start()
    return apply_edits(text, [Edit(start, end, "")])
