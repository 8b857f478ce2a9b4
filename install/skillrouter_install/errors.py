"""What goes wrong when a client's config file is read or changed."""

from __future__ import annotations


class InstallError(Exception):
    """A change that was not made: the text is one sentence or two for the user.

    `snippet` is what the user can paste by hand where the file itself could not be edited.
    """

    def __init__(self, message: str, *, snippet: str | None = None) -> None:
        super().__init__(message)
        self.snippet = snippet


class ConfigSyntaxError(InstallError):
    """Text that is not valid in its format; `line` and `column` count from 1."""

    def __init__(self, problem: str, *, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {problem}")
        self.line = line
        self.column = column


class EditError(InstallError):
    """Valid text whose shape leaves no safe place for the change."""
