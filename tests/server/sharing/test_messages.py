from __future__ import annotations

import json
from pathlib import Path

from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.sharing.messages import (
    pack_answer,
    pack_roots,
    unpack_answer,
    unpack_roots,
)
from skillrouter_mcp.skills import Root


def test_roots_come_through_as_they_are() -> None:
    roots = (Root(Path("/a b/差旅/.skills"), "project"), Root(Path("/home/me/.skills"), "user"))
    assert unpack_roots(json.loads(json.dumps(pack_roots(roots)))) == roots
    assert unpack_roots(json.loads(json.dumps(pack_roots(())))) == ()


def test_an_answer_comes_through_as_it_is() -> None:
    matches = (
        Match("fapiao", "/skills/fapiao/SKILL.md", 0.9375, {"words": 0.1, "labels": 1 / 3}),
        Match("other", "/skills/other/SKILL.md", 0.1, {}),
    )
    for answer in (Answer(matches, "match", 7, 1), Answer((), "empty", 0, 0)):
        assert unpack_answer(json.loads(json.dumps(pack_answer(answer)))) == answer
