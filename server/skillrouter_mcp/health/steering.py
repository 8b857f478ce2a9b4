"""Texts in a skill that look made to steer a router or an agent. Advice for who reads them: a skill
about such attacks quotes them, and many an honest one downloads an installer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from skillrouter_mcp.skills import is_plain, plain, printable

Kind = Literal[
    "hidden-characters",
    "hidden-comment",
    "overrides-instructions",
    "conceals-from-user",
    "promotes-itself",
    "downloads-into-shell",
    "stuffed-keywords",
]

_QUOTED = 100
_MOST_OF_A_KIND = 3

_SHELL = (
    r"(?:sudo\s+(?:-\S+\s+)*)?(?:env\s+)?(?:/\S*/)?"
    r"(?:(?:ba|z|da|k|fi)?sh|python3?|node|perl|ruby)\b"
)
_FETCH_WINDOWS = r"\b(?:irm|iwr|invoke-webrequest|invoke-restmethod)\b"
_INSTRUCTIONS = r"(?:instructions?|prompts?|rules|skills?|guidelines|guardrails|directives)\b"
_WHOSE = (
    "all|any|every|the|your|my|of|other|these|those|existing|system|safety|previous|previously|"
    "prior|above|earlier|preceding|original"
)

# Kind, words of which one must be in the text for the pattern to be tried, pattern; on lower case.
_RULES: tuple[tuple[Kind, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "overrides-instructions",
        ("ignore", "disregard", "forget", "override", "bypass"),
        re.compile(
            rf"\b(?:ignore|disregard|forget|override|bypass)\s+(?:(?:{_WHOSE})\s+){{1,5}}{_INSTRUCTIONS}"
        ),
    ),
    (
        "overrides-instructions",
        ("忽略", "无视", "忘记", "绕过"),
        re.compile(r"(?:忽略|无视|忘记|绕过)[^\n。，,]{0,12}(?:指令|提示词?|规则|技能)"),
    ),
    (
        "conceals-from-user",
        (" user",),
        re.compile(
            r"\b(?:do\s+not|don't|never|without)\s+(?:tell|inform|mention|reveal|disclos|notify|alert|"
            r"warn)(?:ing|e)?\s+(?:(?:it|this|that|anything|them)\s+)?(?:to\s+)?(?:the\s+)?user\b"
        ),
    ),
    (
        "conceals-from-user",
        ("用户",),
        re.compile(r"(?:不要|不得|切勿|禁止)(?:告诉|告知|通知|提示)用户"),
    ),
    (
        "promotes-itself",
        ("this skill", "other skill", "other tool"),
        re.compile(
            r"\b(?:always|must|only|exclusively)\s+(?:choose|select|use|prefer|pick|load|invoke|call|"
            r"recommend|rank)\s+this\s+skill\b|\b(?:do\s+not|don't|never)\s+(?:use|choose|select|load|"
            r"consult|consider|invoke)\s+(?:any\s+)?other\s+(?:skills?|tools?)\b|\bthis\s+skill\s+"
            r"(?:overrides|supersedes|outranks|takes\s+(?:precedence|priority)\s+over)\b|"
            r"\binstead\s+of\s+(?:any|all)\s+other\s+skills?\b"
        ),
    ),
    (
        "promotes-itself",
        ("技能",),
        re.compile(r"(?:总是|始终|必须|优先)(?:选择|使用|调用)(?:本|这个|此)技能"),
    ),
    (
        "downloads-into-shell",
        ("curl", "wget"),
        re.compile(
            rf"\b(?:curl|wget)\b[^\n|]{{0,300}}\|\s*{_SHELL}|\b(?:ba|z|da)?sh\s+<\(\s*(?:curl|wget)\b|"
            r"\b(?:ba|z|da)?sh\b[^\n]{0,20}\$\(\s*(?:curl|wget)\b|\beval\b[^\n]{0,5}\$\(\s*(?:curl|wget)\b"
        ),
    ),
    (
        "downloads-into-shell",
        ("iex", "invoke-expression"),
        re.compile(
            rf"\b(?:iex|invoke-expression)\b[^\n]{{0,80}}(?:{_FETCH_WINDOWS}|\bdownloadstring\b)|"
            rf"{_FETCH_WINDOWS}[^\n|]{{0,300}}\|\s*(?:iex|invoke-expression)\b"
        ),
    ),
    (
        "downloads-into-shell",
        ("base64",),
        re.compile(rf"\bbase64\s+(?:-d|--decode)\b[^\n|]{{0,80}}\|\s*{_SHELL}"),
    ),
)
_COMMENT = re.compile(r"<!--(.*?)(?:-->|\Z)", re.DOTALL)
_ADDRESSES_A_MODEL = re.compile(
    r"\byou\s+(?:must|should|are|will)\b|\b(?:ignore|disregard)\b|\b(?:assistant|agents?|claude|gpt|llms?|"
    r"language\s+model|system\s+prompt|instructions?|secretly)\b|\bdo\s+not\s+(?:tell|mention|reveal)\b|"
    r"忽略|指令|助手"
)

_WORD = re.compile(r"[^\W\d_]{3,}")
_LEAST_REPEATS = 12
_LEAST_SHARE = 0.2
_LEAST_LINE = 120  # characters; what is shorter holds too few words to be stuffed


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Something that deserves a look: what it seems to be, on which line, and the line's text made
    safe to print."""

    kind: Kind
    line: int
    quote: str


def suspicions(text: str) -> list[Suspicion]:
    """What in the text of a `SKILL.md` deserves a look, at most three of a kind, by line.

    Args:
        text: the whole file, front matter included, with `\\n` line ends.
    """
    lines = text.split("\n")
    hidden = [number for number, line in enumerate(lines) if _hides(line, number)]
    seen = list(lines)
    for number in hidden:  # characters that are not seen also part words from their like
        seen[number] = plain(lines[number], len(lines[number]))
    places: dict[Kind, list[int]] = {"hidden-characters": hidden[:_MOST_OF_A_KIND]}
    for kind, line in _places("\n".join(seen).lower(), seen):
        found = places.setdefault(kind, [])
        if line not in found and len(found) < _MOST_OF_A_KIND:
            found.append(line)
    return sorted(
        (
            Suspicion(kind, line + 1, printable(lines[line].strip(), _QUOTED))
            for kind, found in places.items()
            for line in found
        ),
        key=lambda suspicion: suspicion.line,
    )


def _places(lowered: str, lines: list[str]) -> Iterator[tuple[Kind, int]]:
    for kind, needles, pattern in _RULES:
        if any(needle in lowered for needle in needles):
            for match in pattern.finditer(lowered):
                yield kind, lowered.count("\n", 0, match.start())
    if "<!--" in lowered:
        for comment in _COMMENT.finditer(lowered):
            if address := _ADDRESSES_A_MODEL.search(comment[1]):
                offset = comment.start(1) + address.start()
                yield "hidden-comment", lowered.count("\n", 0, offset)
    for number in _stuffed(lines):
        yield "stuffed-keywords", number


def _hides(line: str, number: int) -> bool:
    """Whether a line holds what is not seen; a byte order mark may begin the file."""
    if line.isprintable():
        return False
    line = line.replace("\t", " ").removesuffix("\r")
    return not is_plain(line.removeprefix("\ufeff") if number == 0 else line)


def _stuffed(lines: list[str]) -> Iterator[int]:
    """Lines of prose in which one word comes again and again."""
    fenced = False
    for number, line in enumerate(lines):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if fenced or len(line) < _LEAST_LINE:
            continue
        words = _WORD.findall(line.lower())
        if len(words) - len(set(words)) < _LEAST_REPEATS - 1:
            continue
        counts = Counter(word for word in words if word not in _COMMON)
        most = max(counts.values(), default=0)
        if most >= _LEAST_REPEATS and most >= _LEAST_SHARE * len(words):
            yield number


_COMMON = frozenset(["and", "for", "from", "not", "that", "the", "this", "use", "with", "you"])
