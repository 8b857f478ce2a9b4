"""Tiny models as they are published: the files of a repo, and what a catalogue says of them."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tomlkit
from tests.gguf.tiny_bert import TinyBert

from skillrouter_gguf import ModelStore

if TYPE_CHECKING:
    from tests.gguf.tiny_qwen3 import TinyQwen3

ENCODER = {"kind": "encoder", "dimensions": 64, "context": 48, "pooling": "mean"}
NONSENSE = {"kind": "encoder", "dimensions": 64, "context": 2048, "pooling": "last"}
JUDGE = {"kind": "reranker", "context": 2048, "pooling": "rank"}


def judge_entry(repo: str) -> dict[str, Any]:
    """What a catalogue says of a reranker that is converted with its own instruction."""
    pytest.importorskip("tokenizers")
    from tests.gguf.tiny_qwen3 import TEMPLATE

    return {**JUDGE, "repo": repo, "convert": "F16", "template": TEMPLATE}


@cache
def checkpoint() -> dict[str, bytes]:
    """A BERT encoder, in which a paraphrase is nearer than an unrelated sentence."""
    with tempfile.TemporaryDirectory() as folder:
        return _files(TinyBert(Path(folder)).write())


@cache
def sharded() -> dict[str, bytes]:
    """The same with its weights in two parts."""
    from safetensors.numpy import load, save

    files = dict(checkpoint())
    tensors = load(files.pop("model.safetensors"))
    names = sorted(tensors)
    halves = names[::2], names[1::2]
    weight_map: dict[str, str] = {}
    for number, half in enumerate(halves, 1):
        shard = f"model-{number:05}-of-00002.safetensors"
        files[shard] = save({name: tensors[name] for name in half})
        weight_map |= dict.fromkeys(half, shard)
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    return files


@cache
def encoder() -> bytes:
    """The BERT encoder as GGUF."""
    return _converted(checkpoint())


@cache
def nonsense() -> bytes:
    """A Qwen3 encoder, in which an unrelated sentence is nearer than a paraphrase."""
    with tempfile.TemporaryDirectory() as folder:
        return _converted(_files(_qwen3(folder, closes=True).as_encoder().write()))


@cache
def judge(*, sane: bool = True) -> dict[str, bytes]:
    """A Qwen3 reranker, which scores a paraphrase higher than something unrelated if `sane`."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = _qwen3(folder, closes=False)
        if sane:
            outputs = np.copy(tiny.tensors["model.embed_tokens.weight"])
            answers = [tiny.id_of("yes"), tiny.id_of("no")]
            outputs[answers] = outputs[answers[::-1]]
            tiny.tensors["lm_head.weight"] = outputs
            tiny.config["tie_word_embeddings"] = False
        return _files(tiny.write())


def store(folder: Path, **entries: dict[str, Any]) -> ModelStore:
    """A store in `folder` whose own entries are models; each becomes a profile if an encoder."""
    document = tomlkit.document()
    document["models"] = {name.replace("_", "-"): entry for name, entry in entries.items()}
    path = folder / "models.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return ModelStore(folder / "models", path)


def _qwen3(folder: str, *, closes: bool) -> TinyQwen3:
    for module in ("safetensors", "tokenizers"):
        pytest.importorskip(module)
    from tests.gguf.tiny_qwen3 import TinyQwen3

    return TinyQwen3(Path(folder), closes=closes)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _converted(files: dict[str, bytes]) -> bytes:
    from skillrouter_gguf.convert import convert

    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        convert(Path(folder), Path(folder, "tiny.gguf"), "F32")
        return Path(folder, "tiny.gguf").read_bytes()
