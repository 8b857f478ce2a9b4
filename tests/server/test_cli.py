from __future__ import annotations

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from skillrouter_mcp.cli import main
from skillrouter_mcp.evaluation.metrics import MEASURES
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.signals import SIGNALS

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0
BODIES = {
    "bake-bread": "Knead the dough and let it rise overnight.",
    "rotate-logs": "Rotate and compress the log files before the disk fills.",
    "tune-piano": "Tune the treble strings of a grand piano.",
}


def _write(root: Path, bodies: dict[str, str]) -> None:
    for name, body in bodies.items():
        (root / name).mkdir(parents=True)
        (root / name / "SKILL.md").write_text(
            f"---\nname: {name}\ndescription: Helps.\n---\n{body}\n", encoding="utf-8"
        )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `skills` and their index in `home`, for tests that change neither."""
    folder = tmp_path_factory.mktemp("kept")
    _write(folder / "skills", BODIES)
    return folder


@pytest.fixture
def settled(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings point to `kept`."""
    monkeypatch.setenv("SKILLROUTER_HOME", str(kept / "home"))
    monkeypatch.setenv("SKILLROUTER_ROOTS", str(kept / "skills"))
    return kept


@pytest.fixture
def fresh(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings point to an empty `root` and to a home that is not there yet."""
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SKILLROUTER_ROOTS", str(root))
    return tmp_path / "home"


def _run(*arguments: str, status: int = 0, **options: Any) -> Result:
    result = CliRunner().invoke(main, arguments, prog_name="skillrouter-mcp", **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


def _json(*arguments: str) -> Any:
    return json.loads(_run(*arguments, "--json").stdout)


class TestFind:
    def test_prints_a_line_for_each_match(self, settled: Path) -> None:
        best, *_ = _run("find", "tune a grand piano").stdout.splitlines()
        name, score, path = best.split(" ", 2)
        assert (name, path) == ("tune-piano", str(settled / "skills" / name / "SKILL.md"))
        assert 0 <= float(score) <= 1

    def test_json_is_the_result_of_the_tool(self, settled: Path) -> None:
        result = _json("find", "tune a grand piano", "--limit", "1")
        (match,) = result.pop("matches")
        assert result == {"verdict": "match", "index": {"skills": 3, "pending": 0}}
        assert set(match) == {"name", "path", "uri", "score"}
        assert match["uri"].startswith("skill://")

    def test_explains_each_match_by_its_parts(self, settled: Path) -> None:
        shown = _run("find", "tune a grand piano", "--explain").stdout
        assert shown.startswith("match, 3 skills, 0 pending\n")
        assert re.search(rf"^ +[+-]\d+\.\d{{3}} {SIGNALS[0]}$", shown, re.MULTILINE)
        match, *_ = _json("find", "tune a grand piano", "--explain")["matches"]
        assert set(match["parts"]) == set(SIGNALS)

    def test_reads_the_request_from_stdin(self, settled: Path) -> None:
        shown = _run("find", "-", input="tune a grand piano\nand more\n" * 200).stdout
        assert shown.startswith("tune-piano ")

    @pytest.mark.parametrize("broken", [b"grand piano \xff\xfe", b"\xed\xa0\x80 grand piano"])
    def test_bytes_that_are_no_text_do_no_harm(self, settled: Path, broken: bytes) -> None:
        assert _run("find", "-", input=broken).stdout.startswith("tune-piano ")
        assert _run("find", os.fsdecode(broken)).stdout.startswith("tune-piano ")

    def test_looks_at_the_roots_that_it_is_given(self, settled: Path, tmp_path: Path) -> None:
        _write(tmp_path / "other", {"prune-roses": "Cut the canes above a bud."})
        at = ("--root", str(tmp_path / "other"))
        assert _run("find", "cut the roses", *at).stdout.startswith("prune-roses ")
        both = (*at, "--root", str(settled / "skills"))
        assert _json("find", "cut the roses", *both)["index"]["skills"] == 4

    def test_an_empty_library_is_no_problem(self, fresh: Path) -> None:
        assert _run("find", "anything").stdout == "The skill library is empty.\n"
        assert _json("find", "anything")["verdict"] == "empty"

    @pytest.mark.parametrize(
        "arguments",
        [
            ["find"],
            ["find", ""],
            ["find", " \n"],
            ["find", "x", "--limit", "0"],
            ["find", "x", "y"],
        ],
    )
    def test_bad_usage_is_told_on_stderr(self, fresh: Path, arguments: list[str]) -> None:
        result = _run(*arguments, status=2)
        assert result.stderr.startswith("Usage: skillrouter-mcp find ")
        assert result.stdout == ""


class TestIndex:
    def test_tells_what_changed_and_what_stands(self, fresh: Path, write_skill: Any) -> None:
        write_skill("good")
        bad = write_skill("bad")
        bad.write_bytes(b"\xff\xfe")
        first = _json("index")
        assert first == {
            "skills": 1,
            "pending": 0,
            "read": 1,
            "removed": 0,
            "problems": [{"path": str(bad), "reason": "is UTF-16: save it as UTF-8"}],
            "warnings": [],
        }
        bad.unlink()
        again = _run("index")
        assert again.stdout == "0 files read, 1 gone\n1 skills can be found, 0 not embedded yet\n"
        assert again.stderr == ""

    def test_rebuild_reads_all_anew(self, fresh: Path, write_skill: Any) -> None:
        write_skill("a")
        assert _json("index")["read"] == 1
        assert _json("index")["read"] == 0
        assert _json("index", "--rebuild")["read"] == 1

    def test_a_root_that_is_no_folder_is_reported(self, fresh: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (problem,) = _json("index", "--root", str(tmp_path / "file"))["problems"]
        assert problem["path"] == str(tmp_path / "file")
        assert "not a folder" in problem["reason"]

    def test_a_root_that_leads_back_to_itself_is_reported(self, fresh: Path, root: Path) -> None:
        (root / "loop").symlink_to(root / "loop")
        (problem,) = _json("index", "--root", str(root / "loop"))["problems"]
        assert problem["path"] == str(root / "loop")

    def test_interruption_is_told_in_a_line(
        self, fresh: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(Router, "bring_in_step", interrupt)
        assert "interrupted" in _run("index", status=130).stderr


class TestEval:
    @pytest.fixture
    def queries(self, tmp_path: Path) -> Path:
        path = tmp_path / "queries.jsonl"
        rows: list[dict[str, Any]] = [
            {"id": "p", "query": "tune the piano", "relevant": ["tune-piano"], "lang": "en"},
            {"id": "b", "query": "bread dough", "relevant": ["bake-bread"], "lang": "en"},
            {"id": "n", "query": "nothing of it", "relevant": [], "lang": "en", "kind": "none"},
        ]
        rows[0]["kind"], rows[1]["kind"] = "short", "task"
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        return path

    @staticmethod
    def _pool(path: Path) -> Path:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "wt", encoding="utf-8") as file:
            for name, body in BODIES.items():
                row = {"skill_id": f"id-{name}", "name": name, "description": "", "body": body}
                file.write(json.dumps(row) + "\n")
        return path

    def test_report_has_the_figures_by_group(
        self, settled: Path, queries: Path, tmp_path: Path
    ) -> None:
        run = tmp_path / "run.json"
        report = _json("eval", str(queries), "--skills", str(settled / "skills"), "--run", str(run))
        assert set(report) == {"n", *MEASURES, "groups", "latency_ms", "index", "profile"}
        assert report["n"] == 2
        assert report["hit@1"] == report["recall@50"] == 1.0
        assert set(report["groups"]) == {"en/short", "en/task"}
        for group in report["groups"].values():
            assert set(group) == {"n", *MEASURES}
        assert set(report["latency_ms"]) == {"p50", "p95"}
        assert set(report["index"]) == {"skills", "seconds"}
        assert report["index"]["skills"] == 3
        assert report["profile"] == "embedded"
        ranked = json.loads(run.read_text(encoding="utf-8"))
        assert set(ranked) == {"p", "b", "n"}
        assert ranked["p"][0] == "tune-piano"

    @pytest.mark.parametrize("name", ["pool.jsonl", "pool.jsonl.gz"])
    def test_a_pool_is_a_file_too_and_its_index_is_kept(
        self, settled: Path, queries: Path, tmp_path: Path, name: str
    ) -> None:
        rows = queries.read_text(encoding="utf-8").replace('["', '["id-')
        queries.write_text(rows, encoding="utf-8")
        asked = ("eval", str(queries), "--skills", str(self._pool(tmp_path / name)))
        assert "embedding 3 of 3 skills" in (first := _run(*asked)).stderr
        assert re.search(r"^all +2 +100\.0%", first.stdout, re.MULTILINE)
        assert _run(*asked).stderr == ""

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "line 4"),
            ('{"id": "x", "relevant": []}', "line 4: query"),
            ("\udcff", "codec"),
        ],
    )
    def test_a_broken_line_is_named(
        self, settled: Path, queries: Path, line: str, said: str
    ) -> None:
        with queries.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"\n{line}\n")
        result = _run("eval", str(queries), "--skills", str(settled / "skills"), status=1)
        assert str(queries) in result.stderr
        assert said in result.stderr
        assert result.stdout == ""

    def test_a_broken_pool_is_named(self, settled: Path, queries: Path, tmp_path: Path) -> None:
        pool = tmp_path / "pool.jsonl"
        pool.write_text('{"skill_id": "../x", "name": "", "description": "", "body": ""}\n')
        assert "../x" in _run("eval", str(queries), "--skills", str(pool), status=1).stderr
        (gz := tmp_path / "pool.jsonl.gz").write_bytes(b"\x1f\x8b garbage")
        assert str(gz) in _run("eval", str(queries), "--skills", str(gz), status=1).stderr

    def test_an_unknown_profile_is_told_with_those_there_are(
        self, settled: Path, queries: Path
    ) -> None:
        skills = str(settled / "skills")
        result = _run("eval", str(queries), "--skills", skills, "--profile", "zz", status=1)
        assert result.stderr == "Error: there is no profile 'zz'; known are: embedded.\n"

    @pytest.mark.parametrize(
        "arguments", [["gone.jsonl"], ["gone.jsonl", "--skills", "."], [__file__], [".", "."]]
    )
    def test_bad_usage_is_told(self, settled: Path, arguments: list[str]) -> None:
        assert "Usage" in _run("eval", *arguments, status=2).stderr

    def test_a_run_file_without_a_folder_is_told_before_the_work(
        self, settled: Path, queries: Path, tmp_path: Path
    ) -> None:
        gone = str(tmp_path / "gone" / "run.json")
        result = _run("eval", str(queries), "--skills", str(settled), "--run", gone, status=2)
        assert "--run" in result.stderr


class TestModels:
    def test_lists_models_and_profiles(self, settled: Path) -> None:
        listed = _json("models", "list")
        assert listed["profile"] == "embedded"
        assert listed["profiles"]["embedded"] == "all-minilm-l6-v2"
        models = {model["name"]: model for model in listed["models"]}
        assert models["all-minilm-l6-v2"]["dimensions"] == 384
        assert "* embedded: " in _run("models", "list").stdout


class TestTrouble:
    @pytest.mark.parametrize(
        "arguments",
        [["find", "x"], ["index"], ["models", "list"], ["doctor"], ["serve", "--http"]],
    )
    @pytest.mark.parametrize("config", [b"profile = = \n", b"\xff\xfe", b'rootz = "/a"\n'])
    def test_a_config_that_is_garbage_is_bad_usage(
        self, fresh: Path, arguments: list[str], config: bytes
    ) -> None:
        fresh.mkdir()
        (fresh / "config.toml").write_bytes(config)
        assert "config.toml" in _run(*arguments, status=2).stderr

    @pytest.mark.parametrize("arguments", [["find", "x"], ["index"], ["index", "--rebuild"]])
    def test_a_home_that_cannot_be_made_is_told(
        self, fresh: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fresh.touch()
        monkeypatch.setenv("SKILLROUTER_HOME", str(fresh / "home"))
        result = _run(*arguments, status=1)
        assert result.stderr.startswith(f"Error: {fresh / 'home'} cannot be made")
        assert "SKILLROUTER_HOME" in result.stderr
        assert result.stdout == ""

    def test_eval_tells_of_a_home_that_cannot_be_made(
        self, fresh: Path, kept: Path, tmp_path: Path
    ) -> None:
        fresh.touch()
        queries = tmp_path / "queries.jsonl"
        queries.write_text('{"id": "1", "query": "q", "relevant": []}\n')
        pool = TestEval._pool(tmp_path / "pool.jsonl")
        for skills in (pool, kept / "skills"):
            result = _run("eval", str(queries), "--skills", str(skills), status=1)
            assert str(fresh) in result.stderr

    def test_a_damaged_index_is_made_anew(
        self, fresh: Path, write_skill: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        write_skill("tune-piano", body=BODIES["tune-piano"])
        fresh.mkdir()
        (fresh / "index.db").write_bytes(b"garbage " * 1000)
        assert _run("find", "grand piano").stdout.startswith("tune-piano ")
        assert "set aside" in caplog.text

    @pytest.mark.parametrize("arguments", [["find", "x"], ["index"]])
    def test_an_unknown_profile_is_told_with_those_there_are(
        self, fresh: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
    ) -> None:
        monkeypatch.setenv("SKILLROUTER_PROFILE", "zz")
        result = _run(*arguments, status=1)
        assert result.stderr == "Error: there is no profile 'zz'; known are: embedded.\n"


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(_commands(main)), ids=" ".join)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(path: tuple[str, ...], option: str) -> None:
    shown = _run(*path, option).stdout
    assert shown.startswith(" ".join(["Usage: skillrouter-mcp", *path]))
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_version() -> None:
    assert re.search(r"\d+\.\d+\.\d+", _run("--version").stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_knows_the_commands(shell: str) -> None:
    script = _run("completion", shell).stdout
    variable = "_SKILLROUTER_MCP_COMPLETE"
    assert f"{variable}={shell}_complete" in script
    words = {"COMP_WORDS": "skillrouter-mcp fi", "COMP_CWORD": "fi" if shell == "fish" else "1"}
    offered = _run(env={variable: f"{shell}_complete", **words}).stdout
    assert "find" in offered


class TestProcess:
    """What only shows in a process of its own."""

    @pytest.fixture
    def environment(self, settled: Path) -> dict[str, str]:
        return dict(os.environ)

    def test_who_closes_the_pipe_early_sees_no_traceback(self, environment: dict[str, str]) -> None:
        reads, writes = os.pipe()
        os.close(reads)
        ended = subprocess.run(
            [COMMAND, "find", "piano", "--json"],
            stdout=writes,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=PATIENCE,
        )
        os.close(writes)
        assert b"Traceback" not in ended.stderr
        assert b"Exception" not in ended.stderr

    def test_interrupted_indexing_keeps_what_it_did(self, fresh: Path, root: Path) -> None:
        _write(root, {f"notes-{n}": f"Take note number {n}.\n" for n in range(400)})
        with subprocess.Popen(
            [COMMAND, "index"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("embedding"):
                    break
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(PATIENCE) == 130
            assert process.stdout.read() == ""
        assert "Traceback" not in rest
        assert "interrupted" in rest

    def test_a_terminal_gets_a_bar_with_rate_and_time_left(self, fresh: Path, root: Path) -> None:
        _write(root, {f"notes-{n}": f"Take note number {n}.\n" for n in range(40)})
        terminal, end = pty.openpty()
        with subprocess.Popen([COMMAND, "index"], stdout=subprocess.PIPE, stderr=end) as process:
            os.close(end)
            shown = b""
            try:
                while piece := os.read(terminal, 4096):
                    shown += piece
            except OSError:  # how Linux tells that the other end was closed
                pass
            os.close(terminal)
            assert process.stdout is not None
            results = process.stdout.read().decode()
            assert process.wait(PATIENCE) == 0
        bar = rb"embedding: +\d+%\|[^\r]*\| \d+/40 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+(s/)? skills"
        assert re.search(bar, shown), shown
        assert results == "40 files read, 0 gone\n40 skills can be found, 0 not embedded yet\n"
