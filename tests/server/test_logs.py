from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import logging
from skillrouter_mcp.logs import log_to_stderr

log_to_stderr("skillrouter-mcp: %(message)s")
logging.getLogger("any").warning("left\\u202eright \\x1b[31mred\\x1b[0m %s", "two\\nlines")
logging.getLogger("any").info("nobody wants to know")
"""


def test_what_a_terminal_would_obey_is_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True, encoding="utf-8"
    )
    assert done.stdout == ""
    assert done.stderr == "skillrouter-mcp: leftright red two\nlines\n"
