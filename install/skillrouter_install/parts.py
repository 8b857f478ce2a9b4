"""What an install consists of: the server's entry and, in Claude Code, the prompt hook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from skillrouter_install.entries import (
    append_item,
    drop_entry,
    drop_item,
    find_entry,
    only_entry_differs,
    put_entry,
    same_without_item,
)
from skillrouter_install.formats.json_format import JsonFormat

if TYPE_CHECKING:
    from skillrouter_install.formats import Format

HOOK_PATH = ("hooks", "UserPromptSubmit")


class Part(Protocol):
    """One thing in one file; texts carry no byte order mark. All raise as `entries` does."""

    @property
    def label(self) -> str:
        """What it is called in records."""

    @property
    def form(self) -> Format:
        """The file's format."""

    def is_in(self, text: str) -> bool:
        """Whether the text has it."""

    def put(self, text: str) -> str:
        """The text with it."""

    def drop(self, text: str) -> str:
        """The text without it."""

    def only_this_differs(self, one: str, other: str) -> bool:
        """Whether two texts say the same but for this."""

    def snippet(self) -> str:
        """A file with nothing else in it, to paste from."""


@dataclass(frozen=True, slots=True)
class ServerPart:
    """The server's entry at `path`: keys in `settable` are taken out where `value` lacks them."""

    form: Format
    path: tuple[str, ...]
    value: dict[str, Any]
    settable: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """See `Part.label`: a file may hold servers of several names."""
        return f"server {self.path[-1]}"

    def is_in(self, text: str) -> bool:
        """See `Part.is_in`."""
        return find_entry(self.form.read(text), self.path) is not None

    def put(self, text: str) -> str:
        """See `Part.put`."""
        return put_entry(self.form, text, self.path, self.value, settable=self.settable)

    def drop(self, text: str) -> str:
        """See `Part.drop`."""
        return drop_entry(self.form, text, self.path)

    def only_this_differs(self, one: str, other: str) -> bool:
        """See `Part.only_this_differs`."""
        return only_entry_differs(self.form, one, other, self.path)

    def snippet(self) -> str:
        """See `Part.snippet`."""
        return self.form.document(self.path, self.value)


@dataclass(frozen=True, slots=True)
class PromptHookPart:
    """A hook of Claude Code that asks `find_skill` with every prompt of the user.

    The tool's text becomes context of the turn; Claude Code waits 30 s and takes 10,000
    characters at most.
    """

    server: str

    @property
    def form(self) -> JsonFormat:
        """See `Part.form`."""
        return JsonFormat()

    @property
    def label(self) -> str:
        """See `Part.label`."""
        return f"prompt hook {self.server}"

    @property
    def item(self) -> dict[str, Any]:
        """The group of hooks that is added."""
        hook = {
            "type": "mcp_tool",
            "server": self.server,
            "tool": "find_skill",
            "input": {"query": "${prompt}"},
        }
        return {"hooks": [hook]}

    def is_in(self, text: str) -> bool:
        """See `Part.is_in`."""
        groups = find_entry(self.form.read(text), HOOK_PATH)
        return isinstance(groups, list) and self.item in groups

    def put(self, text: str) -> str:
        """See `Part.put`."""
        return append_item(self.form, text, HOOK_PATH, self.item)

    def drop(self, text: str) -> str:
        """See `Part.drop`."""
        return drop_item(self.form, text, HOOK_PATH, self.item)

    def only_this_differs(self, one: str, other: str) -> bool:
        """See `Part.only_this_differs`."""
        return same_without_item(self.form, one, other, HOOK_PATH, self.item)

    def snippet(self) -> str:
        """See `Part.snippet`."""
        return next(self.form.append("", HOOK_PATH, self.item))
