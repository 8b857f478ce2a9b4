from __future__ import annotations

import subprocess
import sys

ASK_WHETHER_ONE_IS_BUILT = """
import skillrouter_mcp.protocol.server
from mcp_types import ListPromptsResult

print(ListPromptsResult.__pydantic_complete__)
ListPromptsResult(prompts=[])
print(ListPromptsResult.__pydantic_complete__)
"""


def test_models_of_the_sdk_are_built_when_they_are_first_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK_WHETHER_ONE_IS_BUILT], capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == ["False", "True"]
