from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skillrouter_gguf import Encoder, ModelFileError, Reranker, describe_file, load_catalogue
from skillrouter_gguf.header import Header
from skillrouter_gguf.model_file import EMBEDDED

if TYPE_CHECKING:
    from tests.gguf.tiny_qwen3 import TinyQwen3

FILE = EMBEDDED / "skillrouter-minilm-l6-Q8_0.gguf"
BERT: dict[str, str | int | float | bool] = {
    "general.architecture": "bert",
    "bert.embedding_length": 8,
    "bert.context_length": 99,
}


def test_an_encoder() -> None:
    model = describe_file(FILE)
    assert (model.kind, model.pooling, model.dimensions, model.context) == (
        "encoder",
        "mean",
        384,
        512,
    )
    assert (model.name, model.title) == ("skillrouter-minilm-l6-Q8_0", "skillrouter-minilm-l6")
    assert model.licence == "apache-2.0"
    assert model.sha256 == load_catalogue().model("skillrouter-minilm-l6").sha256
    assert model.size == FILE.stat().st_size
    with Encoder.open(model, path=FILE, threads=1) as encoder:
        assert encoder.encode_queries(["merge"]).shape == (1, 384)


def test_a_reranker(judge: tuple[TinyQwen3, Path]) -> None:
    model = describe_file(judge[1])
    assert (model.kind, model.pooling, model.context) == ("reranker", "rank", 2048)
    with Reranker.open(model, path=judge[1], threads=1) as reranker:
        assert reranker.score("merge", ["page", "chart"]).shape == (2,)


@pytest.mark.parametrize(
    ("metadata", "tensors", "pooling"),
    [
        (BERT | {"bert.pooling_type": 2}, (), "cls"),
        (BERT | {"bert.pooling_type": 3, "bert.context_length": 32768}, (), "last"),
        (BERT | {"bert.pooling_type": 2}, ("cls.output.weight",), "rank"),
    ],
)
def test_what_the_header_says(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    metadata: dict[str, str | int | float | bool],
    tensors: tuple[str, ...],
    pooling: str,
) -> None:
    (tmp_path / "own.gguf").write_bytes(b"anything")
    header = Header(metadata, frozenset(tensors))
    monkeypatch.setattr("skillrouter_gguf.own_file.read_header", lambda _: header)
    model = describe_file(tmp_path / "own.gguf")
    assert model.pooling == pooling
    assert model.context <= 4096
    assert model.title == "own"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "neither an encoder nor a reranker: a model that"),
        (BERT, "neither an encoder nor a reranker: a bert that"),
        (BERT | {"bert.pooling_type": 0}, "neither an encoder nor a reranker"),
        (BERT | {"bert.pooling_type": 1, "bert.context_length": 0}, "neither an encoder nor"),
        (BERT | {"bert.pooling_type": 4}, r"a reranker without cls\.output\.weight"),
        (BERT | {"bert.pooling_type": "abc"}, "neither an encoder nor"),
        (BERT | {"bert.pooling_type": 1.0}, "neither an encoder nor"),
        (BERT | {"bert.pooling_type": 1, "bert.embedding_length": math.nan}, "neither an encoder"),
        (BERT | {"bert.pooling_type": 1, "bert.embedding_length": math.inf}, "neither an encoder"),
        (BERT | {"bert.pooling_type": 1, "bert.context_length": "9"}, "neither an encoder nor"),
    ],
)
def test_files_that_are_no_model_for_this(
    monkeypatch: pytest.MonkeyPatch, metadata: dict[str, str | int | float | bool], said: str
) -> None:
    header = Header(metadata, frozenset())
    monkeypatch.setattr("skillrouter_gguf.own_file.read_header", lambda _: header)
    with pytest.raises(ModelFileError, match=said):
        describe_file(Path("own.gguf"))


def test_what_should_be_text_and_is_none_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "own.gguf").write_bytes(b"anything")
    keys = ("general.name", "general.license", "general.source.url")
    header = Header(BERT | {"bert.pooling_type": 1, **dict.fromkeys(keys, 7)}, frozenset())
    monkeypatch.setattr("skillrouter_gguf.own_file.read_header", lambda _: header)
    model = describe_file(tmp_path / "own.gguf")
    assert (model.title, model.licence, model.source) == ("own", "unknown", "unknown")


@pytest.mark.parametrize("place", ["g\udcff.gguf", "g\udcff/own.gguf", "link/own.gguf"])
def test_a_name_that_no_catalogue_can_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    odd = tmp_path / "g\udcff"
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system takes no such names")
    (tmp_path / "link").symlink_to(odd, target_is_directory=True)
    (tmp_path / place).write_bytes(b"anything")
    header = Header(BERT | {"bert.pooling_type": 1}, frozenset())
    monkeypatch.setattr("skillrouter_gguf.own_file.read_header", lambda _: header)
    with pytest.raises(ModelFileError, match=r"g.udcff.*: the name is not UTF-8.* Rename it"):
        describe_file(tmp_path / place)
