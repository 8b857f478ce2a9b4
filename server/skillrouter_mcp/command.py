"""What commands share: settings, errors in plain words, and options that several take."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from skillrouter_mcp.settings import Settings

_P = ParamSpec("_P")
_R = TypeVar("_R")

_LINE_CHARACTERS = 10_000
_INTERRUPTED = 128 + signal.SIGINT  # the status that shells give to what Ctrl-C ended

root_option = click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of skills to look at instead of the configured ones; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def plain_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turns what a user can act on into a sentence and exit status 1, or 2 for a bad setting."""

    @wraps(command)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        from skillrouter_gguf import ModelError
        from skillrouter_mcp.errors import SkillRouterError

        try:
            return command(*args, **kwargs)
        except (SkillRouterError, ModelError) as error:
            from skillrouter_mcp.settings import SettingsError  # heavy, and most commands go well

            bad_usage = isinstance(error, SettingsError)
            told = click.UsageError if bad_usage else click.ClickException
            raise told(_plain(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read stdout has had enough
                raise
            raise click.ClickException(_plain(error)) from None
        except KeyboardInterrupt:
            click.echo("\ninterrupted; what was done so far is kept", err=True)
            sys.exit(_INTERRUPTED)

    return wrapper


def _plain(error: Exception) -> str:
    """What an error says, without control characters: it may quote a file or a server."""
    from skillrouter_mcp.skills import printable

    return "\n".join(printable(line, _LINE_CHARACTERS) for line in str(error).split("\n"))


def settings_of(**flags: Any) -> Settings:
    """The settings in force. Raises SettingsError."""
    from skillrouter_mcp.settings import load_settings

    return load_settings(**flags)
