"""Asks real clients whether they reach the server after `skillrouter-mcp install`.

`python -m tests.benchmarks.clients [--clients DIR] [NAME ...]`

Each client gets a home of its own, an install by the command line, and its own tooling for
checking servers. As a control the same is asked with a command that ends at once, and after
`uninstall`. Clients that are not on the PATH are installed with npm and pip: into DIR, where they
are found the next time, or into a folder that is deleted in the end. None needs an account.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.wire import COMMAND

from skillrouter_install import Environment, find_client

if TYPE_CHECKING:
    from collections.abc import Iterator

SKILLS = Path(__file__).parents[1] / "skills"
PATIENCE = 180.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Tooling:
    """How a client is asked: `reached` is in what it says where it is connected to the server."""

    client: str
    program: str
    arguments: tuple[str, ...]
    reached: str
    npm: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    ask: Callable[[Tooling, Mapping[str, str], Path], str] = field(
        default=lambda tooling, environment, folder: said(
            [tooling.program, *tooling.arguments], environment, folder
        )
    )

    def places(self, clients: Path) -> list[Path]:
        """The folders of programs, where the client was installed into `clients`."""
        return [clients / self.client / "node_modules" / ".bin", clients / self.client / "bin"]


def by_app_server(tooling: Tooling, environment: Mapping[str, str], folder: Path) -> str:
    """The status that Codex tells editors: its `mcp list` does not start servers."""
    with subprocess.Popen(
        [tooling.program, *tooling.arguments],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        client = {"name": "benchmark", "title": "Benchmark", "version": "0"}
        for message in (
            {"id": 0, "method": "initialize", "params": {"clientInfo": client}},
            {"method": "initialized"},
            {"id": 1, "method": "mcpServerStatus/list", "params": {}},
        ):
            process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        for line in process.stdout:
            if json.loads(line).get("id") == 1:
                break
        process.stdin.close()
        process.terminate()
        return line.decode()


TOOLING = (
    Tooling(
        "claude-code",
        "claude",
        ("mcp", "list"),
        r"^skillrouter: .*✔ Connected",
        npm=("@anthropic-ai/claude-code",),
    ),
    Tooling(
        "gemini",
        "gemini",
        ("mcp", "list"),
        r"^✓ skillrouter: .*- Connected",
        npm=("@google/gemini-cli",),
    ),
    Tooling(
        "codex",
        "codex",
        ("app-server",),
        r'"name":"skillrouter".*"tools":\{"find_skill":',
        npm=("@openai/codex",),
        ask=by_app_server,
    ),
    Tooling(
        "opencode",
        "opencode",
        ("mcp", "list"),
        r"✓ skillrouter\s+connected",
        npm=("opencode-ai",),
    ),
    Tooling(
        "openclaw",
        "openclaw",
        ("mcp", "doctor", "skillrouter", "--probe"),
        r"^- skillrouter: ok",
        npm=("node@24", "openclaw@latest"),
    ),
    Tooling(
        "hermes",
        "hermes",
        ("mcp", "test", "skillrouter"),
        r"✓ Tools discovered: 1\s+find_skill",
        pip=("hermes-agent[mcp]",),
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="clients; all of them by default")
    parser.add_argument("--clients", type=Path, metavar="DIR", help="where clients are installed")
    arguments = parser.parse_args()
    asked = [each for each in TOOLING if not arguments.names or each.client in arguments.names]
    all_well = True
    print("| client | version | reached | s | with a broken command | after uninstall |")
    print("|---|---|---|---|---|---|")
    with _kept_or_temporary(arguments.clients) as clients:
        for tooling in asked:
            path = os.pathsep.join([*map(str, tooling.places(clients)), os.environ["PATH"]])
            if not Environment("linux", clients, {"PATH": path}, clients).program(tooling.program):
                add(tooling, clients)
            well, row = prove(tooling, path)
            all_well &= well
            print(row, flush=True)
    sys.exit(0 if all_well else 1)


@contextmanager
def _kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="clients-") as name:
        yield Path(name)


def add(tooling: Tooling, clients: Path) -> None:
    """Install the client with its registry's own program."""
    prefix = clients / tooling.client
    prefix.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    environment["PATH"] = f"{prefix / 'node_modules' / '.bin'}{os.pathsep}{environment['PATH']}"
    for package in tooling.npm:
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(prefix), package]
        subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
    if tooling.pip:
        venv.create(prefix, with_pip=True)
        pip = [str(prefix / "bin" / "python"), "-m", "pip", "install", "--quiet", *tooling.pip]
        subprocess.run(pip, stdout=sys.stderr, check=True)


def prove(tooling: Tooling, path: str) -> tuple[bool, str]:
    """Whether the client says what it should, and the row of the table."""
    with tempfile.TemporaryDirectory(prefix="home-") as name:
        home = Path(name).resolve()
        folder = home / "project"
        folder.mkdir()
        (home / ".gemini").mkdir()
        trusted = json.dumps({str(folder): "TRUST_FOLDER"})  # elsewhere it starts no server
        (home / ".gemini" / "trustedFolders.json").write_text(trusted)
        environment = {
            "HOME": str(home),
            "PATH": path,
            "TERM": "dumb",
            "NO_COLOR": "1",
            "SKILLROUTER_HOME": str(home / "state"),
            "SKILLROUTER_ROOTS": str(SKILLS),
        }
        version = said([tooling.program, "--version"], environment, folder)
        _run("install", tooling.client, environment, folder)
        began = time.perf_counter()
        reached = _reached(tooling, environment, folder)
        seconds = time.perf_counter() - began
        with _broken(tooling.client, Environment("linux", home, environment, folder)):
            broken = _reached(tooling, environment, folder)
        _run("uninstall", tooling.client, environment, folder)
        gone = not _reached(tooling, environment, folder)
    number = re.search(r"\d+\.\d+[\w.-]*", version)
    cells = [
        find_client(tooling.client).title,
        number.group() if number else "?",
        "yes" if reached else "NO",
        f"{seconds:.1f}",
        "REACHED" if broken else "not reached",
        "gone" if gone else "STILL THERE",
    ]
    return reached and not broken and gone, f"| {' | '.join(cells)} |"


def _run(command: str, client: str, environment: Mapping[str, str], folder: Path) -> None:
    subprocess.run(
        [COMMAND, command, client],
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def _reached(tooling: Tooling, environment: Mapping[str, str], folder: Path) -> bool:
    text = tooling.ask(tooling, environment, folder)
    return re.search(tooling.reached, text, re.MULTILINE) is not None


@contextmanager
def _broken(client: str, environment: Environment) -> Iterator[None]:
    """While it lasts the client's entry names a program that ends at once."""
    files = [file for file in find_client(client).files(environment, "user") if file.exists()]
    (file,) = files
    text = file.read_text("utf-8")
    file.write_text(text.replace(COMMAND, "/bin/false"), "utf-8")
    yield
    changed = file.read_text("utf-8")  # clients keep notes in there
    file.write_text(changed.replace("/bin/false", COMMAND), "utf-8")


def said(command: list[str], environment: Mapping[str, str], folder: Path) -> str:
    """All that a program prints, without colours."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
    )
    return ESCAPES.sub("", done.stdout.decode("utf-8", "replace"))


if __name__ == "__main__":
    main()
