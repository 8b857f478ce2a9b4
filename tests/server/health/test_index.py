from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.health import index
from skillrouter_mcp.health.finding import Finding, Silence
from skillrouter_mcp.health.index import check_index, check_set_aside
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.opening import set_aside
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.routing.models import encoder_of
from skillrouter_mcp.settings import Settings, load_settings


def _check(settings: Settings) -> list[Finding]:
    return list(check_index(settings, Silence()))


def _only(settings: Settings) -> Finding:
    (finding,) = _check(settings)
    return finding


def test_an_index_in_step_is_ok(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    write_skill("a")
    bring_in_step()
    finding = _only(settings)
    assert (finding.subject, finding.status) == (str(settings.home), "ok")
    assert finding.text == "1 skills can be found, 0 not embedded yet"


def test_databases_that_were_set_aside_may_be_deleted(settings: Settings) -> None:
    assert list(check_set_aside(settings)) == []
    settings.home.mkdir()
    (settings.home / "index.db").write_bytes(b"\xaa" * 700_000)
    (settings.home / "index.db-wal").write_bytes(b"\xaa" * 100_000)
    set_aside(settings.home / "index.db", "is damaged")
    (finding,) = check_set_aside(settings)
    assert (finding.check, finding.status, finding.fixable) == ("set-aside", "note", False)
    assert finding.text.startswith("2 files of damaged databases were set aside, 0.8 MB in all")
    assert sorted(finding.places) == sorted(map(str, settings.home.iterdir()))
    assert f"rm {settings.home}/index.db.damaged-*" in finding.remedy


def test_looking_makes_no_index(settings: Settings) -> None:
    finding = _only(settings)
    assert (finding.check, finding.status) == ("no-index", "note")
    assert not settings.home.exists()


def test_an_empty_file_is_no_index_yet(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "index.db").touch()
    assert _only(settings).check == "no-index"


def test_an_index_out_of_step_is_a_problem_that_fixing_mends(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    write_skill("a")
    write_skill("b").unlink()
    bring_in_step()
    write_skill("b")
    write_skill("a", body="Do it otherwise.\n")
    finding = _only(settings)
    assert finding.status == "problem"
    assert "2 files differ" in finding.text
    assert "skillrouter-mcp index" in finding.remedy
    assert finding.mend is not None
    finding.mend.run()
    assert _only(settings).text == "2 skills can be found, 0 not embedded yet"


def test_pending_skills_are_a_problem(settings: Settings, write_skill: Any) -> None:
    write_skill("a")
    library = Library(settings.home, settings.search_roots(), Fingerprint.of(encoder_of(settings)))
    with library.writing():
        library.scan()
    library.close()
    finding = _only(settings)
    assert (finding.check, finding.status) == ("pending", "problem")
    assert "1 not embedded yet" in finding.text


def test_a_writer_at_work_is_a_note(settings: Settings, bring_in_step: Callable[[], None]) -> None:
    bring_in_step()
    library = Library(settings.home, settings.search_roots(), Fingerprint.of(encoder_of(settings)))
    with library.writing():
        assert [(f.check, f.status) for f in _check(settings)] == [
            ("writer", "note"),
            ("index", "ok"),
        ]
    library.close()


def test_a_home_that_cannot_be_written_is_a_problem_where_there_is_an_index(
    settings: Settings, write_skill: Any, bring_in_step: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    settings.home.mkdir()
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    finding = _only(settings)
    assert (finding.check, finding.status) == ("home", "broken")
    write_skill("one")
    bring_in_step()
    finding = _only(settings)
    assert (finding.check, finding.status) == ("home", "problem")
    assert finding.text == "cannot be written: Read-only file system"
    assert "as they were last read" in finding.why
    assert "SKILLROUTER_HOME" in finding.remedy


def test_a_home_that_cannot_be_made_is_broken(tmp_path: Path, root: Path) -> None:
    (tmp_path / "file").touch()
    finding = _only(load_settings(home=tmp_path / "file" / "home", roots=(root,)))
    assert (finding.check, finding.status) == ("home", "broken")
    assert finding.subject == str(tmp_path / "file" / "home")
    assert "SKILLROUTER_HOME" in finding.remedy


@pytest.mark.parametrize("content", [b"garbage " * 1000, None])
def test_damage_is_told_and_left_until_fixed(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None], content: bytes | None
) -> None:
    for n in range(6):
        write_skill(f"s{n}", body="Do it. " * 50 + f"\n```\n{f'{n} ' * 6_000}\n```\n")
    bring_in_step()
    database = settings.home / "index.db"
    if content is None:  # pages in the midst of a file whose beginning is right
        whole = database.read_bytes()
        content = whole[:8192] + b"\xff" * 40_000 + whole[48_192:]
    database.write_bytes(content)
    for _ in range(2):
        finding = _only(settings)
        assert (finding.check, finding.status) == ("index", "broken")
        assert "is damaged" in finding.text
    assert database.read_bytes() == content
    assert finding.mend is not None
    finding.mend.run()
    assert _only(settings).status == "ok"
    assert len(list(settings.home.glob("index.db.damaged-*"))) == 1


@pytest.mark.parametrize("part", ["documents", "sections"])
def test_a_damaged_word_index_is_told_and_made_anew(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None], part: str
) -> None:
    write_skill("a")
    bring_in_step()
    (folder,) = settings.home.glob("words-*")
    (folder / part / "meta.json").write_text("{")
    findings = _check(settings)
    assert findings[0].check == "words"
    assert findings[0].mend is not None
    findings[0].mend.run()
    assert _only(settings).status == "ok"


def test_sections_that_are_still_to_come_are_told_and_indexed(
    settings: Settings, write_skill: Any, bring_in_step: Callable[[], None]
) -> None:
    write_skill("a")
    bring_in_step()
    (folder,) = settings.home.glob("words-*")
    document = Document(1, "a", "", "body")
    words = WordIndex(folder)
    words.update([], words.ids())
    words.update_whole_texts([document])
    findings = _check(settings)
    assert (findings[0].check, findings[0].status) == ("words", "note")
    assert "of 1 of 1 texts the sections are still to be indexed" in findings[0].text
    assert findings[0].mend is not None
    findings[0].mend.run()
    assert _only(settings).status == "ok"
    assert folder.is_dir(), "what was there has not been made anew"


def test_a_home_on_a_network_is_a_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "network_file_system", lambda _: "nfs4")
    finding = _check(settings)[0]
    assert finding.status == "problem"
    assert "(nfs4)" in finding.text
