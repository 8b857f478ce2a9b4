"""What the command line prints: results to stdout, progress to stderr."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from skillrouter_mcp.skills import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tqdm import tqdm

    from skillrouter_mcp.evaluation.evaluate import Evaluation
    from skillrouter_mcp.health.doctor import Finding
    from skillrouter_mcp.index.account import Account
    from skillrouter_mcp.index.synchroniser import Changes
    from skillrouter_mcp.routing.answer import Answer

_PATH_CHARACTERS = 4_096
_GROUP_CHARACTERS = 40
_TEXT_CHARACTERS = 10_000
_LINE_EVERY_SECONDS = 5.0
_SHOWN_PROBLEMS = 20


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


class ConsoleProgress:
    """How far the index is, on stderr: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._next_line = 0.0

    def reading(self, done: int, total: int) -> None:
        self.checking("reading", done, total, "skills")

    def embedding(self, done: int, total: int) -> None:
        self.checking("embedding", done, total, "skills")

    def checking(self, what: str, done: int, total: int, unit: str) -> None:
        if sys.stderr.isatty():
            self._show_bar(what, done, total, unit)
        else:
            self._show_line(what, done, total, unit)

    def _show_bar(self, what: str, done: int, total: int, unit: str) -> None:
        from tqdm import tqdm

        if self._bar is None or self._bar.desc != f"{what}: ":
            self.close()
            size = shutil.get_terminal_size()  # never 0, which some terminals say that they have
            self._bar = tqdm(
                desc=what,
                total=total,
                unit=f" {unit}",
                file=sys.stderr,
                ncols=size.columns,
                nrows=size.lines,
            )
        self._bar.update(done - self._bar.n)
        if done == total:
            self.close()

    def _show_line(self, what: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if now >= self._next_line or done == total:
            click.echo(f"{what} {done} of {total} {unit}", err=True)
            self._next_line = now + _LINE_EVERY_SECONDS

    def close(self) -> None:
        """Ends the bar's line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> ConsoleProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def index_progress() -> ConsoleProgress:
    """Progress for whoever sits before the terminal, or reads the log."""
    return ConsoleProgress()


def print_answer(answer: Answer, *, explain: bool, as_json: bool) -> None:
    """What `find` found; on a terminal or in a pipe the same."""
    from skillrouter_mcp.protocol.answer import result_of, text_of

    if as_json:
        result = result_of(answer).model_dump(mode="json")
        if explain:
            for match, shown in zip(answer.matches, result["matches"], strict=True):
                shown["parts"] = {name: round(part, 4) for name, part in match.parts.items()}
            if answer.candidates:
                result["reranker"] = {
                    "candidates": answer.candidates,
                    "read": answer.read,
                    "unread_because": answer.unread_because,
                }
        print_json(result)
        return
    if not explain:
        click.echo(text_of(answer))
        return
    click.echo(f"{answer.verdict}, {answer.skills} skills, {answer.pending} pending")
    if answer.candidates:
        why = printable(answer.unread_because, _TEXT_CHARACTERS)
        told = f"the reranker has read {answer.read} of {answer.candidates} candidates"
        click.echo(f"{told}: {why}" if why else told)
    for match in answer.matches:
        click.echo(f"{match.score:.2f} {match.name}  {printable(match.path, _PATH_CHARACTERS)}")
        for name, part in match.parts.items():
            click.echo(f"     {part:+8.3f} {name}")


def print_passed_over(account: Account) -> None:
    """A line on stderr if something was not loaded: the first such thing, and how many more."""
    passed_over = account.problems
    if not passed_over:
        return
    first = passed_over[0]
    more = f" (and {len(passed_over) - 1} more: skillrouter-mcp index)" if passed_over[1:] else ""
    click.echo(
        f"not loaded: {printable(first.path, _PATH_CHARACTERS)}: {first.reason}{more}", err=True
    )


def print_index(account: Account, changes: Changes | None, *, as_json: bool) -> None:
    """What `index` did, and what stands in the index now."""
    if as_json:
        print_json(
            {
                "skills": account.skills,
                "pending": account.pending,
                "read": changes.read if changes else 0,
                "removed": changes.removed if changes else 0,
                "problems": [remark._asdict() for remark in account.problems],
                "warnings": [remark._asdict() for remark in account.warnings],
            }
        )
        return
    if changes is not None:
        click.echo(f"{changes.read} files read, {changes.removed} gone")
    click.echo(f"{account.skills} skills can be found, {account.pending} not embedded yet")
    for title, listed in (
        ("could not be loaded", account.problems),
        ("loaded with a warning", account.warnings),
    ):
        if listed:
            click.echo(f"{len(listed)} {title}:")
        for item in listed[:_SHOWN_PROBLEMS]:
            click.echo(f"  {printable(item.path, _PATH_CHARACTERS)}: {item.reason}")
        if len(listed) > _SHOWN_PROBLEMS:
            click.echo(f"  and {len(listed) - _SHOWN_PROBLEMS} more (--json lists all)")


def print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    """The figures of `eval`."""
    report = evaluation.report
    if as_json:
        print_json(report)
        return
    from skillrouter_mcp.evaluation.metrics import MEASURES

    click.echo(f"{'':12}{'n':>6}" + "".join(f"{name:>18}" for name in MEASURES))
    for name, row in {**report["groups"], "all": report}.items():
        figures = "".join(f"{100 * row[measure]:>17.1f}%" for measure in MEASURES)
        click.echo(f"{printable(name, _GROUP_CHARACTERS):12}{row['n']:>6}{figures}")
    latency, index = report["latency_ms"], report["index"]
    click.echo(
        f"{index['skills']} skills, in step after {index['seconds']} s; a request takes "
        f"{latency['p50']} ms (p95 {latency['p95']} ms); profile {report['profile']}"
    )
    if reranker := report.get("reranker"):
        click.echo(
            f"the reranker has read {reranker['read']} of {reranker['candidates']} candidates of a "
            "request on average (SKILLROUTER_BUDGET_MS, SKILLROUTER_CANDIDATES)"
        )


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> int:
    """What the doctor found; the exit status that says whether something is broken."""
    from skillrouter_mcp.health.report import report

    if as_json:
        print_json([finding.model_dump(mode="json") for finding in findings])
    else:
        for line in report(findings):
            click.echo(printable(line, _TEXT_CHARACTERS))
    return int(any(finding.status == "broken" for finding in findings))
