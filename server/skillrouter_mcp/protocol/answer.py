"""What `find_skill` returns: a structured result for programs, and its text for the agent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from skillrouter_mcp.protocol.skill_uri import skill_uri
from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.skills import printable

_NAME_CHARACTERS = 64

NOTHING_FITS = "No skill in the library fits this request; go on without one."
LIBRARY_EMPTY = "The skill library is empty."
STILL_READING = "The skills are still being read for the first time; ask again in a moment."
WEAK = "No sure match; the nearest:"


class FoundSkill(BaseModel):
    """One skill that fits."""

    name: str
    path: Annotated[str, Field(description="Absolute path of its SKILL.md; read it and follow it")]
    uri: Annotated[str, Field(description="The same file as an MCP resource")]
    score: Annotated[float, Field(ge=0, le=1, description="Comparable between requests")]


class IndexState(BaseModel):
    """How much of the library stands behind the answer."""

    skills: Annotated[int, Field(description="Skills that can be found")]
    pending: Annotated[int, Field(description="Of these, found by their words alone so far")]


class FindSkillResult(BaseModel):
    """The best skills for a request, best first."""

    matches: list[FoundSkill]
    verdict: Literal["match", "weak", "none", "empty"]
    index: IndexState


def result_of(answer: Answer) -> FindSkillResult:
    """The structured result."""
    return FindSkillResult(
        matches=[
            FoundSkill(
                name=match.name,
                path=match.path,
                uri=skill_uri(match.name, match.path),
                score=round(match.score, 3),
            )
            for match in answer.matches
        ],
        verdict=answer.verdict,
        index=IndexState(skills=answer.skills, pending=answer.pending),
    )


def text_of(answer: Answer) -> str:
    """The text for the agent: a line per match with name, score and path, or a sentence.

    Up to the first space is the name, from the second on the path, whatever they contain.
    """
    if answer.verdict == "empty":
        return LIBRARY_EMPTY
    if not answer.skills:
        return STILL_READING
    lines = [_line(match) for match in answer.matches]
    if answer.verdict == "none":
        lines = [NOTHING_FITS]
    elif answer.verdict == "weak":
        lines.insert(0, WEAK)
    if answer.pending:
        lines.append(f"({answer.pending} of {answer.skills} skills are still being read.)")
    return "\n".join(lines)


def _line(match: Match) -> str:
    name = "-".join(printable(match.name, _NAME_CHARACTERS).split())
    return f"{name} {round(match.score, 3):.2f} {match.path}"
