"""The command line: results on stdout, all else on stderr; exits 0, 1 (a problem), 2 (usage)."""

from __future__ import annotations

import errno
import json
import logging
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

_FIND_PATIENCE_SECONDS = 30.0  # of embedding before `find` answers from what is there
_INTERRUPTED = 128 + signal.SIGINT  # the status that shells give to what Ctrl-C ended

_root_option = click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of skills to look at instead of the configured ones; may be repeated.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _plain_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turns what a user can act on into a sentence and exit status 1."""

    @wraps(command)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        from skillrouter_gguf import ModelError
        from skillrouter_mcp.errors import SkillRouterError

        try:
            return command(*args, **kwargs)
        except (SkillRouterError, ModelError) as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno == errno.EPIPE:  # who read stdout has had enough
                raise
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("\ninterrupted; what was embedded so far is kept", err=True)
            sys.exit(_INTERRUPTED)

    return wrapper


def _settings(**flags: Any) -> Settings:
    from skillrouter_mcp.settings import SettingsError, load_settings

    try:
        return load_settings(**flags)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="skillrouter-mcp")
@click.pass_context
def main(context: click.Context) -> None:
    """Finds the right agent skill for a task by reading whole skills, on your own machine.

    Without a command it serves MCP over stdin and stdout, which is what clients start.
    """
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="skillrouter-mcp: %(message)s")
    if context.invoked_subcommand is None:
        context.invoke(serve)


@main.command()
@click.option("--http", is_flag=True, help="Serve many clients over HTTP instead.")
@click.option("--host", metavar="ADDRESS", help="With --http: where to listen. [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="With --http: the port. [8765]")
@click.option(
    "--token",
    envvar="SKILLROUTER_HTTP_TOKEN",
    help="With --http: bearer token that clients must present; needed beyond loopback. "
    "Better given as SKILLROUTER_HTTP_TOKEN, which other users of the machine can't see.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="With --http: name by which clients call this machine; may be repeated.",
)
@_plain_errors
def serve(
    http: bool, host: str | None, port: int | None, token: str | None, names: tuple[str, ...]
) -> None:
    """Serve MCP over stdin and stdout, or over HTTP."""
    if http:
        from skillrouter_mcp.protocol import http as over_http

        address = over_http.Address(
            host or over_http.DEFAULT_HOST,
            over_http.DEFAULT_PORT if port is None else port,
            token or "",
            names,
        )
        try:
            over_http.serve_http(_settings(), address)
        except over_http.AddressError as error:
            raise click.UsageError(str(error)) from None
        return
    if host is not None or port is not None or names:
        raise click.UsageError("--host, --port and --allow-host go with --http")
    from skillrouter_mcp.protocol.server import serve as serve_stdio

    # Waiting for input, the server would not notice what Python makes of Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdin.isatty():
        click.echo(
            "skillrouter-mcp speaks MCP on stdin and stdout; a client starts it. "
            "Try `skillrouter-mcp find` or `skillrouter-mcp --help`; Ctrl-C ends.",
            err=True,
        )
    serve_stdio()


@main.command()
@click.argument("query")
@click.option(
    "--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="Matches at most."
)
@click.option("--explain", is_flag=True, help="Show what each part contributed to each match.")
@_root_option
@_json_option
@_plain_errors
def find(query: str, limit: int, explain: bool, roots: tuple[Path, ...], as_json: bool) -> None:
    """Find the skills that fit QUERY ("-" reads it from stdin)."""
    from skillrouter_mcp.console import index_progress, print_answer
    from skillrouter_mcp.routing.router import Router

    if query == "-":
        query = sys.stdin.buffer.read().decode(errors="replace")
    query = _without_surrogates(query)
    if not query.strip():
        raise click.UsageError("QUERY is empty; say what you want to do.")
    with Router.open(_settings(roots=roots), keep=False) as router:
        with index_progress() as progress:
            router.bring_in_step(progress, patience=_FIND_PATIENCE_SECONDS)
        print_answer(router.find(query, limit), explain=explain, as_json=as_json)


def _without_surrogates(argument: str) -> str:
    """What the shell passed, with the bytes that are no UTF-8 replaced."""
    return argument.encode(errors="surrogateescape").decode(errors="replace")


@main.command()
@click.option("--rebuild", is_flag=True, help="Forget everything and read and embed it anew.")
@_root_option
@_json_option
@_plain_errors
def index(rebuild: bool, roots: tuple[Path, ...], as_json: bool) -> None:
    """Bring the index in step with the folders."""
    from skillrouter_mcp.console import index_progress, print_index
    from skillrouter_mcp.routing.router import Router

    with Router.open(_settings(roots=roots), keep=False) as router:
        with index_progress() as progress:
            report = router.bring_in_step(progress, rebuild=rebuild)
        print_index(router.library, report, as_json=as_json)


@main.command("eval")
@click.argument("queries", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--skills",
    "pool",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="POOL",
    help="A .jsonl or .jsonl.gz of skills, or a folder of them.",
)
@click.option(
    "--run",
    "run_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the 50 best skills of each request to this file.",
)
@click.option("--profile", help="Profile to evaluate instead of the configured one.")
@_json_option
@_plain_errors
def evaluate(
    queries: Path, pool: Path, run_file: Path | None, profile: str | None, as_json: bool
) -> None:
    """Score the router on the labelled requests of QUERIES (JSON lines)."""
    from skillrouter_mcp.console import index_progress, print_evaluation
    from skillrouter_mcp.evaluation.evaluate import evaluate_router

    if run_file is not None and not run_file.parent.is_dir():
        raise click.UsageError(f"--run: there is no folder {run_file.parent}")
    with index_progress() as progress:
        evaluation = evaluate_router(queries, pool, _settings(profile=profile), progress)
    if run_file is not None:
        run_file.write_text(json.dumps(evaluation.run, indent=1) + "\n", encoding="utf-8")
    print_evaluation(evaluation, as_json=as_json)


@main.group()
def models() -> None:
    """The models that skills and requests can be embedded with."""


@models.command("list")
@_json_option
@_plain_errors
def list_models(as_json: bool) -> None:
    """List models and profiles."""
    from skillrouter_mcp.console import print_models

    print_models(_settings().profile, as_json=as_json)


@main.command()
@_root_option
@_json_option
@_plain_errors
def doctor(roots: tuple[Path, ...], as_json: bool) -> None:
    """Check the installation; exit with 1 if something is broken."""
    from skillrouter_mcp.console import print_findings
    from skillrouter_mcp.health.doctor import examine

    findings = examine(_settings(roots=roots))
    sys.exit(print_findings(findings, as_json=as_json))


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL; source it in your shell's start-up file."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(main, {}, "skillrouter-mcp", "_SKILLROUTER_MCP_COMPLETE").source())
