from __future__ import annotations

import os
from pathlib import Path

import pytest

from skillrouter_install.errors import InstallError
from skillrouter_install.files import (
    back_up,
    missing_folders,
    read_config,
    remove_created,
    write_config,
)


def test_a_text_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\n")
    file = read_config(path)
    assert file.content == "\ufeffa\r\nb\n"
    assert (file.bom, file.text) == ("\ufeff", "a\r\nb\n")


def test_a_missing_file_has_no_content(tmp_path: Path) -> None:
    file = read_config(tmp_path / "no" / "c")
    assert (file.content, file.text, file.bom) == (None, "", "")


@pytest.mark.parametrize("data", [b"\xff\xfe{\x00}\x00", b"{\xe9}"])
def test_another_encoding_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c"
    path.write_bytes(data)
    with pytest.raises(InstallError, match="not UTF-8"):
        read_config(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="cannot be read"):
        read_config(tmp_path)


def test_links_are_followed_to_a_file_that_need_not_exist(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to(tmp_path / "real")
    file = read_config(tmp_path / "one")
    assert (file.path.name, file.target.name, file.content) == ("one", "real", None)
    write_config(file.target, "x", private=False)
    assert (tmp_path / "one").is_symlink()
    assert (tmp_path / "real").read_text() == "x"


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(InstallError, match=r"circle|symbolic links"):
        read_config(tmp_path / "one")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_an_existing_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "c"
    path.touch()
    path.chmod(mode)
    write_config(path, "new", private=True)
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "new"


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_a_new_file_is_private_or_not(tmp_path: Path, private: bool, mode: int) -> None:
    path = tmp_path / "a" / "b" / "c"
    write_config(path, "new", private=private)
    assert path.stat().st_mode & 0o777 == mode


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    path.write_text("old")

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InstallError, match="No space left"):
        write_config(path, "new", private=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c"
    path.write_text("old")
    seen: list[str] = []
    monkeypatch.setattr("os.fsync", lambda _descriptor: seen.append(path.read_text()))
    write_config(path, "new", private=True)
    assert seen[0] == "old"


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    path.write_text("old")
    monkeypatch.setattr("os.access", lambda _path, mode: mode != os.W_OK)
    with pytest.raises(InstallError, match="read-only"):
        write_config(path, "new", private=True)
    assert path.read_text() == "old"


def test_the_backup_is_as_private_as_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("secret")
    path.chmod(0o600)
    backup = back_up(read_config(path))
    assert backup == tmp_path / "c.json.skillrouter-backup"
    assert backup.read_text() == "secret"
    assert backup.stat().st_mode & 0o777 == 0o600


def test_the_backup_does_not_follow_a_link_planted_in_its_place(tmp_path: Path) -> None:
    path, other = tmp_path / "c", tmp_path / "other"
    path.write_text("x")
    other.write_text("precious")
    (tmp_path / "c.skillrouter-backup").symlink_to(other)
    with pytest.raises(InstallError, match="a link of that name"):
        back_up(read_config(path))
    assert other.read_text() == "precious"


def test_folders_that_were_made_are_removed_while_they_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c" / "file"
    folders = missing_folders(path)
    assert folders == [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"]
    write_config(path, "x", private=True)
    (tmp_path / "a" / "other").touch()
    remove_created(path, folders)
    assert [each.name for each in (tmp_path / "a").iterdir()] == ["other"]
