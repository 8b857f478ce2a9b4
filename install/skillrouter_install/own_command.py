"""A client's own command for adding a server, tried on a copy before it is run.

Such commands rewrite the whole file in a layout of their own, and some drop comments. The command
is used where its result on a copy is what was planned to the byte; else the file is edited.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from skillrouter_install.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from skillrouter_install.environment import Environment

Scope = Literal["user", "project"]

_SECONDS = 30


@dataclass(frozen=True, slots=True)
class OwnCommand:
    """How a client adds and removes a server itself.

    `add` makes arguments from the server's name, its entry and the scope; `remove` from name and
    scope, None where the client has no command for it. The client keeps its user file at
    `user_file` below the folder that `home_variable`, or the option `home_option`, names.
    `help_names` are options that its `--help` must name, for clients whose older versions open a
    window on an option that they don't know.
    """

    program: str
    add: Callable[[str, Mapping[str, Any], Scope], list[str]]
    remove: Callable[[str, Scope], list[str]] | None
    user_file: str
    home_variable: str | None = None
    home_option: str | None = None
    scopes: tuple[Scope, ...] = ("user", "project")
    help_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnRun:
    """The command ready to run in a folder."""

    argv: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str]

    def __str__(self) -> str:
        return shlex.join((Path(self.argv[0]).stem, *self.argv[1:]))

    def run(self) -> None:
        """Run it to its end.

        Raises:
            InstallError: it failed or took too long; the text has its last words.
        """
        try:
            code, output = _run(self.argv, self.folder, self.variables)
        except OSError as error:
            raise InstallError(f"`{self}` cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise InstallError(f"`{self}` did not end within {_SECONDS} seconds") from None
        if code:
            words = " ".join(output.split())[-200:]
            raise InstallError(f"`{self}` failed: {words or f'exit status {code}'}")


def prepare(own: OwnCommand, arguments: Sequence[str], environment: Environment) -> OwnRun | None:
    """The command as this user would type it, None where the client's program is not here."""
    program = environment.program(own.program)
    if program is None or program.suffix.lower() in (".cmd", ".bat"):
        # A batch file hands its arguments to a shell that takes the quotes out of JSON.
        return None
    home = str(environment.home)
    variables = {**environment.variables, "HOME": home, "USERPROFILE": home}
    return OwnRun((str(program), *arguments), environment.project, variables)


def rehearse(
    own: OwnCommand, run: OwnRun, *, scope: Scope, project_file: str | None, content: str | None
) -> str | None:
    """What the command makes of a copy of the file; None where it makes no file.

    Raises:
        InstallError: the command fails, or this version of the client cannot work on a copy.
    """
    with tempfile.TemporaryDirectory(prefix="skillrouter-") as folder:
        home, project = Path(folder, "home"), Path(folder, "project")
        home.mkdir()
        project.mkdir()
        in_project = scope == "project" and project_file is not None
        copy = project / str(project_file) if in_project else home / own.user_file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            copy.write_bytes(content.encode("utf-8"))
        variables = dict(run.variables)
        if own.home_variable:
            variables[own.home_variable] = str(home)
        options = (own.home_option, str(home)) if own.home_option else ()
        if own.help_names:
            _, text = _run((run.argv[0], "--help"), project, variables)
            if not all(name in text for name in own.help_names):
                raise InstallError(f"this version of `{own.program}` has no command for it")
        OwnRun((run.argv[0], *options, *run.argv[1:]), project, variables).run()
        return copy.read_bytes().decode("utf-8", "replace") if copy.exists() else None


def _run(argv: Sequence[str], folder: Path, variables: Mapping[str, str]) -> tuple[int, str]:
    """Exit status and output; on a time-out the command and its children are ended."""
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_SECONDS)
    except BaseException:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, output.decode("utf-8", "replace")
