from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

import skillrouter_gguf.encoder
from skillrouter_gguf import Encoder, Model, ModelFileError, load_catalogue
from skillrouter_gguf.model_file import EMBEDDED, sha256_of, verified_path

CONTENT = b"GGUF" + bytes(range(256)) * 9
EMBEDDED_MODEL = load_catalogue().model("skillrouter-minilm-l6")


def _model(**changes: object) -> Model:
    return Model.model_validate(
        {
            "name": "small",
            "kind": "encoder",
            "title": "Small",
            "file": "small.gguf",
            "size": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "dimensions": 8,
            "context": 16,
            "pooling": "mean",
            "languages": ["en"],
            "licence": "MIT",
            "repo": "example/small",
            **changes,
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(CONTENT)
    return path


def _refused(model: Model, path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        verified_path(model, path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith("Run `skillrouter-mcp models pull small`.")
    return message


def test_the_right_file(path: Path) -> None:
    assert verified_path(_model(), path) == path


def test_what_the_catalogue_does_not_know_is_not_checked(path: Path) -> None:
    assert verified_path(_model(size=None, sha256=None), path) == path


def test_the_embedded_file_is_found_by_itself() -> None:
    assert verified_path(EMBEDDED_MODEL) == EMBEDDED / EMBEDDED_MODEL.file


def test_the_licence_lies_beside_the_embedded_file() -> None:
    assert "Apache License" in (EMBEDDED / "LICENSE").read_text(encoding="utf-8")


def test_missing(tmp_path: Path) -> None:
    assert "is not there" in _refused(_model(), tmp_path / "zz.gguf")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "is not there" in _refused(_model(), tmp_path)


def test_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    _refused(_model(), tmp_path / ("z" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert "is not there" in _refused(_model(), path)


def test_cut_short(path: Path) -> None:
    path.write_bytes(CONTENT[:-1])
    assert "cut short at 2,307 of 2,308 bytes" in _refused(_model(), path)


def test_empty(path: Path) -> None:
    path.write_bytes(b"")
    assert "cut short at 0 of 2,308 bytes" in _refused(_model(), path)
    assert "not a GGUF file" in _refused(_model(size=None, sha256=None), path)


def test_longer_than_it_should_be(path: Path) -> None:
    path.write_bytes(CONTENT + b"\0")
    assert "2,309 bytes, expected 2,308" in _refused(_model(sha256=None), path)


def test_one_byte_differs(path: Path) -> None:
    path.write_bytes(CONTENT[:-1] + b"\0")
    message = _refused(_model(), path)
    assert f"its SHA-256 is {sha256_of(path)}, expected {_model().sha256}" in message


def test_something_else_of_the_same_size(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html>".ljust(len(CONTENT)))
    assert "not a GGUF file" in _refused(_model(), path)


def test_an_embedded_file_is_mended_by_installing_again(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match=r"Reinstall skillrouter-mcp"):
        verified_path(_model(embedded=True), path)


def test_digests_of_files_larger_than_a_piece(tmp_path: Path) -> None:
    path = tmp_path / "large"
    content = os.urandom((1 << 20) + 1)
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", [None, b"", CONTENT[:-1], b"PK" + CONTENT[2:], CONTENT + b"\0"])
def test_llama_never_sees_a_file_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    def load(path: Path) -> None:
        raise AssertionError("llama.cpp was given the file")

    monkeypatch.setattr(skillrouter_gguf.encoder, "LlamaModel", load)
    path = tmp_path / "small.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFileError):
        Encoder.open(_model(), path=path)
