"""YAML without its dangers.

PyYAML only turns the text into events, a flat stream; the value is built here, so that no tag
constructs anything, nesting can't exhaust a stack, and aliases can't expand into gigabytes.
Scalars stay as they were written, but for `true`, `false` and `null`: `version: 1.10` is not 1.1,
and `no` is a word. Whoever must see what other YAML readers see asks for numbers.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import yaml

MAX_NESTING = 32
"""Levels of lists and mappings, what aliases bring in included."""

MAX_SIZE = 262_144
"""Characters and values in a document, what aliases repeat counted each time."""

_Loader: type[yaml.CSafeLoader] | type[yaml.SafeLoader] = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_NUMBER = re.compile(
    r"(?:0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)\Z"
)
_BASES = {"0o": 8, "0x": 16}
# What YAML doesn't allow in its text, and line separators that people don't see as such.
_NOT_YAML = re.compile(
    "[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# What an escape in a quoted scalar can still bring in, and no database or encoder takes.
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


class InvalidYamlError(Exception):
    """Text that is no YAML. `line` counts from 0."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class HostileYamlError(Exception):
    """YAML that is nested too deeply or too large when its aliases are expanded."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Document:
    """`value` is None, a bool, a str, a number, a list or a dict with str keys, and so all the way
    down."""

    value: object
    repeated_keys: tuple[str, ...]
    """Keys that a mapping holds more than once; the last one counts."""


class _Value(NamedTuple):
    value: object
    size: int
    height: int = 0
    """Levels of lists and mappings in it."""


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended yet."""

    value: list[object] | dict[str, object]
    anchor: str | None
    size: int = 1
    height: int = 1
    key: str | None = None


def load_yaml(text: str, *, numbers: bool = False) -> Document:
    """Read the one document in `text`.

    With `numbers`, plain scalars that YAML 1.2's core schema takes for finite numbers become
    numbers.

    Raises InvalidYamlError and HostileYamlError.
    """
    builder = _Builder(numbers)
    loader = None
    try:
        loader = _Loader(_NOT_YAML.sub(" ", text))
        while (event := loader.get_event()) is not None:
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "malformed"
        raise InvalidYamlError(reason, mark.line if mark else 0) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise InvalidYamlError(str(error), 0) from None
    finally:
        if loader is not None:
            loader.dispose()
    return Document(builder.root, tuple(builder.repeated_keys))


class _Builder:
    def __init__(self, numbers: bool) -> None:
        self._numbers = numbers
        self.root: object = None
        self.repeated_keys: dict[str, None] = {}
        self._open: list[_Open] = []
        self._anchors: dict[str, _Value] = {}
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        parent = self._open[-1] if self._open else None
        wants_key = parent is not None and parent.key is None and isinstance(parent.value, dict)
        if isinstance(event, yaml.ScalarEvent):
            text = event.value if event.value.isprintable() else _clean(event.value)
            item = _Value(self._resolve(text, event), 1 + len(text))
            if event.anchor is not None:
                self._anchors[event.anchor] = item
            if parent is not None and wants_key:
                self._set_key(parent, text)
            else:
                self._add(item)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            ended = self._open.pop()
            item = _Value(ended.value, ended.size, ended.height)
            if ended.anchor is not None:
                self._anchors[ended.anchor] = item
            self._add(item)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if wants_key:
                raise InvalidYamlError("found a key that is not text", _line(event))
            self._check_nesting(1)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            self._open.append(_Open({} if is_mapping else [], event.anchor))
        elif isinstance(event, yaml.AliasEvent):
            if wants_key:
                raise InvalidYamlError("found an alias as a key", _line(event))
            if event.anchor not in self._anchors:
                raise InvalidYamlError("found an undefined alias", _line(event))
            self._add(self._anchors[event.anchor])
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise InvalidYamlError("found a second document", _line(event))

    def _resolve(self, text: str, event: yaml.ScalarEvent) -> str | bool | int | float | None:
        if not event.implicit[0]:  # quoted or tagged
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        number = _number(text) if self._numbers else None
        return text if number is None else number

    def _set_key(self, parent: _Open, key: str) -> None:
        if key in parent.value:
            self.repeated_keys[key] = None
        parent.key = key
        parent.size += len(key)

    def _add(self, item: _Value) -> None:
        if not self._open:
            self.root = item.value
            return
        self._check_nesting(item.height)
        parent = self._open[-1]
        parent.height = max(parent.height, 1 + item.height)
        parent.size += item.size
        if parent.size > MAX_SIZE:
            raise HostileYamlError(f"expands to more than {MAX_SIZE:,} characters")
        if isinstance(parent.value, list):
            parent.value.append(item.value)
        elif parent.key is not None:
            parent.value[parent.key] = item.value
            parent.key = None

    def _check_nesting(self, more: int) -> None:
        if len(self._open) + more > MAX_NESTING:
            raise HostileYamlError(f"is nested deeper than {MAX_NESTING} levels")


def _clean(text: str) -> str:
    return _NOT_TEXT.sub("\ufffd", text)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


def _number(text: str) -> int | float | None:
    if not _NUMBER.match(text):
        return None
    try:
        if text[:2] in _BASES:
            return int(text[2:], _BASES[text[:2]])
        if text.lstrip("+-").isdecimal():
            return int(text)
        number = float(text)
    except ValueError:  # too many digits
        return None
    return number if math.isfinite(number) else None
