"""What is promised of everything that reads strangers' skills, as functions of arbitrary bytes.

Each target imports what it tests when it is made, so that this may be instrumented first, and
raises AssertionError where a promise is broken.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_TEXT = 100_000
"""Characters that an input may say."""

TREE_BYTES = 120
"""Of an input that makes a tree: each two make a folder, a file or a link."""

Target = Callable[[bytes], None]

_WORDS = (
    "a name: description: version metadata disable-model-invocation: true null 1e9 0x1f 2026-02-30 "
    "--- ... |- &a *a !!str !!python/object:os.system \\0 "
    "\\e[31m \\u202e \\uD800 \\x9d \x1b[2J "
    "\x1b]0;t\x07 \x9b1m "
    "\u2028 \u202e \u2066 \u200b \u200c \u200d \ufe0e \ufe0f \ufeff \u0301 \u0316 "
    "\u115f \U000e0041 é 表 👩 <!-- --> ``` [x](y) https:// curl sh ignore all instructions this "
    "skill you must"
)
_SIGNS = [
    *_WORDS.split(" "),
    *" \n\t\r-?:,[]{}'\"|>&*!%@`#~\\;\x00\x9d\x85",
    "\n\n",
    "\r\n",
    "    ",
]


def text_of(data: bytes) -> str:
    """A text from an input: its bytes as UTF-8 or one sign each, some of it repeated."""
    if len(data) < 4:
        return data.decode("utf-8", "replace")
    how, start, repeats = data[0], data[1], data[2]
    rest = data[3:]
    if how & 1:
        parts = [_SIGNS[byte % len(_SIGNS)] for byte in rest]
    else:
        parts = list(rest.decode("utf-8", "replace"))
    at = start % (len(parts) + 1)
    times = (1, 1, 1, 40, 40, 40, 400, 20_000)[repeats & 7]
    span = parts[at : at + 1 + (repeats >> 3)]
    return "".join([*parts[:at], *span * times, *parts[at:]])[:LONGEST_TEXT]


def skill_target() -> Target:
    """Any bytes are a skill, with fields that are safe to print, or are refused with a reason."""
    from skillrouter_mcp.skills import Skill, SkillError, is_plain, parse_skill, read_skill
    from skillrouter_mcp.skills.reader import MAX_DESCRIPTION, MAX_NAME

    folder = Path(tempfile.mkdtemp()) / "folder"
    folder.mkdir()
    path = folder / "SKILL.md"

    def check(load: Callable[[], Skill]) -> None:
        try:
            skill = load()
        except SkillError as error:
            said: tuple[str, ...] = (error.reason,)
        else:
            said = (skill.name, skill.description, *skill.warnings)
            check_skill(skill)
        for sentence in said:
            assert is_plain(sentence), sentence

    def check_skill(skill: Skill) -> None:
        assert 1 <= len(skill.name) <= MAX_NAME
        assert len(skill.description) <= MAX_DESCRIPTION
        assert skill.description or skill.body
        skill.body.encode()
        for text in texts_in(skill.front_matter):
            assert all(is_plain(part) for part in re.split(r"[\n\t]", text)), text

    def run(data: bytes) -> None:
        path.write_bytes(data)
        check(lambda: read_skill(path))
        text = text_of(data)
        check(lambda: parse_skill(text, path))
        check(lambda: parse_skill(f"---\n{text}\n---\nbody", path))

    return run


def yaml_target() -> Target:
    """Any text is a value that JSON holds, or no YAML, or hostile, with both PyYAML's parsers."""
    import yaml

    from skillrouter_mcp.skills import safe_yaml

    def run(data: bytes) -> None:
        text = text_of(data)
        for loader in (yaml.CSafeLoader, yaml.SafeLoader):
            safe_yaml._Loader = loader
            part = text[: 65_536 if loader is yaml.CSafeLoader else 500]  # the other is slow
            for numbers in (False, True):
                with contextlib.suppress(safe_yaml.InvalidYamlError, safe_yaml.HostileYamlError):
                    value = safe_yaml.load_yaml(part, numbers=numbers).value
                    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
                    written.encode()
                    assert len(written) < 20 * safe_yaml.MAX_SIZE

    return run


def sanitise_target() -> Target:
    """Any text becomes one short line without what is unsafe; made so once, it stays so."""
    from skillrouter_mcp.skills import is_plain, plain, printable

    def run(data: bytes) -> None:
        text = text_of(data)
        for limit in (1, 64, 4_096, LONGEST_TEXT):
            for shown in (plain(text, limit), printable(text, limit)):
                assert len(shown) <= limit
                assert is_plain(shown), shown
                shown.encode()
            once = plain(text, limit)
            assert plain(once, limit + 1) == once
        if is_plain(text):
            assert printable(text, LONGEST_TEXT) == text

    return run


def body_target() -> Target:
    """Any body is cut into passages and looked through for what steers an agent, in time."""
    from skillrouter_mcp.health.near_copies import Shingler
    from skillrouter_mcp.health.steering import suspicions
    from skillrouter_mcp.index.passages import passages
    from skillrouter_mcp.index.store import Document
    from skillrouter_mcp.skills import is_plain

    def run(data: bytes) -> None:
        text = text_of(data)
        for suspicion in suspicions(text):
            assert is_plain(suspicion.quote)
        Shingler().trigrams(text)
        for passage in passages(Document(1, "name", "", text), ["en"]):
            assert len(passage.text) < 10_000

    return run


def tree_target() -> Target:
    """Any tangle of folders, files, links and pipes is walked; what is read lies in the root, or
    behind a link that nobody has packed."""
    from skillrouter_mcp.skills import Root, SkillError, is_plain, read_skill, walk

    names = "a b kit SKILL.md skill.md .git scripts x\x1b[2J y\u202e é"
    targets = ".. . ../.. a ../b ../../outside /dev/zero SKILL.md / kit"

    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            outside, root = Path(scratch, "outside"), Path(scratch, "root")
            for folder in (outside, root):
                folder.mkdir()
            (outside / "SKILL.md").write_text("outside")
            here = root
            steps = data[:TREE_BYTES]
            for what, which in zip(steps[0::2], steps[1::2], strict=False):
                path = here / _one(names, which)
                with contextlib.suppress(OSError):
                    if what % 8 == 0:
                        path.mkdir()
                    elif what % 8 == 1 and not path.exists():
                        path.write_bytes(b"---\nname: " + data[:60] + b"\n---\nbody")
                    elif what % 8 == 2:
                        path.symlink_to(_one(targets, what // 8))
                    elif what % 8 == 3:
                        os.mkfifo(path)
                    elif what % 8 == 4 and here != root:
                        here = here.parent
                    elif path.is_dir() and not path.is_symlink():
                        here = path
            check(root)

    def check(root: Path) -> None:
        found = walk([Root(root, "user")])
        real = [os.path.realpath(file.path) for file in found.files]
        for file, target in zip(found.files, real, strict=True):
            assert is_plain(file.path)
            inside = Path(target).is_relative_to(os.path.realpath(root))
            assert inside or file.path in found.linked or _linked_above(file.path, found.linked)
            with contextlib.suppress(SkillError):
                read_skill(Path(file.path), real=file.real)
        for link in map(Path, found.linked):
            if not Path(os.path.realpath(link)).is_relative_to(os.path.realpath(root)):
                assert not _is_packed(link, root), link
        for problem in found.problems:
            assert is_plain(problem.path)
            assert is_plain(problem.reason)
        assert found == walk([Root(root, "user")])

    return run


def _is_packed(link: Path, root: Path) -> bool:
    """Whether a link lies in what others may have packed: a git checkout, or the folder of a skill
    other than the one that it is itself."""
    skill_files = {"SKILL.md", "skill.md"}
    for folder in link.relative_to(root).parents:
        names = {path.name for path in (root / folder).iterdir()} if folder != Path() else set()
        own = link.name in skill_files and root / folder == link.parent
        if ".git" in names or (names & skill_files and not own):
            return True
    return False


def _one(words: str, number: int) -> str:
    among = words.split(" ")
    return among[number % len(among)]


def _linked_above(path: str, links: tuple[str, ...]) -> bool:
    return any(path.startswith(link + os.sep) for link in links)


def texts_in(value: Any) -> list[str]:
    """Every text in a value that JSON can hold, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts_in(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_in(part)]
    return []


TARGETS: dict[str, Callable[[], Target]] = {
    "skill": skill_target,
    "yaml": yaml_target,
    "sanitise": sanitise_target,
    "body": body_target,
    "tree": tree_target,
}
