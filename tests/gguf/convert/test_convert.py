from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import gguf
from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert import WeightType, convert

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert


def _field(reader: Any, name: str) -> Any:
    return reader.fields[name].contents()


def test_the_same_input_gives_the_same_bytes(tiny_bert: TinyBert, tmp_path: Path) -> None:
    tiny_bert.write()
    for name in ("first.gguf", "second.gguf"):
        convert(tiny_bert.folder, tmp_path / name, about={"name": "Tiny", "license": "mit"})
    assert (tmp_path / "first.gguf").read_bytes() == (tmp_path / "second.gguf").read_bytes()


def test_metadata(tiny_bert: TinyBert, tmp_path: Path) -> None:
    target = tmp_path / "tiny.gguf"
    convert(tiny_bert.write(), target, "F16", {"name": "Tiny", "license": "mit"})
    reader = gguf.GGUFReader(target)
    expected = {
        "general.architecture": "bert",
        "general.name": "Tiny",
        "general.license": "mit",
        "general.file_type": gguf.LlamaFileType.MOSTLY_F16,
        "bert.context_length": 48,
        "bert.embedding_length": 64,
        "bert.block_count": 2,
        "bert.attention.head_count": 4,
        "bert.attention.causal": False,
        "bert.pooling_type": gguf.PoolingType.MEAN,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
    }
    assert {name: _field(reader, name) for name in expected} == expected


@pytest.mark.parametrize("weights", ["F32", "F16", "Q8_0"])
def test_which_tensors_are_quantised(
    tiny_bert: TinyBert, tmp_path: Path, weights: WeightType
) -> None:
    target = tmp_path / "tiny.gguf"
    convert(tiny_bert.write(), target, weights)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(target).tensors}
    assert kinds["token_embd.weight"] == weights
    assert kinds["blk.1.ffn_down.weight"] == weights
    assert kinds["position_embd.weight"] == kinds["token_types.weight"] == "F32"
    assert kinds["blk.1.ffn_down.bias"] == kinds["token_embd_norm.weight"] == "F32"


def test_an_older_file_is_replaced_and_nothing_else_is_left(
    tiny_bert: TinyBert, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "tiny.gguf"
    target.parent.mkdir()
    target.write_bytes(b"older")
    convert(tiny_bert.write(), target)
    assert target.read_bytes()[:4] == b"GGUF"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_the_older_file_alone(tiny_bert: TinyBert, tmp_path: Path) -> None:
    target = tmp_path / "out" / "tiny.gguf"
    target.parent.mkdir()
    target.write_bytes(b"older")
    del tiny_bert.tokenizer["model"]["vocab"]["[CLS]"]
    with pytest.raises(ConversionError):
        convert(tiny_bert.write(), target)
    assert target.read_bytes() == b"older"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("place", ["no/such/folder/tiny.gguf", "file/tiny.gguf", "folder"])
def test_a_target_that_cannot_be_written(tiny_bert: TinyBert, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(ConversionError) as caught:
        convert(tiny_bert.write(), tmp_path / place)
    assert str(caught.value).startswith(f"{tmp_path / place}: can't be written")
    assert not list(tmp_path.glob("*.partial"))
