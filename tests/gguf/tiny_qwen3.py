from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tests.gguf.tiny_tokenizers import qwen_tokenizer

from skillrouter_gguf import Model

TEMPLATE = (
    "<|im_start|>system\nAnswer yes or no.<|im_end|>\n<|im_start|>user\n<Instruct>: Judge the skill"
    "\n\n<Query>: {query}\n\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n"
    "</think>\n\n"
)


class TinyQwen3:
    """A Qwen3 checkpoint of two layers with random weights: change its parts, then `write` it."""

    def __init__(self, folder: Path, *, closes: bool) -> None:
        self.folder = folder
        self.tokenizer: dict[str, Any] = json.loads(_tokenizer(closes))
        rows = len(self.tokenizer["model"]["vocab"]) + len(self.tokenizer["added_tokens"])
        self.config: dict[str, Any] = {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 32,
            "intermediate_size": 96,
            "max_position_embeddings": 2048,
            "vocab_size": rows + 5,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1e6,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "eos_token_id": self.id_of("<|im_end|>"),
        }
        self.files: dict[str, Any] = {}
        self.tensors = self.random_tensors()

    def id_of(self, token: str) -> int:
        """The id of a token, added ones included."""
        added = {entry["content"]: entry["id"] for entry in self.tokenizer["added_tokens"]}
        number: int = (self.tokenizer["model"]["vocab"] | added)[token]
        return number

    def random_tensors(self) -> dict[str, NDArray[Any]]:
        """Weights of the shapes that `config` asks for."""
        random = np.random.default_rng(7)
        width, inner = self.config["hidden_size"], self.config["intermediate_size"]
        single = self.config["head_dim"]
        heads = self.config["num_attention_heads"] * single
        shared = self.config["num_key_value_heads"] * single
        shapes: dict[str, tuple[int, ...]] = {
            "model.embed_tokens.weight": (self.config["vocab_size"], width),
            "model.norm.weight": (width,),
        }
        for number in range(self.config["num_hidden_layers"]):
            for name, shape in (
                ("input_layernorm", (width,)),
                ("post_attention_layernorm", (width,)),
                ("self_attn.q_proj", (heads, width)),
                ("self_attn.k_proj", (shared, width)),
                ("self_attn.v_proj", (shared, width)),
                ("self_attn.o_proj", (width, heads)),
                ("self_attn.q_norm", (single,)),
                ("self_attn.k_norm", (single,)),
                ("mlp.gate_proj", (inner, width)),
                ("mlp.up_proj", (inner, width)),
                ("mlp.down_proj", (width, inner)),
            ):
                shapes[f"model.layers.{number}.{name}.weight"] = shape
        return {
            name: random.normal(float(len(shape) == 1), 0.1, shape).astype(np.float32)
            for name, shape in shapes.items()
        }

    def as_encoder(self) -> TinyQwen3:
        """With sentence-transformers' files, as Qwen3-Embedding is published."""
        self.files["modules.json"] = [
            {"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
            {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"},
        ]
        self.files["1_Pooling/config.json"] = {
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": False,
            "pooling_mode_lasttoken": True,
        }
        return self

    def write(self) -> Path:
        """Write all files; gives the folder."""
        from safetensors.numpy import save_file

        files = {"config.json": self.config, "tokenizer.json": self.tokenizer, **self.files}
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")
        save_file(self.tensors, self.folder / "model.safetensors")
        return self.folder

    def entry(self, kind: Literal["encoder", "reranker"], **changes: Any) -> Model:
        """What a catalogue would say of it."""
        content = {
            "name": "tiny",
            "kind": kind,
            "title": "Tiny",
            "file": "tiny.gguf",
            "dimensions": self.config["hidden_size"] if kind == "encoder" else 0,
            "context": self.config["max_position_embeddings"],
            "pooling": "last" if kind == "encoder" else "rank",
            "languages": ["en"],
            "licence": "Apache-2.0",
            "source": "nowhere",
        }
        return Model.model_validate(content | changes)


@cache
def _tokenizer(closes: bool) -> str:
    content: str = qwen_tokenizer(closes=closes, also=[TEMPLATE]).to_str()
    return content
