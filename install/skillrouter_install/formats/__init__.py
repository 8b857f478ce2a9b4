"""Config formats edited in place: each knows how to read a text and how to change one entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FormatName = Literal["json", "jsonc", "json5", "toml", "yaml"]


class Format(Protocol):
    """One format. Texts carry no byte order mark; a path is the keys that lead to an entry.

    `put` and `drop` offer candidate texts, the most pleasing first. They may be wrong in a
    rare shape: the caller reads each again and takes the first that changed the entry alone.
    """

    def read(self, text: str) -> Any:
        """The whole file as plain data, `{}` for one without any; raises ConfigSyntaxError."""

    def put(self, text: str, path: Sequence[str], value: dict[str, Any]) -> Iterator[str]:
        """The text with the entry at `path` added or replaced; raises EditError."""

    def drop(self, text: str, path: Sequence[str]) -> Iterator[str]:
        """The text without the entry at `path`, which it has; raises EditError."""

    def document(self, path: Sequence[str], value: dict[str, Any]) -> str:
        """A new file with nothing but the entry."""


def format_named(name: FormatName) -> Format:
    """The format of that name; its parser is imported here and not before."""
    if name == "toml":
        from skillrouter_install.formats.toml_format import TomlFormat

        return TomlFormat()
    if name == "yaml":
        from skillrouter_install.formats.yaml_format import YamlFormat

        return YamlFormat()
    from skillrouter_install.formats.json_format import JsonFormat

    return JsonFormat(json5=name == "json5")
