from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skillrouter_gguf import Encoder
from skillrouter_install import Environment
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.routing.models import encoder_of
from skillrouter_mcp.settings import Settings, load_settings

# Speaks as much of the protocol as the doctor asks for; its arguments say what is wrong with it.
SERVER = """\
import importlib.metadata, json, os, sys, time
faults = sys.argv[1:]
if "dies" in faults:
    sys.exit("ModuleNotFoundError: No module named 'skillrouter_mcp'")
if "hangs" in faults:
    time.sleep(600)
if "talks" in faults:
    print("Welcome to your \\x1b[31mshell\\x1b[0m!", flush=True)
version = "0.0.1" if "old" in faults else importlib.metadata.version("skillrouter-mcp")
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        name = "weather" if "other" in faults else "skillrouter"
        result = {"serverInfo": {"name": name, "version": version}, "protocolVersion": "2025-11-25"}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": "forecast" if "other" in faults else "find_skill"}]}
    elif "fails" in faults:
        result = {"isError": True, "content": [{"type": "text", "text": "no model"}]}
    else:
        skills = 0 if "empty" in faults else 3
        result = {"structuredContent": {"index": {"skills": skills, "pending": 0}}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    return load_settings(home=tmp_path / "home", roots=(root,), threads=1)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A user with nothing on the machine, which a command that is run here sees as well."""
    user = tmp_path / "user"
    project = tmp_path / "work"
    user.mkdir()
    project.mkdir()
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(project)
    variables = {"HOME": str(user), "PATH": os.environ["PATH"]}
    return Environment("linux", user, variables, project)


@pytest.fixture
def bring_in_step(settings: Settings, encoder: Encoder) -> Callable[[], None]:
    """Brings the index of `settings` in step."""

    def step() -> None:
        fingerprint = Fingerprint.of(encoder_of(settings))
        library = Library(settings.home, settings.search_roots(), fingerprint)
        with library.writing():
            library.scan()
            for _ in library.embed(encoder):
                pass
        library.close()

    return step


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A command that answers as the server does, unless its arguments name a fault."""
    script = tmp_path / "bin" / "skillrouter-mcp"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\n{SERVER}")
    script.chmod(0o755)
    return script
