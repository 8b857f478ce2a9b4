from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Dial

# The engine ends its process over some texts, as llama.cpp does where an assertion of its fails.
ABORTS = """
import os, sys
if "skillrouter_mcp.sharing.owner" in sys.orig_argv:
    from skillrouter_gguf.llama import LlamaModel

    tokenise = LlamaModel.tokenise

    def abort_over(self, text, limit):
        if "basilisk" in text:
            os.abort()
        return tokenise(self, text, limit)

    LlamaModel.tokenise = abort_over
"""


def test_a_text_that_ends_the_engine_costs_no_more_than_its_vector(
    dial: Dial, write_skill: Any, tmp_path: Path
) -> None:
    for n in range(5):
        write_skill(f"notes-{n}", body=f"Take note number {n} of the meeting.\n")
    write_skill("stare", body="Look into the eyes of a basilisk.\n")
    wire = dial(tmp_path / "home", prelude=ABORTS)
    wire.greet()
    found = wire.find_until(
        "take note number 3 of the meeting",
        lambda r: r["index"] == {"skills": 6, "pending": 0},
    )
    assert found["matches"][0]["name"].startswith("notes-")
    asked = wire.find("the eyes of a basilisk")["structuredContent"]
    assert asked["index"] == {"skills": 6, "pending": 0}
    assert wire.hang_up() == 0
    log = (tmp_path / "home" / "owner.log").read_text(encoding="utf-8")
    assert "over one of" in log
    assert log.count("over a text, which is kept from it") == 2
