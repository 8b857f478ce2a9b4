from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from skillrouter_gguf import Model
from skillrouter_mcp.index import schema, synchroniser
from skillrouter_mcp.index.clauses import Clause
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import Encoding, Fingerprint
from skillrouter_mcp.index.errors import DamagedWordsError
from skillrouter_mcp.index.passages import Layout
from skillrouter_mcp.index.store import Document, SkillStore
from skillrouter_mcp.index.synchroniser import More, agree, difference, embed_pending, scan
from skillrouter_mcp.index.words import SECTION, TEXT, WordIndex
from skillrouter_mcp.skills import Root, Skill, Walk, read_skill, walk

LAYOUT = Layout(("en",))


class Parts:
    """What the synchroniser brings in step."""

    def __init__(self, home: Path, root: Path, model: Model) -> None:
        self.database = Database(home / "index.db", "write")
        schema.prepare(self.database)
        self.store = SkillStore(self.database)
        self.words = WordIndex(home / "words")
        self.encoding = Encoding.create(self.database, Fingerprint.of(model))
        self.roots = [Root(root, "user")]

    def agree(self, more: More | None = None) -> None:
        agree(self.store, self.words, more)

    def scan(self, progress: Any = None) -> tuple[int, int, int]:
        """Files read, not to be read, and gone."""
        changes = scan(self.store, self.agree, self.roots, progress)
        assert self.words.ids() == self.store.document_ids()
        return changes.read, changes.failed, changes.removed


@pytest.fixture
def parts(tmp_path: Path, root: Path, model: Model) -> Iterator[Parts]:
    (tmp_path / "home").mkdir()
    parts = Parts(tmp_path / "home", root, model)
    yield parts
    parts.database.close()


def test_a_link_that_took_the_place_of_a_file_after_the_walk_is_not_read_through(
    parts: Parts, write_skill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_skill("one")
    (tmp_path / "private.md").write_text("secret", encoding="utf-8")

    def walk_and_swap(roots: Sequence[Root], *sets: Any, **named: Any) -> Walk:
        found = walk(roots, *sets, **named)
        path.unlink()
        path.symlink_to(tmp_path / "private.md")
        return found

    monkeypatch.setattr(synchroniser, "walk", walk_and_swap)
    assert parts.scan() == (0, 1, 0)
    assert "was replaced" in parts.store.problems(parts.roots)[0].reason


def test_scan_reads_what_is_new_or_changed_and_forgets_what_is_gone(
    parts: Parts, write_skill: Any
) -> None:
    one, two = write_skill("one"), write_skill("two")
    assert parts.scan() == (2, 0, 0)
    assert parts.scan() == (0, 0, 0)
    write_skill("one", body="Do it otherwise, and longer.\n")
    assert parts.scan() == (1, 0, 0)
    shutil.rmtree(two.parent)
    assert parts.scan() == (0, 0, 1)
    assert [path for path, _ in parts.store.stamps(parts.roots)] == [str(one)]
    (document,) = parts.store.documents(sorted(parts.store.document_ids()))
    assert document.body == "Do it otherwise, and longer."


def test_files_are_announced_a_batch_before_they_are_read(
    parts: Parts, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (str(write_skill(name).resolve()) for name in ("a", "b", "c"))
    told: list[tuple[str, str]] = []

    def read(path: Path, *, real: str) -> Skill:
        told.append(("read", real))
        return read_skill(path, real=real)

    monkeypatch.setattr(synchroniser, "_READ_BATCH", 1)
    monkeypatch.setattr(synchroniser, "announce", lambda real: told.append(("announced", real)))
    monkeypatch.setattr(synchroniser, "read_skill", read)
    assert parts.scan() == (3, 0, 0)
    assert told == [
        ("announced", two),
        ("read", one),
        ("announced", three),
        ("read", two),
        ("read", three),
    ]


def test_changes_are_true_only_if_something_changed(parts: Parts, write_skill: Any) -> None:
    write_skill("one")
    assert scan(parts.store, parts.agree, parts.roots)
    assert not scan(parts.store, parts.agree, parts.roots)


def test_an_edit_of_equal_length_is_noticed(parts: Parts, write_skill: Any) -> None:
    write_skill("one", body="rake\n")
    parts.scan()
    write_skill("one", body="bake\n")
    assert parts.scan() == (1, 0, 0)


def test_a_file_that_cannot_be_loaded_is_told_and_not_read_again(
    parts: Parts, write_skill: Any
) -> None:
    path = write_skill("one")
    parts.scan()
    path.write_bytes(b"\xff")
    assert parts.scan() == (0, 1, 0)
    assert parts.scan() == (0, 0, 0)
    (problem,) = parts.store.problems(parts.roots)
    assert problem.path == str(path)
    assert parts.store.document_ids() == set()
    write_skill("one")
    assert parts.scan() == (1, 0, 0)
    assert parts.store.problems(parts.roots) == []


def test_a_broken_file_that_goes_away_leaves_no_problem(parts: Parts, write_skill: Any) -> None:
    path = write_skill("one")
    path.write_bytes(b"\xff")
    parts.scan()
    path.unlink()
    assert parts.scan() == (0, 0, 1)
    assert parts.store.problems(parts.roots) == []


def test_problems_of_the_walk_last_as_long_as_they_do(parts: Parts, root: Path) -> None:
    (root / "SKILL.md").symlink_to(root / "nowhere")
    parts.scan()
    (problem,) = parts.store.problems(parts.roots)
    assert problem.path == str(root / "SKILL.md")
    (root / "SKILL.md").unlink()
    parts.scan()
    assert parts.store.problems(parts.roots) == []


def test_a_root_within_another_takes_nothing_from_it(parts: Parts, write_skill: Any) -> None:
    good, bad = write_skill("good", at="group/good"), write_skill("bad", at="group/bad")
    bad.write_bytes(b"\xff")
    outer = parts.roots
    inner = [Root(good.parents[1], "user")]
    assert parts.scan() == (1, 1, 0)
    parts.roots = inner
    assert parts.scan() == (1, 1, 0)
    for roots in (outer, inner, [*outer, *inner]):
        parts.roots = roots
        assert parts.scan() == (0, 0, 0)
        assert [problem.path for problem in parts.store.problems(roots)] == [str(bad)]
    good.unlink()
    parts.roots = inner
    assert parts.scan() == (0, 0, 1)
    parts.roots = outer
    assert parts.scan() == (0, 0, 1)


def test_a_scan_that_finds_nothing_new_changes_no_row(parts: Parts, root: Path) -> None:
    (root / "two\nlines").touch()
    (root / "gone").symlink_to(root / "nowhere")
    parts.roots = [Root(root / "two\nlines", "user"), *parts.roots]
    parts.scan()
    assert len(parts.store.problems(parts.roots)) == 2
    version = parts.database.version()
    parts.scan()
    assert parts.database.version() == version


def test_files_of_one_text_are_one_document(parts: Parts, write_skill: Any) -> None:
    path = write_skill("one")
    shutil.copytree(path.parent, path.parents[1] / "copy")
    assert parts.scan() == (2, 0, 0)
    assert len(parts.store.document_ids()) == 1
    shutil.rmtree(path.parent)
    assert parts.scan() == (0, 0, 1)
    assert len(parts.store.document_ids()) == 1


def test_difference_tells_without_reading(parts: Parts, write_skill: Any, root: Path) -> None:
    gone = write_skill("gone")
    write_skill("same")
    parts.scan()
    gone.unlink()
    new = write_skill("new")
    found = difference(parts.store, parts.roots)
    assert found.files == 2
    assert [file.path for file in found.changed] == [str(new)]
    assert found.gone == ((str(gone), str(root)),)
    assert found.count == 2
    assert len(parts.store.document_ids()) == 2


def test_scanning_is_committed_batch_by_batch(
    parts: Parts, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchroniser, "_READ_BATCH", 2)
    for n in range(5):
        write_skill(f"skill-{n}", body=f"number {n}")
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parts.scan(progress)
    assert told == [(2, 5), (4, 5)]
    assert len(parts.store.document_ids()) == 4
    assert parts.scan() == (1, 0, 0)


def test_words_can_be_found_while_more_is_read(
    parts: Parts, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchroniser, "_READ_BATCH", 1)
    for n in range(10):
        write_skill(f"skill-{n}", body=f"number {n}")
    present: list[int] = []

    def agree_words(more: More | None) -> None:
        parts.agree(more)
        present.append(len(parts.words.search(TEXT, [Clause(("number",))], 20)))
        in_sections.append(len(parts.words.search(SECTION, [Clause(("number",))], 20)))

    in_sections: list[int] = []
    scan(parts.store, agree_words, parts.roots)
    assert present == sorted(present)
    assert present[-2:] == [10, 10]
    assert len(present) == 5, "after 1, 3 and 9 files, after all, and in the end"
    assert in_sections == [0, 0, 0, 0, 10]
    assert parts.words.ids() == parts.store.document_ids()


def test_words_are_analysed_while_more_is_read_and_committed_together(
    parts: Parts, write_skill: Any
) -> None:
    write_skill("skill-0", body="number 0")
    scan(parts.store, lambda _: None, parts.roots)
    read: list[Path] = []

    def more() -> bool:
        assert len(parts.words.partial_ids()) == 0
        read.append(write_skill(f"skill-{len(read) + 1}", body=f"number {len(read) + 1}"))
        scan(parts.store, lambda _: None, parts.roots)
        return len(read) < 3

    parts.agree(more)
    assert len(parts.store.document_ids()) == 4
    assert len(parts.words.partial_ids()) == 3
    assert len(parts.words.search(TEXT, [Clause(("number",))], 5)) == 3


def test_what_is_in_the_way_of_the_words_is_told(
    parts: Parts, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchroniser, "_READ_BATCH", 1)
    write_skill("one")

    def fail(_: More | None) -> None:
        raise DamagedWordsError("no words today")

    with pytest.raises(DamagedWordsError, match="no words today"):
        scan(parts.store, fail, parts.roots)


@pytest.mark.parametrize("batch", [1, 2, 1_000])
def test_words_are_made_to_agree_with_the_documents(
    parts: Parts, write_skill: Any, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(synchroniser, "_WORDS_BATCH", batch)
    for n in range(3):
        write_skill(f"skill-{n}", body=f"number {n}")
    parts.scan()
    wanted = parts.store.document_ids()
    foreign = parts.store.documents(sorted(wanted))[0]
    parts.words.update(
        [type(foreign)(999, "stranger", "", "of another index")], [min(wanted), max(wanted)]
    )
    agree(parts.store, parts.words)
    assert parts.words.ids() == wanted


@pytest.mark.parametrize("shelf", ["documents", "sections"])
def test_a_lost_half_of_the_words_is_made_again(
    parts: Parts, write_skill: Any, tmp_path: Path, shelf: str
) -> None:
    for n in range(3):
        write_skill(f"skill-{n}", body=f"number {n}" if n else "")
    parts.scan()
    wanted = parts.store.document_ids()
    folder = tmp_path / "home" / "words"
    shutil.rmtree(folder / shelf)
    parts.words = WordIndex(folder)
    assert parts.words.ids() == set()
    assert parts.words.partial_ids() == wanted
    parts.agree()
    assert parts.words.ids() == wanted
    assert parts.words.partial_ids() == set()
    for field in (TEXT, SECTION):
        assert len(parts.words.search(field, [Clause(("number",))], 5)) == 2


@pytest.mark.parametrize("shelf", ["documents", "sections"])
def test_half_an_unknown_document_is_removed_from_the_words(
    parts: Parts, tmp_path: Path, shelf: str
) -> None:
    parts.words.update([Document(999, "stranger", "", "of another index")])
    shutil.rmtree(tmp_path / "home" / "words" / shelf)
    parts.words = WordIndex(tmp_path / "home" / "words")
    parts.agree()
    assert parts.words.ids() == parts.words.partial_ids() == set()


def _set_batches(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(synchroniser, "_FIRST_BATCH", size)
    monkeypatch.setattr(synchroniser, "_LARGEST_BATCH", size)
    monkeypatch.setattr(synchroniser, "_BATCH_SECONDS", 600.0)


@pytest.mark.parametrize(
    ("seconds_each", "sizes"),
    [(0.0, [4, 8, 16, 12]), (0.5, [4] * 10), (1.0, [4] + [2] * 18), (9.0, [4] + [1] * 36)],
)
def test_a_batch_is_as_large_as_the_encoder_is_fast(
    parts: Parts,
    write_skill: Any,
    counting: Any,
    monkeypatch: pytest.MonkeyPatch,
    seconds_each: float,
    sizes: list[int],
) -> None:
    now = 0.0
    embed = Encoding.embed

    def embed_slowly(self: Encoding, passages: Any, encoder: Any) -> int:
        nonlocal now
        now += seconds_each * len(passages)
        return embed(self, passages, encoder)

    monkeypatch.setattr(Encoding, "embed", embed_slowly)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for n in range(40):
        write_skill(f"skill-{n}", body=f"number {n}")
    parts.scan()
    left = list(embed_pending(parts.store, parts.encoding, counting, LAYOUT))
    assert [before - after for before, after in itertools.pairwise([40, *left])] == sizes


def test_embedding_is_committed_batch_by_batch(
    parts: Parts, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_batches(monkeypatch, 2)
    for n in range(5):
        write_skill(f"skill-{n}", body=f"number {n}")
    parts.scan()
    told: list[tuple[int, int]] = []
    left = []
    for pending in embed_pending(
        parts.store,
        parts.encoding,
        counting,
        LAYOUT,
        lambda done, total: told.append((done, total)),
    ):
        assert len(parts.encoding.pending()) == pending
        left.append(pending)
    assert left == [3, 1, 0]
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert list(embed_pending(parts.store, parts.encoding, counting, LAYOUT)) == []


def test_what_is_wanted_most_is_embedded_first(
    parts: Parts, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_batches(monkeypatch, 2)
    for n in range(7):
        write_skill(f"skill-{n}", body=f"number {n}")
    parts.scan()
    ids = parts.encoding.pending()
    wishes = iter([[ids[6], 999, ids[6], ids[4]], [ids[6], ids[5]], [], [ids[0]]])
    order: list[set[int]] = []
    before = set(ids)
    for _ in embed_pending(
        parts.store, parts.encoding, counting, LAYOUT, first=lambda: next(wishes)
    ):
        after = set(parts.encoding.pending())
        order.append(before - after)
        before = after
    assert order == [{ids[6], ids[4]}, {ids[5], ids[0]}, {ids[1], ids[2]}, {ids[3]}]


def test_what_is_more_urgent_goes_before_each_document(
    parts: Parts, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_batches(monkeypatch, 3)
    for n in range(3):
        write_skill(f"skill-{n}", body=f"number {n}")
    parts.scan()
    given: list[int] = []
    for _ in embed_pending(
        parts.store,
        parts.encoding,
        counting,
        LAYOUT,
        give_way=lambda: given.append(len(counting.texts)),
    ):
        pass
    assert given == [0, 0, 0]


def test_a_skill_that_goes_away_meanwhile_is_left_out(
    parts: Parts, write_skill: Any, counting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_batches(monkeypatch, 1)
    paths = [write_skill(f"skill-{n}", body=f"number {n}") for n in range(3)]
    parts.scan()
    steps = embed_pending(parts.store, parts.encoding, counting, LAYOUT)
    next(steps)
    for path in paths:
        path.unlink()
    parts.scan()
    assert list(steps) == [1, 0]
    assert parts.database.rows("SELECT * FROM view") == []
