"""A home whose own entries are profiles of tiny models."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import tomlkit
from tests.gguf.tiny_bert import TinyBert
from tests.gguf.tiny_qwen3 import TEMPLATE, TinyQwen3

from skillrouter_gguf.convert import convert
from skillrouter_gguf.pins import Pin, write_pin

FULL_TEXT = "{name} | {description} | {body}"
ENTRIES: dict[str, dict[str, Any]] = {
    "judge": {
        "kind": "reranker",
        "context": 1024,
        "pooling": "rank",
        "document_template": FULL_TEXT,
        "query_characters": 300,
        "description_characters": 40,
        "body_characters": 400,
        "languages": ["multilingual"],
    },
    "english-judge": {
        "kind": "reranker",
        "context": 1024,
        "pooling": "rank",
        "languages": ["en"],
    },
    "cross": {"kind": "reranker", "context": 48, "pooling": "rank", "languages": ["multilingual"]},
    "reader": {
        "kind": "encoder",
        "dimensions": 64,
        "context": 200,
        "pooling": "last",
        "query_prefix": "Instruct: find\nQuery:",
        "document_template": FULL_TEXT,
        "query_characters": 300,
        "description_characters": 40,
        "body_characters": 600,
        "languages": ["multilingual"],
    },
    "missing": {"kind": "reranker", "context": 99, "pooling": "rank"},
    "gone": {"kind": "encoder", "dimensions": 64, "context": 99, "pooling": "mean"},
}
_MINILM = "skillrouter-minilm-l6"
PROFILES: dict[str, dict[str, Any]] = {
    "judged": {"encoder": _MINILM, "reranker": "judge", "candidates": 5},
    "english": {"encoder": _MINILM, "reranker": "english-judge"},
    "crossed": {"encoder": _MINILM, "reranker": "cross"},
    "whole": {"encoder": "reader"},
    "both": {"encoder": "reader", "reranker": "judge"},
    "torn": {"encoder": _MINILM, "reranker": "missing"},
    "lost": {"encoder": "gone"},
}


def make_home(home: Path) -> Path:
    """Makes the models and their entries; gives the home."""
    models = home / "models"
    models.mkdir(parents=True)
    judge = TinyQwen3(home / "judge", closes=False)
    convert(judge.write(), models / "judge.gguf", "F32", kind="reranker", template=TEMPLATE)
    convert(TinyQwen3(home / "reader", closes=True).as_encoder().write(), models / "reader.gguf")
    convert(TinyBert(home / "cross").as_cross_encoder().write(), models / "cross.gguf", "F32")
    document = tomlkit.document()
    document["models"], document["profiles"] = {}, PROFILES
    for name, entry in ENTRIES.items():
        file = models / f"{name.removeprefix('english-')}.gguf"
        document["models"][name] = entry | {"path": str(file)}
        if file.exists():
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            write_pin(models, name, Pin(path=file, size=len(content), sha256=digest))
    (home / "models.toml").write_text(tomlkit.dumps(document), encoding="utf-8")
    return home
