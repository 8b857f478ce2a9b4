"""A body cut into sections, so that what stands far down in a long one still counts."""

from __future__ import annotations

_CHARACTERS = 2_000
_LEAST_SHARE = 0.4  # of a section must be full before a long line may begin the next


def sections(body: str) -> list[str]:
    """The body's lines in order, in pieces of some 2,000 characters; none of an empty body."""
    cut: list[str] = []
    start = end = 0
    for line in body.split("\n"):
        length = end - start
        if length + len(line) > _CHARACTERS and length > _CHARACTERS * _LEAST_SHARE:
            cut.append(body[start : end - 1])
            start = end
        end += len(line) + 1
    cut.append(body[start:])
    return [section for section in cut if section.strip()]
