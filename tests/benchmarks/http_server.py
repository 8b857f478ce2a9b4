"""A server over HTTP, for benchmarks that speak to one."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.wire import COMMAND

SKILLS = Path(__file__).parents[1] / "skills"
_PATIENCE = 60.0


@contextmanager
def served(skills: Path, home: Path) -> Iterator[str]:
    """The URL of a server over these skills, once all of them are embedded."""
    environment = os.environ | {"SKILLROUTER_HOME": str(home), "SKILLROUTER_ROOTS": str(skills)}
    subprocess.run([COMMAND, "index"], env=environment, check=True, capture_output=True)
    process = subprocess.Popen(
        [COMMAND, "serve", "--http", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        printed = process.stderr.readline()
        url = re.search(r"http://\S+", printed)
        if url is None:
            raise SystemExit(printed + process.stderr.read())
        yield url.group()
    finally:
        process.terminate()
        process.communicate(timeout=_PATIENCE)
