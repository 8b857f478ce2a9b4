"""The command line: results on stdout, all else on stderr; exits 0, 1 (a problem), 2 (usage)."""

from __future__ import annotations

import gc
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skillrouter_mcp.client_names import ClientName
from skillrouter_mcp.command import json_option, plain_errors, root_option, settings_of
from skillrouter_mcp.logs import log_to_stderr
from skillrouter_mcp.model_commands import models

if TYPE_CHECKING:
    from skillrouter_install import Client, Scope
    from skillrouter_mcp.client_skills import Way
    from skillrouter_mcp.index.account import Account
    from skillrouter_mcp.index.synchroniser import Changes
    from skillrouter_mcp.routing.answer import Answer
    from skillrouter_mcp.routing.router import Router
    from skillrouter_mcp.settings import Settings
    from skillrouter_mcp.sharing.remote import RemoteRouter

_FIND_PATIENCE_SECONDS = 30.0  # of embedding before `find` answers from what is there

_clients_argument = click.argument("clients", nargs=-1, type=ClientName(), metavar="[CLIENT]...")
_scope_option = click.option(
    "--scope",
    type=click.Choice(["user", "project"]),
    default="user",
    show_default=True,
    help="Your own configuration, or that of the project in the current folder.",
)
_dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be changed, as a diff; change nothing."
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="skillrouter-mcp")
@click.pass_context
def main(context: click.Context) -> None:
    """Finds the right agent skill for a task by reading whole skills, on your own machine.

    Without a command it serves MCP over stdin and stdout, which is what clients start.
    """
    log_to_stderr("skillrouter-mcp: %(message)s")
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
@plain_errors
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
            over_http.serve_http(settings_of(), address)
        except over_http.AddressError as error:
            raise click.UsageError(str(error)) from None
        return
    if host is not None or port is not None or names:
        raise click.UsageError("--host, --port and --allow-host go with --http")
    gc.disable()  # what the imports make stays for good, and is many objects to look at
    from skillrouter_mcp.sharing.spawning import start_ahead

    spawner = start_ahead()  # it loads beside the SDK, which takes as long
    from skillrouter_mcp.protocol.server import serve as serve_stdio

    gc.freeze()
    gc.enable()
    # Waiting for input, the server would not notice what Python makes of Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdin.isatty():
        click.echo(
            "skillrouter-mcp speaks MCP on stdin and stdout; a client starts it. "
            "Try `skillrouter-mcp find` or `skillrouter-mcp --help`; Ctrl-C ends.",
            err=True,
        )
    serve_stdio(spawner)


@main.command()
@click.argument("query")
@click.option(
    "--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="Matches at most."
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show what each part contributed to each candidate, also to those that do not fit.",
)
@root_option
@json_option
@plain_errors
def find(query: str, limit: int, explain: bool, roots: tuple[Path, ...], as_json: bool) -> None:
    """Find the skills that fit QUERY ("-" reads it from stdin)."""
    from skillrouter_mcp.console import index_progress, print_answer, print_passed_over
    from skillrouter_mcp.sharing.remote import ask_owner_or_open

    if query == "-":
        query = sys.stdin.buffer.read().decode(errors="replace")
    query = _without_surrogates(query)
    if not query.strip():
        raise click.UsageError("QUERY is empty; say what you want to do.")

    def ask(finder: Router | RemoteRouter) -> tuple[Answer, Account]:
        with index_progress() as progress:
            finder.bring_in_step(progress, patience=_FIND_PATIENCE_SECONDS)
        answer = finder.rank(query, limit) if explain else finder.find(query, limit)
        return answer, finder.account()

    answer, account = ask_owner_or_open(settings_of(roots=roots), ask, _best_router)
    print_passed_over(account)
    print_answer(answer, explain=explain, as_json=as_json)


def _best_router(settings: Settings) -> Router:
    from skillrouter_mcp.routing.succession import open_best

    router = open_best(settings)
    if router.profile != settings.profile:
        click.echo(
            f"The skills are not embedded for profile {settings.profile} yet (`skillrouter-mcp "
            f"index` does so); profile {router.profile} answers.",
            err=True,
        )
    return router


def _own_router(settings: Settings) -> Router:
    from skillrouter_mcp.routing.router import Router

    return Router.open(settings, keep=False)


def _without_surrogates(argument: str) -> str:
    """What the shell passed, with the bytes that are no UTF-8 replaced."""
    return argument.encode(errors="surrogateescape").decode(errors="replace")


@main.command()
@click.option("--rebuild", is_flag=True, help="Forget everything and read and embed it anew.")
@root_option
@json_option
@plain_errors
def index(rebuild: bool, roots: tuple[Path, ...], as_json: bool) -> None:
    """Bring the index in step with the folders."""
    from skillrouter_mcp.console import index_progress, print_index
    from skillrouter_mcp.sharing.remote import ask_owner_or_open

    def ask(finder: Router | RemoteRouter) -> tuple[Changes | None, Account]:
        with index_progress() as progress:
            changes = finder.bring_in_step(progress, rebuild=rebuild)
        return changes, finder.account()

    changes, account = ask_owner_or_open(settings_of(roots=roots), ask, _own_router)
    print_index(account, changes, as_json=as_json)


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
@json_option
@plain_errors
def evaluate(
    queries: Path, pool: Path, run_file: Path | None, profile: str | None, as_json: bool
) -> None:
    """Score the router on the labelled requests of QUERIES (JSON lines)."""
    from skillrouter_mcp.console import index_progress, print_evaluation
    from skillrouter_mcp.evaluation.evaluate import evaluate_router

    if run_file is not None and not run_file.parent.is_dir():
        raise click.UsageError(f"--run: there is no folder {run_file.parent}")
    with index_progress() as progress:
        evaluation = evaluate_router(queries, pool, settings_of(profile=profile), progress)
    if run_file is not None:
        run_file.write_text(json.dumps(evaluation.run, indent=1) + "\n", encoding="utf-8")
    print_evaluation(evaluation, as_json=as_json)


main.add_command(models)


@main.command()
@click.option("--fix", is_flag=True, help="Mend what is safe to mend, then check again.")
@root_option
@json_option
@plain_errors
def doctor(fix: bool, roots: tuple[Path, ...], as_json: bool) -> None:
    """Check the installation, the skills and the clients; exit with 1 if something is broken.

    --fix makes or renews the index, and has clients start this installation whose command is gone.
    It changes no skill.
    """
    from skillrouter_mcp.console import index_progress, print_findings
    from skillrouter_mcp.health.doctor import examine, mend

    settings = settings_of(roots=roots)
    with index_progress() as progress:
        findings = examine(settings, progress=progress)
        if fix and (done := mend(findings)):
            for sentence in done:
                click.echo(sentence, err=True)
            findings = examine(settings, progress=progress)
    sys.exit(print_findings(findings, as_json=as_json))


@main.command()
@_clients_argument
@click.option("--all", "every", is_flag=True, help="All clients found here, without questions.")
@_scope_option
@_dry_run_option
@click.option("--print", "only_print", is_flag=True, help="Print what to paste by hand instead.")
@click.option(
    "--always-load/--no-always-load",
    default=None,
    help="Claude Code: keep find_skill in view instead of behind its search for tools.",
)
@click.option(
    "--prompt-hook/--no-prompt-hook",
    default=None,
    help="Claude Code: ask find_skill with every prompt of yours.",
)
@click.option(
    "--adopt",
    type=click.Choice(["move", "name-only"]),
    help="Adopt the clients' own skills: see `skillrouter-mcp adopt --help`.",
)
@plain_errors
def install(
    clients: tuple[Client, ...],
    every: bool,
    scope: Scope,
    dry_run: bool,
    only_print: bool,
    always_load: bool | None,
    prompt_hook: bool | None,
    adopt: Way | None,
) -> None:
    """Add the server to each CLIENT: claude-code, codex, cursor, hermes and others.

    Without a name it looks which clients are on this machine and asks. Files are edited in place:
    comments, order and other servers' entries stay, and a backup is left beside each. A terminal
    is asked for the options that were not given; all of them are undone by `uninstall`.
    """
    from skillrouter_mcp import client_setup

    if clients and every:
        raise click.UsageError("name clients or give --all, not both")
    if adopt and (scope == "project" or only_print):
        raise click.UsageError("--adopt goes neither with --scope project nor with --print")
    ask = sys.stdin.isatty() and not (every or dry_run or only_print)
    choices = client_setup.Choices(scope, dry_run, always_load, prompt_hook, adopt, ask)
    chosen = clients or client_setup.clients_to_install(every, scope)
    do = client_setup.print_snippets if only_print else client_setup.install
    sys.exit(0 if do(chosen, settings_of(), choices) else 1)


@main.command()
@_clients_argument
@click.option("--all", "every", is_flag=True, help="All clients that have it, without questions.")
@_scope_option
@_dry_run_option
@plain_errors
def uninstall(clients: tuple[Client, ...], every: bool, scope: Scope, dry_run: bool) -> None:
    """Take the server out of each CLIENT, with all that `install` and `adopt` did.

    A file in which nothing else has changed since is byte for byte what it was before.
    """
    from skillrouter_mcp import client_setup

    if clients and every:
        raise click.UsageError("name clients or give --all, not both")
    settings = settings_of()
    chosen = clients or client_setup.clients_to_uninstall(every, scope, settings)
    choices = client_setup.Choices(scope, dry_run)
    sys.exit(0 if client_setup.uninstall(chosen, settings, choices) else 1)


@main.command()
@click.argument("clients", nargs=-1, required=True, type=ClientName(), metavar="CLIENT...")
@click.option(
    "--name-only",
    is_flag=True,
    help="Leave the skills in place and have them listed by their names alone (Claude Code).",
)
@click.option("--undo", is_flag=True, help="Bring the skills back to where they were.")
@click.option("--dry-run", is_flag=True, help="Show what would be moved; move nothing.")
@plain_errors
def adopt(clients: tuple[Client, ...], name_only: bool, undo: bool, dry_run: bool) -> None:
    """Move the skills in each CLIENT's own folder into the first root, ~/.skills by default.

    A client puts each skill of its own into every prompt; from there, find_skill finds it when it
    is needed. Nothing is overwritten: a skill whose name is taken stays. So do skills that the
    client looks after itself, plugins, and those of projects. `--undo` takes it back.
    """
    from skillrouter_mcp import client_skills

    if undo and name_only:
        raise click.UsageError("--undo takes back both ways; give it alone")
    if undo:
        sys.exit(0 if client_skills.give_back(clients, settings_of(), dry_run=dry_run) else 1)
    way: Way = "name-only" if name_only else "move"
    sys.exit(0 if client_skills.adopt(clients, settings_of(), way, dry_run=dry_run) else 1)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL; source it in your shell's start-up file."""
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    assert complete is not None
    click.echo(complete(main, {}, "skillrouter-mcp", "_SKILLROUTER_MCP_COMPLETE").source())
