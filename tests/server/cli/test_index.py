from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skillrouter_mcp.routing.router import Router

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run, RunJson


def test_tells_what_changed_and_what_stands(
    run: Run, run_json: RunJson, fresh: Path, write_skill: Any
) -> None:
    write_skill("good")
    bad = write_skill("bad")
    bad.write_bytes(b"\xff\xfe")
    first = run_json("index")
    assert first == {
        "skills": 1,
        "pending": 0,
        "read": 1,
        "removed": 0,
        "problems": [{"path": str(bad), "reason": "is UTF-16: save it as UTF-8"}],
        "warnings": [],
    }
    bad.unlink()
    again = run("index")
    assert again.stdout == "0 files read, 1 gone\n1 skills can be found, 0 not embedded yet\n"
    assert again.stderr == ""


def test_rebuild_reads_all_anew(run_json: RunJson, fresh: Path, write_skill: Any) -> None:
    write_skill("a")
    assert run_json("index")["read"] == 1
    assert run_json("index")["read"] == 0
    assert run_json("index", "--rebuild")["read"] == 1


def test_a_root_that_is_no_folder_is_reported(
    run_json: RunJson, fresh: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (problem,) = run_json("index", "--root", str(tmp_path / "file"))["problems"]
    assert problem["path"] == str(tmp_path / "file")
    assert "not a folder" in problem["reason"]


def test_a_root_that_is_not_there_is_reported(run: Run, fresh: Path, tmp_path: Path) -> None:
    said = run("index", "--root", str(tmp_path / "gone")).stdout
    assert f"1 could not be loaded:\n  {tmp_path / 'gone'}: is not there yet\n" in said


def test_a_root_that_leads_back_to_itself_is_reported(
    run_json: RunJson, fresh: Path, root: Path
) -> None:
    (root / "loop").symlink_to(root / "loop")
    (problem,) = run_json("index", "--root", str(root / "loop"))["problems"]
    assert problem["path"] == str(root / "loop")


def test_interruption_is_told_in_a_line(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Router, "bring_in_step", interrupt)
    assert "interrupted" in run("index", status=130).stderr
