"""What a skill is: reading `SKILL.md` files and walking the folders that hold them."""

from __future__ import annotations

from skillrouter_mcp.skills.reader import MAX_BYTES, announce, parse_skill, read_skill, read_text
from skillrouter_mcp.skills.sanitise import is_plain, plain, printable
from skillrouter_mcp.skills.skill import Skill, SkillError
from skillrouter_mcp.skills.walk import (
    MAX_DEPTH,
    MAX_FOLDERS,
    Problem,
    Root,
    SkillFile,
    Stamp,
    Walk,
    walk,
)

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_FOLDERS",
    "Problem",
    "Root",
    "Skill",
    "SkillError",
    "SkillFile",
    "Stamp",
    "Walk",
    "announce",
    "is_plain",
    "parse_skill",
    "plain",
    "printable",
    "read_skill",
    "read_text",
    "walk",
]
