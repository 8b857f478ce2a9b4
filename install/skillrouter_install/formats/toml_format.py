"""Edits in TOML: an entry is written as a table of its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError

from skillrouter_install.errors import ConfigSyntaxError, EditError
from skillrouter_install.formats.edits import Edit, apply_edits, line_start, newline_of
from skillrouter_install.formats.toml_source import Statement, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class TomlFormat:
    """TOML 1.0."""

    def read(self, text: str) -> Any:
        """See `Format.read`."""
        try:
            return tomlkit.parse(text).unwrap()
        except ParseError as error:
            problem = str(error).partition(" at line ")[0]
            raise ConfigSyntaxError(problem, line=error.line, column=error.col + 1) from None
        except TOMLKitError as error:
            raise ConfigSyntaxError(str(error), line=1, column=1) from None
        except RecursionError:
            raise ConfigSyntaxError("nested too deeply", line=1, column=1) from None

    def document(self, path: Sequence[str], value: dict[str, Any]) -> str:
        """See `Format.document`."""
        return _tables(tuple(path), value)

    def put(self, text: str, path: Sequence[str], value: dict[str, Any]) -> Iterator[str]:
        """See `Format.put`."""
        newline = newline_of(text)
        block = self.document(path, value).replace("\n", newline)
        found = list(statements(text))
        ours = [statement for statement in found if _within(statement, path)]
        if ours:
            if ours[0].kind == "table" and _adjacent(text, ours):
                yield apply_edits(text, [Edit(ours[0].start, ours[-1].end, block)])
            for without in self.drop(text, path):
                yield from self.put(without, path, value)
            return
        container = tuple(path[:-1])
        for statement in found:
            if statement.kind == "pair" and statement.path == container:
                yield _put_inline(text, statement, path[-1], value)
                return
        siblings = _last_sibling(found, container)
        for place in dict.fromkeys([*siblings, len(text)]):
            yield _insert(text, place, block, newline)

    def drop(self, text: str, path: Sequence[str]) -> Iterator[str]:
        """See `Format.drop`."""
        found = list(statements(text))
        ours = [statement for statement in found if _within(statement, path)]
        if ours:
            yield apply_edits(text, [_removal(text, run) for run in _runs(text, ours)])
        for statement in found:
            if statement.kind == "pair" and statement.path == tuple(path[:-1]):
                yield _drop_inline(text, statement, path[-1])


def _within(statement: Statement, path: Sequence[str]) -> bool:
    return statement.path[: len(path)] == tuple(path)


def _adjacent(text: str, run: Sequence[Statement]) -> bool:
    """Whether only blanks and comments lie between the statements."""
    return len(_runs(text, run)) == 1


def _runs(text: str, found: Sequence[Statement]) -> list[list[Statement]]:
    """The statements in groups that no other statement parts."""
    runs: list[list[Statement]] = []
    for statement in found:
        if runs and not any(True for _ in statements(text[runs[-1][-1].end : statement.start])):
            runs[-1].append(statement)
        else:
            runs.append([statement])
    return runs


def _removal(text: str, run: Sequence[Statement]) -> Edit:
    """Take out a group of lines, and the blank line before it where one stands on each side."""
    start, end = run[0].start, run[-1].end
    if run[0].kind == "table" and not text[end : end + 1].strip() and start:
        before = line_start(text, start - 1)
        if not text[before:start].strip():
            start = before
    return Edit(start, end, "")


def _last_sibling(found: Sequence[Statement], container: tuple[str, ...]) -> list[int]:
    """Where the last table beside the entry ends, if there is one."""
    place = []
    inside = False
    for statement in found:
        if statement.kind != "pair":
            inside = statement.path[: len(container)] == container
        if inside:
            place = [statement.end]
    return place


def _insert(text: str, place: int, block: str, newline: str) -> str:
    """Put the block on lines of its own with a blank line before and, inside the text, after."""
    before, after = text[:place], text[place:]
    if before and not before.endswith("\n"):
        before += newline
        block = block.removesuffix(newline)
    gap = newline if before and not before.endswith(("\n\n", "\n\r\n")) else ""
    tail = newline if after and not after.startswith(("\n", "\r\n")) else ""
    return before + gap + block + tail + after


def _put_inline(text: str, statement: Statement, name: str, value: dict[str, Any]) -> str:
    fragment, table = _inline_table(text, statement)
    inline = tomlkit.inline_table()
    inline.update(value)
    table[name] = inline
    edit = Edit(statement.start, statement.end, fragment.as_string())
    return apply_edits(text, [edit])


def _drop_inline(text: str, statement: Statement, name: str) -> str:
    fragment, table = _inline_table(text, statement)
    table.pop(name, None)
    return apply_edits(text, [Edit(statement.start, statement.end, fragment.as_string())])


def _inline_table(text: str, statement: Statement) -> tuple[tomlkit.TOMLDocument, Any]:
    """The one statement as a document, and the inline table that is its value."""
    fragment = tomlkit.parse(text[statement.start : statement.end])
    table: Any = fragment
    while len(table) == 1 and not isinstance(table, tomlkit.items.InlineTable):
        table = next(iter(table.values()))
        if not isinstance(table, dict):
            raise EditError(f"a table is needed at `{'.'.join(statement.path)}`")
    return fragment, table


def _tables(path: tuple[str, ...], value: dict[str, Any]) -> str:
    """A table with a header; tables inside it follow with headers of their own."""
    lines = [f"[{'.'.join(_key(part) for part in path)}]"]
    lines += [
        f"{_key(key)} = {tomlkit.item(item).as_string()}"
        for key, item in value.items()
        if not isinstance(item, dict)
    ]
    text = "\n".join(lines) + "\n"
    for key, item in value.items():
        if isinstance(item, dict):
            text += "\n" + _tables((*path, key), item)
    return text


def _key(part: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_-]+", part):
        return part
    return json.dumps(part, ensure_ascii=False)
