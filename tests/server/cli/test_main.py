from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import pytest

from skillrouter_mcp.cli import main

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(_commands(main)), ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(run: Run, path: tuple[str, ...], option: str) -> None:
    shown = run(*path, option).stdout
    assert shown.startswith(" ".join(["Usage: skillrouter-mcp", *path]))
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_version(run: Run) -> None:
    assert re.search(r"\d+\.\d+\.\d+", run("--version").stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_knows_the_commands(run: Run, shell: str) -> None:
    script = run("completion", shell).stdout
    variable = "_SKILLROUTER_MCP_COMPLETE"
    assert f"{variable}={shell}_complete" in script
    words = {"COMP_WORDS": "skillrouter-mcp fi", "COMP_CWORD": "fi" if shell == "fish" else "1"}
    offered = run(env={variable: f"{shell}_complete", **words}).stdout
    assert "find" in offered
