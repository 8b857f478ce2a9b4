"""A body cut into sections, so that what stands far down in a long one still counts."""

from __future__ import annotations

_CHARACTERS = 2_000
_LEAST_SHARE = 0.4  # of a section must be full before a long line may begin the next


def sections(body: str) -> list[str]:
    """The body's lines in order, in pieces of some 2,000 characters; none of an empty body."""
    cut: list[str] = []
    start = 0
    while len(body) - start > _CHARACTERS:
        end = body.rfind("\n", start, start + _CHARACTERS + 1)
        if end - start < _CHARACTERS * _LEAST_SHARE:
            end = body.find("\n", start + _CHARACTERS + 1)
        if end < 0:
            break
        cut.append(body[start:end])
        start = end + 1
    cut.append(body[start:])
    return [section for section in cut if section.strip()]
