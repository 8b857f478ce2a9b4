"""Findings as lines for people."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from skillrouter_mcp.health.finding import Finding

_SHOWN = 8  # findings of one check
_PLACES = 4  # of one finding
_INDENT = " " * 9


def report(findings: Sequence[Finding]) -> Iterator[str]:
    """A heading for each section, its findings, and a last line that counts what is wrong.

    What findings of one check have in common, why it matters and what mends it, is said once.
    """
    for section, in_section in itertools.groupby(findings, lambda finding: finding.section):
        yield f"{section}:"
        for _, of_check in itertools.groupby(in_section, lambda f: (f.check, f.status)):
            yield from _alike(list(of_check))
    counts = {
        words: sum(finding.status == status for finding in findings)
        for status, words in (("broken", "broken"), ("problem", "problems"), ("note", "notes"))
    }
    yield ", ".join(f"{count:,} {words}" for words, count in counts.items())
    if any(finding.fixable for finding in findings):
        yield "skillrouter-mcp doctor --fix mends those marked with *"


def _alike(findings: Sequence[Finding]) -> Iterator[str]:
    shown = findings[:_SHOWN]
    for number, finding in enumerate(shown):
        mark = "*" if finding.fixable else " "
        yield f"{finding.status:>7}{mark} {finding.subject}: {finding.text}"
        places = [place for place in finding.places if place != finding.subject]
        for place in places[:_PLACES]:
            yield f"{_INDENT}- {place}"
        if len(places) > _PLACES:
            yield f"{_INDENT}- and {len(places) - _PLACES:,} more"
        following = shown[number + 1] if number + 1 < len(shown) else None
        if finding.why and (following is None or following.why != finding.why):
            yield f"{_INDENT}why: {finding.why}"
        if finding.remedy and (following is None or following.remedy != finding.remedy):
            yield f"{_INDENT}do: {finding.remedy}"
    if len(findings) > len(shown):
        yield f"{_INDENT}and {len(findings) - len(shown):,} more like these (--json lists all)"
