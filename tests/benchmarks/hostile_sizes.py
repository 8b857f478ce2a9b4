"""Time and memory that libraries made to exhaust their reader take, each in a process of its own.

    python -m tests.benchmarks.hostile_sizes [--folders 100000] [--scratch FOLDER]

Makes each library in the scratch folder, walks it and reads every skill that was found, and prints
a row: what the walk found and told, the seconds of processor time that it took and that reading
took, and the memory of both on top of what the process had before. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.machine import describe, load

from skillrouter_mcp.skills import MAX_BYTES, Root, SkillError, read_skill, walk

BODY = "---\nname: a\ndescription: b\n---\nbody\n"
HUGE = 50 * 1024 * 1024
SKILLS = 20  # of those that are large, each


def write(folder: Path, text: str = BODY) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SKILL.md").write_text(text, encoding="utf-8")


def many_folders(root: Path, count: int) -> None:
    """One skill in each hundred folders, a hundred folders side by side."""
    for number in range(count):
        folder = root / f"{number // 10_000}" / f"{number // 100}" / f"{number}"
        folder.mkdir(parents=True)
        if number % 100 == 0:
            write(folder)


def one_wide_folder(root: Path, count: int) -> None:
    """All folders side by side, a skill in each."""
    for number in range(count):
        write(root / f"{number}")


def many_links(root: Path, count: int) -> None:
    """A tangle: each of the links leads to a folder full of links, or up."""
    for number in range(count // 100):
        folder = root / f"{number}"
        folder.mkdir()
        for link in range(99):
            (folder / f"{link}").symlink_to(root / f"{(number * 7 + link) % (count // 100)}")
        (folder / "up").symlink_to("..")
    write(root / "skill")


def huge_bodies(root: Path, _: int) -> None:
    """Bodies of 50 MB, written out."""
    for number in range(SKILLS):
        write(root / f"{number}", BODY + "x" * HUGE)


def repeated(unit: str) -> Callable[[Path, int], None]:
    """Skills of the largest size that is read, their body one text again and again."""

    def make(root: Path, _: int) -> None:
        text = BODY + unit * ((MAX_BYTES - len(BODY)) // len(unit.encode()))
        for number in range(SKILLS):
            write(root / f"{number}", text)

    return make


def front_matter(unit: str, before: str = "description: ", after: str = "") -> Callable[..., None]:
    """Skills with the longest front matter that is read."""

    def make(root: Path, _: int) -> None:
        inside = before + unit * ((65_000 - len(before + after)) // len(unit)) + after
        for number in range(SKILLS):
            write(root / f"{number}", f"---\nname: a\n{inside}\n---\nbody\n")

    return make


LIBRARIES: dict[str, Callable[[Path, int], None]] = {
    "folders, a skill in each hundredth": many_folders,
    "folders side by side, a skill in each": one_wide_folder,
    "links in a tangle": many_links,
    f"{SKILLS} bodies of 50 MB": huge_bodies,
    f"{SKILLS} bodies of 1 MiB, one word": repeated("x"),
    f"{SKILLS} bodies of 1 MiB, rules": repeated("---\n"),
    f"{SKILLS} descriptions of selectors and joiners": front_matter("\ufe0f\u200d"),
    f"{SKILLS} descriptions of combining marks": front_matter("\u0316\u0301"),
    f"{SKILLS} descriptions of escapes": front_matter(r"\x9d", 'description: "', '"'),
    f"{SKILLS} lists nested without end": front_matter("["),
    f"{SKILLS} lists of aliases": front_matter(
        "*a, ", 'b: &a "' + 12 * r"\x9d" + '"\ndescription: [', "*a]"
    ),
    f"{SKILLS} fields that are no YAML": front_matter("a: b: c\n", ""),
}


def measure(root: Path) -> dict[str, float]:
    """Walks and reads what is there, in this process."""
    before = _peak_mb()
    began = time.process_time()
    found = walk([Root(root, "user")])
    walked = time.process_time()
    refused = 0
    for file in found.files:
        try:
            read_skill(Path(file.path), real=file.real)
        except SkillError:
            refused += 1
    return {
        "found": len(found.files),
        "refused": refused,
        "told": len(found.problems),
        "walk": walked - began,
        "read": time.process_time() - walked,
        "memory": _peak_mb() - before,
    }


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # where getrusage also counts what the process was forked from
        lines = status.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folders", type=int, default=100_000, help="and links, where many")
    parser.add_argument("--scratch", type=Path, help="where the libraries are made")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.root is not None:
        print(json.dumps(measure(options.root)))
        return
    print(f"{describe()}. Load over 1 / 5 / 15 minutes: {load()}.\n")
    print("| library | found | refused | told | walk, s | reading, s | memory, MB |")
    print("|---|---|---|---|---|---|---|")
    for name, make in LIBRARIES.items():
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            root = Path(scratch, "skills")
            root.mkdir()
            make(root, options.folders)
            command = [sys.executable, "-m", "tests.benchmarks.hostile_sizes", "--root", str(root)]
            ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            row = json.loads(ran.stdout)
        print(
            f"| {name} | {row['found']:,} | {row['refused']:,} | {row['told']:,} | "
            f"{row['walk']:.2f} | {row['read']:.2f} | {row['memory']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
