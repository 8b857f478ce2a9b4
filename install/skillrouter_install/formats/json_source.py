"""JSON, JSON with comments and JSON5 as a tree that knows where each part stands in the text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from skillrouter_install.errors import ConfigSyntaxError
from skillrouter_install.formats.edits import line_and_column

_BLANK = re.compile(r"[ \t\r\n]+")
_BLANK_JSON5 = re.compile(r"[ \t\r\n\v\f\u00a0\u2028\u2029\ufeff]+")
_COMMENT = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_STRING_JSON5 = re.compile(
    r""""[^"\\\r\n]*(?:\\(?:\r\n|.)[^"\\\r\n]*)*"|'[^'\\\r\n]*(?:\\(?:\r\n|.)[^'\\\r\n]*)*'""",
    re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.+-])")
_NUMBER_JSON5 = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F]+|Infinity|NaN|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"(?![\w.+-])"
)
_WORD = re.compile(r"(?:true|false|null)(?![\w$])")
_IDENTIFIER = re.compile(r"[^\W\d][\w$\u200c\u200d]*|\$[\w$\u200c\u200d]*")
_ESCAPE_JSON5 = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|\r\n|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_LINE_BREAKS = {"\n", "\r", "\r\n", "\u2028", "\u2029"}


@dataclass(slots=True)
class Value:
    """A value and the text `[start, end)` that it was read from.

    `data` is the value as Python has it; `elements` the parts of an object or array, in order.
    """

    kind: Literal["object", "array", "scalar"]
    start: int
    end: int
    data: Any
    elements: list[Element] = field(default_factory=list)


@dataclass(slots=True)
class Element:
    """A member of an object, `start` at its key, or an item of an array, whose `key` is None.

    `comma` is where the comma after it stands, None where there is none.
    """

    key: str | None
    start: int
    value: Value
    comma: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed text: its value, None where it holds nothing but blanks and comments.

    `extras` names what it uses beyond JSON proper: "comments", "trailing commas".
    """

    root: Value | None
    extras: frozenset[str]


def parse_json(text: str, *, json5: bool = False) -> Source:
    """Read JSON with comments and trailing commas, or JSON5.

    Raises:
        ConfigSyntaxError: the text is neither.
    """
    parser = _Parser(text, json5=json5)
    try:
        return parser.document()
    except RecursionError:
        raise ConfigSyntaxError("nested too deeply", line=1, column=1) from None


class _Parser:
    def __init__(self, text: str, *, json5: bool) -> None:
        self._text = text
        self._json5 = json5
        self._position = 0
        self._extras: set[str] = set()

    def document(self) -> Source:
        self._skip()
        root = None
        if self._position < len(self._text):
            root = self._value()
            self._skip()
            if self._position < len(self._text):
                self._fail("expected the end of the file")
        return Source(root, frozenset(self._extras))

    def _fail(self, problem: str, position: int | None = None) -> NoReturn:
        position = self._position if position is None else position
        found = repr(self._text[position]) if position < len(self._text) else "the end of the file"
        line, column = line_and_column(self._text, position)
        raise ConfigSyntaxError(f"{problem}, found {found}", line=line, column=column)

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._position)
        if found is None:
            return None
        self._position = found.end()
        return found.group()

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _skip(self) -> None:
        while True:
            self._match(_BLANK_JSON5 if self._json5 else _BLANK)
            if self._peek() != "/":
                return
            if self._match(_COMMENT) is None:
                unclosed = self._text.startswith("/*", self._position)
                self._fail("this comment is not closed" if unclosed else "expected a value")
            self._extras.add("comments")

    def _value(self) -> Value:
        opening = self._peek()
        if opening == "{":
            return self._collection("object", "}")
        if opening == "[":
            return self._collection("array", "]")
        start = self._position
        if opening and opening in ("\"'" if self._json5 else '"'):
            decoded = self._string()
            return Value("scalar", start, self._position, decoded)
        literal = self._match(_WORD) or self._match(_NUMBER_JSON5 if self._json5 else _NUMBER)
        if literal is None:
            self._fail("expected a value")
        return Value("scalar", start, self._position, _literal(literal))

    def _collection(self, kind: Literal["object", "array"], closing: str) -> Value:
        start = self._position
        self._position += 1
        elements: list[Element] = []
        while True:
            self._skip()
            if self._peek() == closing:
                if elements and elements[-1].comma is not None:
                    self._extras.add("trailing commas")
                break
            if elements and elements[-1].comma is None:
                self._fail(f"expected ',' or '{closing}'")
            elements.append(self._element(kind))
            self._skip()
            if self._peek() == ",":
                elements[-1].comma = self._position
                self._position += 1
        self._position += 1
        data: Any
        if kind == "object":
            data = {element.key: element.value.data for element in elements}
        else:
            data = [element.value.data for element in elements]
        return Value(kind, start, self._position, data, elements)

    def _element(self, kind: Literal["object", "array"]) -> Element:
        start = self._position
        if kind == "array":
            return Element(None, start, self._value())
        key = self._key()
        self._skip()
        if self._peek() != ":":
            self._fail("expected ':'")
        self._position += 1
        self._skip()
        return Element(key, start, self._value())

    def _key(self) -> str:
        opening = self._peek()
        if opening and opening in ("\"'" if self._json5 else '"'):
            return self._string()
        name = self._match(_IDENTIFIER) if self._json5 else None
        if name is None:
            self._fail("expected a name in double quotes")
        return name

    def _string(self) -> str:
        start = self._position
        token = self._match(_STRING_JSON5 if self._json5 else _STRING)
        if token is None:
            self._fail("this string is not closed on its line", start)
        if self._json5:
            halves = _ESCAPE_JSON5.sub(_unescape, token[1:-1])
            return halves.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        try:
            decoded: str = json.loads(token)
        except ValueError:
            self._fail("this string has an escape that JSON does not know", start)
        return decoded


def _unescape(found: re.Match[str]) -> str:
    escape = found.group(1)
    if escape in _LINE_BREAKS:
        return ""
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _ESCAPED.get(escape, escape)


def _literal(token: str) -> Any:
    if re.match(r"[+-]?0[xX]", token):
        return int(token, 16)
    try:
        return json.loads(token)
    except ValueError:
        return float(token)
