from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skillrouter_gguf import Encoder, Model, Reranker

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = ("merge", "the", "file", "pdf", "page", "number", "##ing", "Merge", "##é", "文")


class TinyBert:
    """A BERT checkpoint of two layers with random weights: change its parts, then `write` it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        characters = string.ascii_letters + string.digits + string.punctuation
        vocabulary = [*_SPECIAL, *characters, *(f"##{letter}" for letter in characters), *_WORDS]
        self.config: dict[str, Any] = {
            "model_type": "bert",
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 128,
            "max_position_embeddings": 48,
            "vocab_size": len(vocabulary),
            "type_vocab_size": 2,
            "layer_norm_eps": 1e-12,
            "hidden_act": "gelu",
        }
        self.modules: Any = [
            {"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
            {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
        ]
        self.pooling: dict[str, Any] = {
            "word_embedding_dimension": 64,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
        }
        self.tokenizer: dict[str, Any] = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": number,
                    "content": token,
                    "special": True,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                }
                for number, token in enumerate(_SPECIAL)
            ],
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece",
                "vocab": {token: number for number, token in enumerate(vocabulary)},
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
            },
        }
        self.tensors = self.random_tensors()

    def random_tensors(self) -> dict[str, NDArray[Any]]:
        """Weights of the shapes that `config` asks for, wide enough to tell texts apart."""
        random = np.random.default_rng(7)
        width, inner = self.config["hidden_size"], self.config["intermediate_size"]
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.word_embeddings.weight": (self.config["vocab_size"], width),
            "embeddings.position_embeddings.weight": (
                self.config["max_position_embeddings"],
                width,
            ),
            "embeddings.token_type_embeddings.weight": (self.config["type_vocab_size"], width),
            "embeddings.LayerNorm.weight": (width,),
        }
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{number}"
            for part in ("self.query", "self.key", "self.value", "output.dense"):
                shapes[f"{layer}.attention.{part}.weight"] = (width, width)
            shapes[f"{layer}.intermediate.dense.weight"] = (inner, width)
            shapes[f"{layer}.output.dense.weight"] = (width, inner)
            shapes[f"{layer}.attention.output.LayerNorm.weight"] = (width,)
            shapes[f"{layer}.output.LayerNorm.weight"] = (width,)
        tensors: dict[str, NDArray[Any]] = {}
        for name, shape in shapes.items():
            centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            tensors[name] = random.normal(centre, 0.2, shape).astype(np.float32)
            if "_embeddings" not in name:
                bias = random.normal(0, 0.1, shape[0]).astype(np.float32)
                tensors[f"{name.removesuffix('weight')}bias"] = bias
        return tensors

    def as_cross_encoder(self) -> TinyBert:
        """With pooler and classifier, as sentence-transformers' cross-encoders are published."""
        random = np.random.default_rng(9)
        width = self.config["hidden_size"]
        self.config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}
        self.tensors = {f"bert.{name}": values for name, values in self.tensors.items()}
        for name, shape in (
            ("bert.pooler.dense.weight", (width, width)),
            ("bert.pooler.dense.bias", (width,)),
            ("classifier.weight", (1, width)),
            ("classifier.bias", (1,)),
        ):
            self.tensors[name] = random.normal(0, 0.3, shape).astype(np.float32)
        return self

    def write(self) -> Path:
        """Write all files; gives the folder."""
        from safetensors.numpy import save_file

        for name, content in (
            ("config.json", self.config),
            ("modules.json", self.modules),
            ("1_Pooling/config.json", self.pooling),
            ("tokenizer.json", self.tokenizer),
        ):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")
        save_file(self.tensors, self.folder / "model.safetensors")
        return self.folder

    def open_reranker(self, file: Path) -> Reranker:
        """The cross-encoder that `file`, converted from this checkpoint, should hold."""
        return Reranker.open(self._entry(file, "reranker", "rank", 0), path=file, threads=1)

    def open(self, file: Path) -> Encoder:
        """The encoder that `file`, converted from this checkpoint, should hold."""
        pooling = "mean" if self.pooling["pooling_mode_mean_tokens"] else "cls"
        model = self._entry(file, "encoder", pooling, self.config["hidden_size"])
        return Encoder.open(model, path=file, threads=1)

    def _entry(self, file: Path, kind: str, pooling: str, dimensions: int) -> Model:
        return Model.model_validate(
            {
                "name": "tiny",
                "kind": kind,
                "title": "Tiny",
                "file": file.name,
                "dimensions": dimensions,
                "context": self.config["max_position_embeddings"],
                "pooling": pooling,
                "languages": ["en"],
                "licence": "Apache-2.0",
                "source": "nowhere",
            }
        )
