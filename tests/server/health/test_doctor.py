from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import skillrouter_gguf.model_file
from skillrouter_gguf import load_catalogue
from skillrouter_mcp.cli import main
from skillrouter_mcp.health import machine
from skillrouter_mcp.health.doctor import Finding, examine
from skillrouter_mcp.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    return load_settings(home=tmp_path / "home", roots=(root,), threads=1)


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the embedded model's file should be and is not."""
    monkeypatch.setattr(skillrouter_gguf.model_file, "EMBEDDED", tmp_path)
    return tmp_path / load_catalogue().model("all-minilm-l6-v2").file


def _by_section(findings: list[Finding]) -> dict[str, list[Finding]]:
    return {
        section: [finding for finding in findings if finding.section == section]
        for section in dict.fromkeys(finding.section for finding in findings)
    }


def test_a_healthy_installation_is_ok_in_every_part(settings: Settings) -> None:
    findings = examine(settings)
    assert {finding.status for finding in findings} == {"ok"}
    assert list(_by_section(findings)) == ["machine", "models", "index", "library"]
    assert [finding.subject for finding in findings[:5]] == [
        "Python",
        "SQLite",
        "Tantivy",
        "llama.cpp",
        "profile embedded",
    ]
    assert not any(finding.remedy for finding in findings)


def test_what_needs_a_broken_engine_is_not_checked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr("skillrouter_gguf.system_info", fail)
    findings = examine(settings)
    assert list(_by_section(findings)) == ["machine"]
    assert findings[-1].status == "broken"
    assert findings[-1].text == ("does not load: libgomp.so.1: cannot open shared object file")
    assert findings[-1].remedy == machine.REINSTALL


def test_a_missing_model_does_not_keep_the_index_from_being_checked(
    settings: Settings, no_model: Path
) -> None:
    found = _by_section(examine(settings))
    (model,) = found["models"]
    assert model.status == "broken"
    assert str(no_model) in model.text
    assert found["index"][0].status == "ok"


def _run(*arguments: str, status: int) -> str:
    result = CliRunner().invoke(main, ["doctor", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.exit_code == status, result.output
    return result.stdout


@pytest.fixture
def settled(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLROUTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SKILLROUTER_ROOTS", str(root))


@pytest.mark.usefixtures("settled")
def test_the_command_exits_with_0_unless_something_is_broken(write_skill: Any) -> None:
    write_skill("Bad Name", at="other")
    assert "warning" in _run(status=0)
    statuses = {finding["status"] for finding in json.loads(_run("--json", status=0))}
    assert statuses == {"ok", "warning"}


@pytest.mark.usefixtures("settled", "no_model")
def test_the_command_exits_with_1_if_something_is_broken() -> None:
    assert "broken  profile embedded: " in _run(status=1)
    model = json.loads(_run("--json", status=1))[4]
    assert set(model) == {"section", "subject", "status", "text", "remedy"}
    assert model["status"] == "broken"


@pytest.mark.usefixtures("settled")
def test_the_command_looks_at_the_roots_it_is_given(tmp_path: Path) -> None:
    assert f"{tmp_path / 'gone'}: is not there yet" in _run(
        "--root", str(tmp_path / "gone"), status=0
    )


@pytest.mark.usefixtures("settled")
def test_hostile_names_reach_no_terminal(root: Path, write_skill: Any) -> None:
    write_skill("quiet", at="clear\x1b[2Jscreen")
    write_skill("\u202egnp.exe")
    (root / "bad").mkdir()
    (root / "bad" / "SKILL.md").write_text("---\nname: 'a\x1b[31m\x07b'\n---\nText.\n")
    assert CliRunner().invoke(main, ["index"]).exit_code == 0
    shown = _run(status=0)
    assert not set("\x1b\x07\u202e") & set(shown)
    assert "clear\\x1b[2Jscreen" in shown
