"""What a check has to say."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Finding(BaseModel, frozen=True):
    """One line of the doctor's report.

    Attributes:
        section: which part of the installation was looked at.
        subject: what was looked at.
        text: what was found, and why it matters where something is wrong.
        remedy: the command or the step that mends it, empty where nothing needs mending.
    """

    section: Literal["machine", "models", "index", "library"]
    subject: str
    status: Literal["ok", "warning", "broken"]
    text: str
    remedy: str = ""
