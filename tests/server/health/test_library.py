from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import Encoder
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.health.library import check_library
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.routing.router import encoder_of
from skillrouter_mcp.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    return load_settings(home=tmp_path / "home", roots=(root,), project=tmp_path / "project")


@pytest.fixture
def bring_in_step(settings: Settings, encoder: Encoder) -> Callable[[], None]:
    def step() -> None:
        fingerprint = Fingerprint.of(encoder_of(settings))
        library = Library(settings.home, settings.search_roots(), fingerprint)
        with library.writing():
            library.scan()
            for _ in library.embed(encoder):
                pass
        library.close()

    return step


def _index(settings: Settings) -> Finding:
    (finding,) = (finding for finding in check_library(settings) if finding.section == "index")
    return finding


def _library(settings: Settings) -> dict[str, Finding]:
    return {f.subject: f for f in check_library(settings) if f.section == "library"}


def test_an_index_in_step_is_ok(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    write_skill("a")
    bring_in_step()
    finding = _index(settings)
    assert (finding.subject, finding.status) == (str(settings.home), "ok")
    assert finding.text == "1 skills can be found, 0 not embedded yet"


def test_an_index_out_of_step_is_a_warning(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    write_skill("a")
    write_skill("b").unlink()
    bring_in_step()
    write_skill("b")
    write_skill("a", body="Do it otherwise.\n")
    finding = _index(settings)
    assert finding.status == "warning"
    assert "2 files differ" in finding.text
    assert "skillrouter-mcp index" in finding.remedy


def test_pending_skills_are_a_warning(settings: Settings, write_skill: Any) -> None:
    write_skill("a")
    library = Library(settings.home, settings.search_roots(), Fingerprint.of(encoder_of(settings)))
    with library.writing():
        library.scan()
    library.close()
    finding = _index(settings)
    assert finding.status == "warning"
    assert "1 not embedded yet" in finding.text


def test_a_home_that_cannot_be_made_is_broken(tmp_path: Path, root: Path) -> None:
    (tmp_path / "file").touch()
    settings = load_settings(home=tmp_path / "file" / "home", roots=(root,))
    (finding,) = check_library(settings)
    assert (finding.section, finding.status) == ("index", "broken")
    assert str(tmp_path / "file" / "home") in finding.text


def test_damage_that_sqlite_finds_is_broken(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Library, "damage", lambda _: "row 3 missing from index skill_root")
    finding = _index(settings)
    assert finding.status == "broken"
    assert "row 3 missing" in finding.text
    assert finding.remedy == "skillrouter-mcp index --rebuild"


def test_garbage_in_place_of_the_index_is_told_and_replaced(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.home.mkdir()
    (settings.home / "index.db").write_bytes(b"garbage " * 1000)
    assert _index(settings).status == "ok"
    assert "damaged" in caplog.text


def test_roots_that_are_missing_are_warnings_with_a_remedy(
    settings: Settings, root: Path, tmp_path: Path
) -> None:
    assert _library(settings)[str(root)].status == "ok"
    root.rmdir()
    finding = _library(settings)[str(root)]
    assert finding.status == "warning"
    assert "not there yet" in finding.text
    assert finding.remedy == f"mkdir -p {root}"
    assert str(tmp_path / "project" / ".skills") not in _library(settings)


def test_what_could_not_be_loaded_is_told_with_its_reason(
    settings: Settings, root: Path, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    bad = write_skill("bad")
    bad.write_bytes(b"\xff\xfe")
    (root / "pipe").mkdir()
    os.mkfifo(root / "pipe" / "SKILL.md")
    odd = write_skill("Odd Name", at="odd")
    bring_in_step()
    found = _library(settings)
    assert {f.status for f in found.values()} == {"ok", "warning"}
    assert found[str(bad)].text == "could not be loaded: is UTF-16: save it as UTF-8"
    assert "is a pipe" in found[str(root / "pipe" / "SKILL.md")].text
    assert "name" in found[str(odd)].text
    assert not found[str(odd)].text.startswith("could not")
