"""Has others judge the server: the MCP Inspector's command line and the MCP conformance suite.

    python -m tests.benchmarks.conformance [--npm FOLDER]

Both come from npm into a temporary folder, or into that of `--npm`, where they stay. Of the suite
run the scenarios for what the server declares; the others call example tools, prompts and resources
that only a server made for the suite has.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.http_server import SKILLS, served
from tests.benchmarks.wire import COMMAND

INSPECTOR = "@modelcontextprotocol/inspector"
SUITE = "@modelcontextprotocol/conformance"
# Before 0.2 the suite knows neither the Skills extension nor the protocol of 2026.
PACKAGES = (f"{INSPECTOR}@2.12.0", f"{SUITE}@0.2.0-alpha.12", "node@22")
INSTALL_SECONDS = 600
PATIENCE = 120

SKILL_SCENARIOS = (
    "sep-2640-skills-enumeration",
    "sep-2640-skills-manifest",
    "sep-2640-skills-directory",
)
SCENARIOS = {
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "tools-list",
        "resources-list",
        "dns-rebinding-protection",
        "server-sse-multiple-streams",
        *SKILL_SCENARIOS,
    ),
    "2026-07-28": (
        "server-stateless",
        "tools-list",
        "resources-list",
        "sep-2164-resource-not-found",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
        "server-sse-multiple-streams",
        *SKILL_SCENARIOS,
    ),
}
# They call a tool of the suite's own, `test_missing_capability`.
NOT_TESTABLE = {
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--npm", type=Path, help="folder in which the npm packages stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        tools = (arguments.npm or scratch / "npm").resolve()
        if problem := _install(tools):
            print(f"skipped: {problem}")
            return
        home = scratch / "home"
        with served(SKILLS, home) as url:
            lines = [*_inspect(tools, url, home), *_judge(tools, url, scratch / "results")]
    failed = sum(line.startswith("FAILED") for line in lines)
    print(f"{len(lines) - failed} of {len(lines)} passed")
    sys.exit(bool(failed))


def _install(tools: Path) -> str:
    """Why npm can't install the packages there, empty if they are."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    tools.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "install", "--prefix", str(tools), "--no-audit", "--no-fund", *PACKAGES],
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    return f"npm can't install {', '.join(PACKAGES)}: {done.stderr}" if done.returncode else ""


def _node(tools: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a package's script with the node of these tools, and nothing of the user's settings."""
    modules = tools / "node_modules"
    return subprocess.run(
        [str(modules / ".bin" / "node"), str(modules / script), *arguments],
        env={**os.environ, "HOME": str(tools), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _inspect(tools: Path, url: str, home: Path) -> Iterator[str]:
    """A line for each thing that the Inspector does, over stdio and HTTP, in both protocols."""
    stdio = [COMMAND, "-e", f"SKILLROUTER_HOME={home}", "-e", f"SKILLROUTER_ROOTS={SKILLS}"]
    for way, target in (("stdio", stdio), ("http", [url])):
        for era in ("legacy", "modern"):

            def ask(
                method: str,
                *more: str,
                target: list[str] = target,
                era: str = era,
            ) -> subprocess.CompletedProcess[str]:
                options = ["--protocol-era", era, "--format", "json", "--method", method, *more]
                script = f"{INSPECTOR}/clients/launcher/build/index.js"
                return _node(tools, script, "--cli", *target, *options)

            found = ask(
                "tools/call", "--tool-name", "find_skill", "--tool-arg", "query=triage access logs"
            )
            uri = "skill://none/none/SKILL.md"
            if not found.returncode:
                matches = json.loads(found.stdout)["result"]["structuredContent"]["matches"]
                uri = matches[0]["uri"]
            folder = uri.rpartition("/")[0]
            for what, done in (
                ("tools/list, strict", ask("tools/list", "--strict")),
                ("tools/call find_skill", found),
                ("skills/list, all digests verified", ask("skills/list", "--verify")),
                ("skills/get of what was found", ask("skills/get", "--uri", uri, "--verify")),
                ("resources/read of it", ask("resources/read", "--uri", uri)),
                ("resources/directory/read", ask("resources/directory/read", "--uri", folder)),
            ):
                yield _line(not done.returncode, f"Inspector, {way}, {era}: {what}", done.stderr)


def _judge(tools: Path, url: str, results: Path) -> Iterator[str]:
    """A line for each scenario of the suite."""
    for revision, scenarios in SCENARIOS.items():
        for scenario in scenarios:
            folder = results / revision / scenario
            options = ["--url", url, "--scenario", scenario, "--spec-version", revision]
            done = _node(
                tools, f"{SUITE}/dist/index.js", "server", *options, "--force", "-o", str(folder)
            )
            checks: list[dict[str, Any]] = [
                check
                for file in folder.rglob("checks.json")
                for check in json.loads(file.read_text(encoding="utf-8"))
            ]
            counts = Counter(_status(check) for check in checks)
            told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
            failures = [
                f"{check['id']}: {check.get('errorMessage', check['description'])}"
                for check in checks
                if _status(check) == "failure"
            ]
            passed = bool(counts["success"]) and not failures
            why = "\n".join(failures) or done.stderr
            yield _line(passed, f"suite, {revision}: {scenario}: {told}", why)


def _status(check: dict[str, Any]) -> str:
    untestable = check["id"] in NOT_TESTABLE or check.get("details", {}).get("untestable")
    return "not testable" if untestable else str(check["status"]).lower()


def _line(passed: bool, what: str, why: str) -> str:
    line = f"passed  {what}" if passed else f"FAILED  {what}\n{why.strip()[-2_000:]}"
    print(line, flush=True)
    return line


if __name__ == "__main__":
    main()
