"""Qwen3 as its report has it, in float32 numpy: what llama.cpp's numbers are held against.

Reads the published checkpoint, not the GGUF file, and tokenises with the `tokenizers` library, so
that it shares nothing with what it judges. Yang et al. 2025: pre-norm decoder with RMSNorm (Zhang
and Sennrich 2019), grouped queries (Ainslie et al. 2023) with normed queries and keys, rotary
positions (Su et al. 2021) over halves, SwiGLU (Shazeer 2020).
"""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Floats = NDArray[np.float32]


class Qwen3Reference:
    """The model in `folder`: config.json, model.safetensors, tokenizer.json."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self._layers: int = config["num_hidden_layers"]
        self._single: int = config["head_dim"]
        self._groups: int = config["num_attention_heads"] // config["num_key_value_heads"]
        self._epsilon: float = config["rms_norm_eps"]
        self._theta: float = config["rope_theta"]
        self._weights = {
            name.removeprefix("model."): values
            for name, values in load_file(folder / "model.safetensors").items()
        }
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def tokenise(self, text: str) -> list[int]:
        """Token ids; special tokens written out in `text` are those tokens."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def encode(self, ids: list[int]) -> Floats:
        """The last token's vector, of length 1."""
        vector = self._last(ids)
        unit: Floats = vector / np.linalg.norm(vector)
        return unit

    def judge(self, prompt: str) -> float:
        """Of the token that follows, the log odds of "yes" against "no"."""
        yes, no = (self._tokenizer.token_to_id(answer) for answer in ("yes", "no"))
        outputs = self._weights.get("lm_head.weight", self._weights["embed_tokens.weight"])
        return float((outputs[yes] - outputs[no]) @ self._last(self.tokenise(prompt)))

    def _last(self, ids: list[int]) -> Floats:
        states = self._weights["embed_tokens.weight"][ids]
        for number in range(self._layers):
            layer = f"layers.{number}"
            states = states + self._attention(
                f"{layer}.self_attn", self._norm(f"{layer}.input_layernorm", states)
            )
            normed = self._norm(f"{layer}.post_attention_layernorm", states)
            gate = self._linear(f"{layer}.mlp.gate_proj", normed)
            up = self._linear(f"{layer}.mlp.up_proj", normed)
            inner = gate / (1 + np.exp(-gate)) * up
            states = states + self._linear(f"{layer}.mlp.down_proj", inner)
        last: Floats = self._norm("norm", states)[-1]
        return last

    def _attention(self, name: str, states: Floats) -> Floats:
        query, key, value = (
            self._linear(f"{name}.{part}_proj", states)
            .reshape(len(states), -1, self._single)
            .swapaxes(0, 1)
            for part in "qkv"
        )
        query = self._rotated(self._norm(f"{name}.q_norm", query))
        key = self._rotated(self._norm(f"{name}.k_norm", key))
        key, value = (part.repeat(self._groups, axis=0) for part in (key, value))
        scores = query @ key.swapaxes(1, 2) / np.float32(sqrt(self._single))
        scores += np.triu(np.full(scores.shape[1:], -np.inf, dtype=np.float32), 1)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value).swapaxes(0, 1).reshape(len(states), -1)
        return self._linear(f"{name}.o_proj", mixed)

    def _rotated(self, values: Floats) -> Floats:
        half = self._single // 2
        speeds = self._theta ** -(np.arange(half) / half)
        angles = np.outer(np.arange(values.shape[1]), speeds)
        cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        first, second = values[..., :half], values[..., half:]
        turned: Floats = np.concatenate(
            [first * cosine - second * sine, second * cosine + first * sine], axis=-1
        )
        return turned

    def _linear(self, name: str, values: Floats) -> Floats:
        product: Floats = values @ self._weights[f"{name}.weight"].T
        return product

    def _norm(self, name: str, values: Floats) -> Floats:
        scale = np.sqrt((values**2).mean(axis=-1, keepdims=True) + np.float32(self._epsilon))
        normed: Floats = values / scale * self._weights[f"{name}.weight"]
        return normed
