"""Coverage-guided fuzzing of all that reads strangers' skills.

    python -m tests.benchmarks.fuzz [--minutes 15] [--corpus FOLDER] [--target NAME ...]

Needs `pip install atheris` (libFuzzer for Python; its wheels are for Linux and CPython 3.11 to
3.13). Each target runs in a process of its own for its share of the minutes, over inputs that it
mutates towards code not reached yet; those that reached new code are kept in the corpus, where the
next run goes on. An input counts as a bug if it raises anything, breaks one of the promises that
the target asserts, or takes `HANG_SECONDS` or more; it is left in the corpus's folder, named
on stderr, and is run again by

    python -m tests.benchmarks.fuzz --target NAME --input FILE

Prints a table of executions, inputs kept and bugs; and for each module how many of the lines in its
functions the corpora of the targets reach together.
"""

from __future__ import annotations

import argparse
import inspect
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.benchmarks.fuzz_targets import TARGETS, Target

CORPUS = Path.home() / ".cache" / "skillrouter-fuzz"
HANG_SECONDS = 5  # of processor time for one input, however busy others keep the machine
ENDLESS_SECONDS = 300  # by the clock
LONGEST_INPUT = 4_096  # bytes; what they say may be repeated to make a long text
MEMORY_MB = 2_048
SEEDS = Path(__file__).parents[1] / "skills"
READERS = (
    "skillrouter_mcp.skills.front_matter",
    "skillrouter_mcp.skills.reader",
    "skillrouter_mcp.skills.safe_yaml",
    "skillrouter_mcp.skills.sanitise",
    "skillrouter_mcp.skills.walk",
    "skillrouter_mcp.health.steering",
    "skillrouter_mcp.index.passages",
)
"""Modules that strangers' text passes through, and whose branches guide the mutations."""


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Runs one target in this process, which ends with it."""
    try:
        atheris = import_module("atheris")
    except ImportError:
        sys.exit("atheris is missing: pip install atheris")
    with atheris.instrument_imports(include=[*READERS, "yaml"]):
        for module in READERS:
            import_module(module)
        target = TARGETS[name]()
    atheris.Setup(
        [
            sys.argv[0],
            str(corpus / name),
            str(SEEDS),
            f"-artifact_prefix={corpus / name}-",
            f"-max_total_time={seconds}",
            f"-timeout={ENDLESS_SECONDS}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-max_len={LONGEST_INPUT}",
            "-print_final_stats=1",
        ],
        in_time(target),
    )
    atheris.Fuzz()


def in_time(target: Target) -> Target:
    """The target, which also promises not to hang."""

    def run(data: bytes) -> None:
        began = time.process_time()
        target(data)
        seconds = time.process_time() - began
        assert seconds < HANG_SECONDS, f"took {seconds:.1f} s"

    return run


def main() -> None:
    usage, _, text = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.fuzz",
        description=usage,
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=15.0, help="for all targets together")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="inputs kept between runs")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="repeatable")
    parser.add_argument("--input", type=Path, help="run the targets on this input alone")
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)  # in a target's own process
    options = parser.parse_args()
    chosen = options.target or list(TARGETS)
    if options.input is not None:
        for name in chosen:
            TARGETS[name]()(options.input.read_bytes())
        return
    if options.seconds is not None:
        fuzz(chosen[0], options.corpus, options.seconds)
        return
    print("| target | executions | inputs kept | bugs |")
    print("|---|---|---|---|")
    failed = False
    for name in chosen:
        failed |= _run(name, options.corpus, int(60 * options.minutes / len(chosen)))
    print("\n| module | lines reached |")
    print("|---|---|")
    for module, reached, lines in coverage(options.corpus, chosen):
        print(f"| {module} | {reached} of {lines} |")
    sys.exit(int(failed))


def _run(name: str, corpus: Path, seconds: int) -> bool:
    """Fuzzes one target in a process of its own, prints its row; whether it found a bug."""
    (corpus / name).mkdir(parents=True, exist_ok=True)
    log = corpus / f"{name}.log"
    command = [sys.executable, "-m", "tests.benchmarks.fuzz", "--target", name]
    with log.open("wb") as file:
        status = subprocess.run(
            [*command, "--corpus", str(corpus), "--seconds", str(seconds)], stderr=file, stdout=file
        ).returncode
    said = log.read_text(encoding="utf-8", errors="replace")
    runs = _last(r"stat::number_of_executed_units: (\d+)", said) or _last(r"^#(\d+)", said)
    kept = sum(1 for _ in (corpus / name).iterdir())
    print(f"| {name} | {runs:,} | {kept:,} | {int(status != 0)} |", flush=True)
    if status:
        print("\n".join(said.splitlines()[-40:]), file=sys.stderr)
    return bool(status)


def coverage(corpus: Path, targets: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Of each of the readers: how many lines of its functions the corpus reaches, of how many."""
    files = {str(import_module(module).__file__): module for module in READERS}
    reached: dict[str, set[int]] = defaultdict(set)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if file not in files:
            return None
        if event == "line":
            reached[file].add(frame.f_lineno)
        return trace

    sys.settrace(trace)
    try:
        for name in targets:
            target = TARGETS[name]()
            for kept in sorted((corpus / name).iterdir()):
                target(kept.read_bytes())
    finally:
        sys.settrace(None)
    for file, module in files.items():
        source = Path(file).read_text(encoding="utf-8")
        lines = set(_lines(compile(source, file, "exec")))
        yield module, len(lines & reached[file]), len(lines)


def _lines(code: CodeType) -> Iterator[int]:
    """The lines of the functions in a module, without those that define them."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _lines(inner)
            if inner.co_flags & inspect.CO_OPTIMIZED:
                yield from {line for *_, line in inner.co_lines() if line} - {inner.co_firstlineno}


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text, re.MULTILINE)
    return int(found[-1]) if found else 0


if __name__ == "__main__":
    main()
