"""What a check has to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, computed_field

Section = Literal["machine", "models", "index", "watching", "library", "clients"]
Status = Literal["ok", "note", "problem", "broken"]


@dataclass(frozen=True, slots=True)
class Mend:
    """A safe way to put something right.

    Attributes:
        what: what it does, as a sentence begins with it: "the index is made anew".
        run: does it; raises what the parts that it calls raise.
    """

    what: str
    run: Callable[[], object]


class Finding(BaseModel):
    """One line of the doctor's report.

    Attributes:
        section: which part of the installation was looked at.
        check: which check it comes from, a word that stays the same between versions.
        subject: what was looked at.
        status: `note` is worth knowing, `problem` keeps something from working as it should,
            `broken` keeps the whole from working.
        text: what was found.
        why: why it matters, empty where nothing is wrong.
        remedy: the command or the step that mends it, empty where nothing needs mending.
        places: paths, with a line number where one line is meant, that it is about.
        mend: what `--fix` does about it, where that is safe.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    section: Section
    check: str
    subject: str
    status: Status
    text: str
    why: str = ""
    remedy: str = ""
    places: tuple[str, ...] = ()
    mend: Mend | None = Field(default=None, exclude=True, repr=False)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fixable(self) -> bool:
        """Whether `--fix` mends it."""
        return self.mend is not None


class Progress(Protocol):
    """Is told how far a check is."""

    def checking(self, what: str, done: int, total: int, unit: str) -> None:
        """`done` of `total` units were looked at."""

    def reading(self, done: int, total: int) -> None:
        """`done` of `total` changed files were read into the index."""

    def embedding(self, done: int, total: int) -> None:
        """`done` of `total` skills were embedded."""


class Silence:
    """Progress that nobody watches."""

    def checking(self, what: str, done: int, total: int, unit: str) -> None: ...

    def reading(self, done: int, total: int) -> None: ...

    def embedding(self, done: int, total: int) -> None: ...
