from __future__ import annotations

import struct
from pathlib import Path

import pytest

from skillrouter_gguf import ModelFileError
from skillrouter_gguf.header import read_header
from skillrouter_gguf.model_file import EMBEDDED

FILE = EMBEDDED / "skillrouter-minilm-l6-Q8_0.gguf"


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _file(folder: Path, *entries: bytes, tensors: int = 0, version: int = 3) -> Path:
    path = folder / "made.gguf"
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, len(entries))
    path.write_bytes(head + b"".join(entries))
    return path


def test_metadata_and_tensors() -> None:
    header = read_header(FILE)
    assert header.architecture == "bert"
    assert header.of_model("embedding_length") == 384
    assert header.of_model("attention.causal") is False
    assert header.of_model("classifier.output_labels") is None
    assert header.metadata["general.name"] == "skillrouter-minilm-l6"
    assert "token_embd.weight" in header.tensors
    assert len(header.tensors) == 101


def test_every_kind_of_value(tmp_path: Path) -> None:
    values = {
        "B": (0, 200),
        "b": (1, -3),
        "H": (2, 60_000),
        "h": (3, -300),
        "I": (4, 4_000_000_000),
        "i": (5, -5),
        "f": (6, 0.5),
        "?": (7, True),
        "Q": (10, 1 << 60),
        "q": (11, -(1 << 60)),
        "d": (12, 0.1),
    }
    entries = [
        _text(kind) + struct.pack(f"<I{kind}", number, value)
        for kind, (number, value) in values.items()
    ]
    words = struct.pack("<IIQ", 9, 8, 2) + _text("a") + _text("b")
    numbers = struct.pack("<IIQ3f", 9, 6, 3, 1, 2, 3)
    name = _text("name") + struct.pack("<I", 8) + _text("übergroß")
    path = _file(tmp_path, *entries, _text("words") + words, _text("numbers") + numbers, name)
    metadata = read_header(path).metadata
    assert metadata == {kind: value for kind, (_, value) in values.items()} | {"name": "übergroß"}


@pytest.mark.parametrize("length", [0, 3, 4, 20, 24, 100, 500_000])
def test_a_file_that_is_cut_short(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(FILE.read_bytes()[:length])
    with pytest.raises(ModelFileError, match=r"cut\.gguf: not a whole GGUF file"):
        read_header(path)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (_text("k") + struct.pack("<I", 77), "values of kind 77"),
        (_text("k") + struct.pack("<IIQ", 9, 9, 1), "lists of kind 9"),
        (_text("k") + struct.pack("<IIQ", 9, 4, 1 << 62), "a value of"),
        (struct.pack("<Q", 1 << 62), "a text of"),
    ],
)
def test_what_no_file_holds(tmp_path: Path, entry: bytes, said: str) -> None:
    with pytest.raises(ModelFileError, match=said):
        read_header(_file(tmp_path, entry))


def test_other_versions_and_shapes(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="version 1 is not known"):
        read_header(_file(tmp_path, version=1))
    path = _file(tmp_path, tensors=1)
    path.write_bytes(path.read_bytes() + _text("t") + struct.pack("<I", 9))
    with pytest.raises(ModelFileError, match="a tensor of 9 dimensions"):
        read_header(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="can't be read"):
        read_header(tmp_path / "none.gguf")
