from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import Model
from skillrouter_mcp.index import kept_words as module
from skillrouter_mcp.index import synchroniser
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.store import SkillStore
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.skills import Root

Opener = Callable[..., Library]


def _step(library: Library, encoder: Any) -> None:
    with library.writing() as mine:
        assert mine
        library.scan()
        for _ in library.embed(encoder):
            pass
        library.refresh()


def _paths(library: Library) -> list[str]:
    places = library.locate(library.snapshot.visible.tolist())
    return sorted(place.path for place in places.values())


def test_folder_becomes_index_and_follows_it(
    open_library: Opener, write_skill: Any, counting: Any
) -> None:
    first, second = write_skill("a", body="one"), write_skill("b", body="two")
    library = open_library()
    _step(library, counting)
    assert _paths(library) == [str(first), str(second)]
    assert library.snapshot.pending == 0

    shutil.rmtree(second.parent)
    third = write_skill("c", body="three")
    assert library.out_of_step() == 2
    _step(library, counting)
    assert _paths(library) == [str(first), str(third)]
    assert library.out_of_step() == 0
    assert library.words.ids() == set(library.snapshot.visible.tolist())


def test_unread_skills_are_visible_but_pending(open_library: Opener, write_skill: Any) -> None:
    write_skill("a")
    library = open_library()
    with library.writing():
        library.scan()
    assert len(library.snapshot.visible) == 1
    assert library.snapshot.pending == 1


def test_moved_renamed_and_copied_skills_cost_nothing(
    open_library: Opener, write_skill: Any, counting: Any
) -> None:
    path = write_skill("a", body="one of a kind")
    library = open_library()
    _step(library, counting)
    embedded = list(counting.texts)

    shutil.copytree(path.parent, path.parents[1] / "copy")
    shutil.move(path.parent, path.parents[1] / "elsewhere")
    _step(library, counting)
    shutil.move(path.parents[1] / "elsewhere", path.parents[2] / "out")
    shutil.rmtree(path.parents[1] / "copy")
    _step(library, counting)
    assert _paths(library) == []
    shutil.move(path.parents[2] / "out", path.parent)
    _step(library, counting)
    assert _paths(library) == [str(path)]
    assert counting.texts == embedded


def test_changed_prefix_embeds_everything_again_and_nothing_else_does(
    open_library: Opener, write_skill: Any, counting: Any, model: Model
) -> None:
    write_skill("a")
    _step(open_library(), counting)
    once = len(counting.texts)
    _step(open_library(model=model.model_copy(update={"title": "other"})), counting)
    assert len(counting.texts) == once
    _step(open_library(model=model.model_copy(update={"document_prefix": "passage: "})), counting)
    assert len(counting.texts) == 2 * once


def test_what_is_committed_when_embedding_breaks_off_is_kept(
    open_library: Opener, write_skill: Any, counting: Any
) -> None:
    for n in range(40):
        write_skill(f"skill-{n}", body=f"number {n}")
    library = open_library()
    with library.writing():
        library.scan()
        left = next(library.embed(counting))
        library.refresh()
    assert 0 < left < 40
    assert library.snapshot.pending == left
    done = len(counting.texts)
    again = open_library()
    assert again.snapshot.pending == left
    _step(again, counting)
    assert again.snapshot.pending == 0
    assert len(counting.texts) == len(set(counting.texts)) > done


def test_other_roots_are_kept_but_not_seen(
    open_library: Opener, write_skill: Any, counting: Any, tmp_path: Path
) -> None:
    mine = write_skill("a")
    _step(open_library(), counting)
    other = open_library(tmp_path / "other")
    _step(other, counting)
    assert _paths(other) == []
    assert _paths(open_library()) == [str(mine)]


def test_one_process_writes_at_a_time(open_library: Opener) -> None:
    one, other = open_library(), open_library()
    with one.writing() as first, other.writing() as second:
        assert (first, second) == (True, False)
    with other.writing() as again:
        assert again


def test_refresh_sees_what_another_has_committed(
    open_library: Opener, write_skill: Any, counting: Any
) -> None:
    reader, writer = open_library(), open_library()
    before = reader.snapshot
    assert reader.refresh() is before
    write_skill("a")
    _step(writer, counting)
    assert len(reader.refresh().visible) == 1
    assert reader.snapshot.pending == 0


def test_words_are_read_again_only_when_they_have_changed(
    open_library: Opener, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("a", body="one")
    library = open_library()
    with library.writing():
        library.scan()
    read: list[WordIndex] = []
    monkeypatch.setattr(WordIndex, "reload", lambda words: read.append(words))
    with library.writing():
        for _ in library.embed(counting):
            pass
    assert library.refresh().pending == 0
    assert read == []
    write_skill("b", body="two")
    with library.writing():
        library.scan()
    assert read


def test_words_that_disagree_are_made_anew(
    open_library: Opener, write_skill: Any, counting: Any
) -> None:
    write_skill("a")
    library = open_library()
    _step(library, counting)
    library.words.update([], library.words.ids())
    again = open_library()
    _step(again, counting)
    assert again.words.ids() == set(again.snapshot.visible.tolist())


@pytest.mark.parametrize("content", [b"garbage " * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_damaged_database_is_set_aside_and_made_anew(
    open_library: Opener,
    write_skill: Any,
    counting: Any,
    tmp_path: Path,
    content: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_skill("a")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "index.db").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        library = open_library()
    assert "set aside" in caplog.text
    (aside,) = (tmp_path / "home").glob("index.db.damaged-*")
    assert aside.read_bytes() == content
    _step(library, counting)
    assert len(library.snapshot.visible) == 1


def test_rebuild_forgets_vectors_too(open_library: Opener, write_skill: Any, counting: Any) -> None:
    write_skill("a")
    library = open_library()
    _step(library, counting)
    once = len(counting.texts)
    with library.writing():
        library.forget()
    assert library.snapshot.visible.tolist() == []
    _step(library, counting)
    assert len(counting.texts) == 2 * once


def test_unloadable_skills_are_reported_and_harm_nothing(
    open_library: Opener, write_skill: Any, counting: Any, root: Path
) -> None:
    good = write_skill("good")
    bad = write_skill("bad")
    bad.write_bytes(b"\xff\xfe\x00")
    os.mkfifo(root / "SKILL.md")
    library = open_library()
    _step(library, counting)
    assert _paths(library) == [str(good)]
    assert {problem.path for problem in library.problems()} == {str(bad), str(root / "SKILL.md")}


def test_home_that_cannot_be_made_is_named(tmp_path: Path, model: Model) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="SKILLROUTER_HOME"):
        Library(tmp_path / "file" / "home", [], Fingerprint.of(model))


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
def test_home_is_made_for_its_owner_alone_and_another_is_left_as_it_is(
    open_library: Opener, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    open_library()
    assert home.stat().st_mode & 0o777 == 0o700
    home.chmod(0o750)
    open_library()
    assert home.stat().st_mode & 0o777 == 0o750


def test_index_of_a_newer_version_is_left_as_it_is(open_library: Opener, tmp_path: Path) -> None:
    open_library().close()
    newer = Database(tmp_path / "home" / "index.db", "write")
    newer.run("PRAGMA user_version = 999")
    newer.close()
    before = {path.name for path in (tmp_path / "home").iterdir()}
    with pytest.raises(DatabaseError, match="newer"):
        open_library()
    assert {path.name for path in (tmp_path / "home").iterdir()} == before


def test_another_glossary_makes_the_words_anew(
    open_library: Opener, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("one")
    _step(open_library(), counting)
    monkeypatch.setattr(module, "glossary_digest", lambda: "another")
    again = open_library()
    assert again.words.ids() == set()
    _step(again, counting)
    assert again.words.ids() == set(again.snapshot.visible.tolist())


def test_versions_that_share_a_home_leave_each_others_words_until_they_are_not_used_for_long(
    open_library: Opener, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("one")
    mine = open_library()
    _step(mine, counting)
    monkeypatch.setattr(module, "glossary_digest", lambda: "another")
    theirs = open_library()
    write_skill("two", body="other")
    for _ in range(2):
        _step(theirs, counting)
        with mine.writing():
            synchroniser.agree(mine.store, mine.words)
    assert mine.words.ids() == theirs.words.ids() == theirs.store.document_ids()
    today = time.time()
    monkeypatch.setattr(time, "time", lambda: today + 8 * 24 * 3600)
    _step(theirs, counting)
    assert list(theirs.home.glob("words-*")) == [theirs.words.folder]


def test_roots_that_nobody_asks_for_any_more_are_forgotten_with_their_words(
    open_library: Opener,
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
    project: Callable[..., Path],
) -> None:
    write_skill("one")
    library = open_library()
    roots = (Root(project("two", "other"), "project"), *library.roots)
    library.attendance.begin(roots)
    _step(library, counting)
    assert len(library.words.ids()) == 2
    library.attendance.end(roots)
    today = time.time()
    for days in (29, 31):
        assert len(library.words.ids()) == 2
        monkeypatch.setattr(time, "time", lambda days=days: today + days * 24 * 3600)
        _step(library, counting)
    assert len(library.words.ids()) == 1
    assert library.pending() == 0


def test_vectors_in_use_for_long_are_kept_and_idle_ones_go_though_nothing_is_embedded(
    open_library: Opener, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_skill("one", body="stays")
    gone = write_skill("two", body="goes")
    library = open_library()
    _step(library, counting)
    embedded = list(counting.texts)
    shutil.rmtree(gone.parent)
    today = time.time()
    for days in (2, 33):
        monkeypatch.setattr(time, "time", lambda days=days: today + days * 24 * 3600)
        _step(library, counting)
    assert counting.texts == embedded
    write_skill("two", body="goes")
    _step(library, counting)
    assert len(counting.texts) == len(embedded) * 3 // 2


def test_rebuild_mends_a_database_damaged_within(
    open_library: Opener, write_skill: Any, counting: Any, tmp_path: Path
) -> None:
    for n in range(30):
        write_skill(f"skill-{n}", body=f"number {n} " * 200)
    library = open_library()
    _step(library, counting)
    library.close()
    path = tmp_path / "home" / "index.db"
    content = bytearray(path.read_bytes())
    for page in range(8, len(content) // 4096, 3):
        content[page * 4096 : page * 4096 + 200] = b"\xaa" * 200
    path.write_bytes(content)
    for derived in (tmp_path / "home").glob("index.db-*"):
        derived.unlink()

    again = open_library()
    with again.writing():
        again.forget()
    _step(again, counting)
    assert len(again.snapshot.visible) == 30
    assert not again.damage()


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Writes a skill into a project's folder of skills, and gives the folder."""

    def write(name: str, body: str) -> Path:
        folder = tmp_path / "project" / ".skills"
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "SKILL.md").write_text(f"---\nname: {name}\n---\n{body}\n")
        return folder

    return write


def test_roots_are_kept_in_step_as_long_as_they_are_attended(
    open_library: Opener, write_skill: Any, counting: Any, project: Callable[..., Path], root: Path
) -> None:
    write_skill("a")
    folder = project("b", "one")
    roots = (Root(folder, "project"), Root(root, "user"))
    library = open_library()
    assert library.attendance.roots() == library.roots
    library.attendance.begin(roots)
    library.attendance.begin(roots)
    assert library.attendance.sets() == [library.roots, roots]
    assert {kept.path for kept in library.attendance.roots()} == {root, folder}
    _step(library, counting)
    assert len(library.view(roots).visible) == 2
    assert library.view(roots).pending == 0
    assert len(library.view(None).visible) == len(library.view(library.roots).visible) == 1

    library.attendance.end(roots)
    assert library.attendance.sets() == [library.roots, roots]
    library.attendance.end(roots)
    library.attendance.end(roots)
    assert library.attendance.sets() == [library.roots]
    project("c", "two")
    _step(library, counting)
    assert len(library.view(roots).visible) == 2


def test_a_view_is_the_same_until_something_changes(
    open_library: Opener, counting: Any, project: Callable[..., Path]
) -> None:
    roots = (Root(project("b", "one"), "project"),)
    library = open_library()
    library.attendance.begin(roots)
    _step(library, counting)
    view = library.view(roots)
    assert library.view(roots) is view
    project("c", "two")
    _step(library, counting)
    assert len(library.view(roots).visible) == 2


def test_views_of_attended_roots_are_read_before_anybody_asks(
    open_library: Opener,
    counting: Any,
    project: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roots = (Root(project("b", "one"), "project"),)
    library = open_library()
    library.attendance.begin(roots)
    _step(library, counting)
    monkeypatch.delattr(SkillStore, "visible")
    assert len(library.view(roots).visible) == 1


def test_who_reads_a_view_while_the_index_is_read_anew_does_not_bring_the_old_one_back(
    open_library: Opener,
    write_skill: Any,
    counting: Any,
    project: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roots = (Root(project("b", "one"), "project"),)
    library = open_library()
    _step(library, counting)
    visible = SkillStore.visible

    def refreshed_meanwhile(self: SkillStore, wanted: Sequence[Root]) -> list[int]:
        found = visible(self, wanted)
        if wanted == roots:
            monkeypatch.setattr(SkillStore, "visible", visible)
            write_skill("a")
            _step(library, counting)
        return found

    library.attendance.begin(roots)
    monkeypatch.setattr(SkillStore, "visible", refreshed_meanwhile)
    library.view(roots)
    assert len(library.snapshot.visible) == 1
    assert library.is_embedded()


def test_roots_are_attended_from_many_threads(open_library: Opener, tmp_path: Path) -> None:
    library = open_library()

    def come_and_go(number: int) -> None:
        for n in range(200):
            roots = (Root(tmp_path / str(n % 3), "user"),)
            library.attendance.begin(roots)
            library.attendance.sets()
            library.attendance.end(roots)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert library.attendance.sets() == [library.roots]
