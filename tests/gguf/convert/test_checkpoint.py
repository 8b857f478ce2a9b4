from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import convert
from skillrouter_gguf.convert.checkpoint import Checkpoint

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert

NAME = "encoder.layer.1.output.dense.weight"


def _refused(bert: TinyBert, target: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        convert(bert.folder, target)
    assert not target.exists()
    message = str(caught.value)
    assert message.startswith(str(bert.folder))
    return message


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "tiny.gguf"


def test_reads_tensors_as_float32(tiny_bert: TinyBert) -> None:
    tiny_bert.tensors = {"small": np.array([[1.5, -2]], dtype=np.float16)}
    with Checkpoint(tiny_bert.write()) as checkpoint:
        assert checkpoint.tensor_names() == {"small"}
        values = checkpoint.tensor("small", (1, 2))
    assert values.dtype == np.float32
    assert values.tolist() == [[1.5, -2]]


def test_reads_bfloat16(tiny_bert: TinyBert) -> None:
    values = np.array([[1.5, -2, 3.0e38], [0.0, -1e-30, 0.1]], dtype=np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    header = {
        name: {"dtype": "BF16", "shape": [2, 3], "data_offsets": [start, start + 12]}
        for name, start in (("other", 0), ("small", 12))
    }
    content = json.dumps(header).encode()
    path = tiny_bert.write() / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content + bytes(12) + halves.tobytes())
    with Checkpoint(tiny_bert.folder) as checkpoint:
        found = checkpoint.tensor("small", (2, 3))
    assert found.dtype == np.float32
    assert np.allclose(found, values, rtol=2**-7)
    assert found[0].tolist()[:2] == [1.5, -2.0]


def test_weights_that_are_not_there(tiny_bert: TinyBert, target: Path) -> None:
    tiny_bert.write()
    (tiny_bert.folder / "model.safetensors").unlink()
    message = _refused(tiny_bert, target)
    assert "model.safetensors: there is no such file" in message
    assert "PyTorch's own format are not read" in message


def test_a_folder_that_is_not_there(tiny_bert: TinyBert, target: Path) -> None:
    assert "there is no such file" in _refused(tiny_bert, target)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}q\x00.",
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 8) + b'{"a": 1}',
        struct.pack("<Q", 2) + b"\xff\xff",
    ],
)
def test_weights_that_are_no_safetensors(tiny_bert: TinyBert, target: Path, content: bytes) -> None:
    tiny_bert.write()
    (tiny_bert.folder / "model.safetensors").write_bytes(content)
    assert "not a whole safetensors file" in _refused(tiny_bert, target)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.99])
def test_weights_cut_short(tiny_bert: TinyBert, target: Path, share: float) -> None:
    path = tiny_bert.write() / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = _refused(tiny_bert, target)
    assert "model.safetensors: not a whole safetensors file" in message
    assert message.endswith("Download it again.")


def test_a_tensor_is_missing(tiny_bert: TinyBert, target: Path) -> None:
    del tiny_bert.tensors[NAME]
    tiny_bert.write()
    assert f"there is no tensor '{NAME}'" in _refused(tiny_bert, target)


def test_a_tensor_of_another_shape(tiny_bert: TinyBert, target: Path) -> None:
    tiny_bert.tensors[NAME] = np.ascontiguousarray(tiny_bert.tensors[NAME].T)
    tiny_bert.write()
    message = _refused(tiny_bert, target)
    assert f"'{NAME}' has shape (128, 64), config.json asks for (64, 128)" in message


def test_a_tensor_of_another_kind(tiny_bert: TinyBert, target: Path) -> None:
    tiny_bert.tensors[NAME] = tiny_bert.tensors[NAME].astype(np.int8)
    tiny_bert.write()
    assert f"'{NAME}' is I8; F32, F16 and BF16 are read" in _refused(tiny_bert, target)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_tensor_with_values_that_are_no_numbers(
    tiny_bert: TinyBert, target: Path, value: float
) -> None:
    tiny_bert.tensors[NAME][3, 5] = value
    tiny_bert.write()
    assert f"'{NAME}' has values that are not finite" in _refused(tiny_bert, target)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read (No such file or directory)"),
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b'{"a": "\xff"}', "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"3", "Input should be"),
        (b'"text"', "Input should be"),
        (b"[3]", "Input should be"),
    ],
)
def test_files_that_are_not_the_json_expected(
    tiny_bert: TinyBert, target: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tiny_bert.write() / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    message = _refused(tiny_bert, target)
    assert message.startswith(f"{path}: ")
    assert said in message
