"""BERT as its paper has it, in float32 numpy: what llama.cpp's vectors are held against.

Reads the published checkpoint, not the GGUF file, and tokenises with the `tokenizers` library, so
that it shares nothing with what it judges. Follows Devlin et al. 2019 (post-norm encoder, exact
GELU) and, for the pooled vector, Reimers and Gurevych 2019 (mean over all tokens, or the first); as
a cross-encoder Nogueira and Cho 2019.
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


class BertReference:
    """The encoder in `folder`: config.json, model.safetensors, tokenizer.json, 1_Pooling."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
        self._layers: int = config["num_hidden_layers"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["layer_norm_eps"]
        self._mean: bool = pooling["pooling_mode_mean_tokens"]
        self._weights = {
            name.removeprefix("bert."): values
            for name, values in load_file(folder / "model.safetensors").items()
        }
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()

    def tokenise(self, text: str, limit: int) -> list[int]:
        """At most `limit` token ids, the closing one kept."""
        self._tokenizer.enable_truncation(limit)
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def encode(self, ids: list[int]) -> Floats:
        """The pooled vector of a text's token ids, of length 1."""
        states = self._states(ids, [0] * len(ids))
        vector = states.mean(axis=0) if self._mean else states[0]
        unit: Floats = vector / np.linalg.norm(vector)
        return unit

    def classify(self, query: str, document: str, limit: int) -> float:
        """The logit for a pair; of what is too long, the document loses its end."""
        self._tokenizer.enable_truncation(limit, strategy="only_second")
        pair = self._tokenizer.encode(query, document)
        first = self._states(pair.ids, pair.type_ids)[0]
        (logit,) = self._linear("classifier", np.tanh(self._linear("pooler.dense", first)))
        return float(logit)

    def _states(self, ids: list[int], segments: list[int]) -> Floats:
        """The vectors of all tokens."""
        states = self._embedding("word")[ids] + self._embedding("position")[: len(ids)]
        states = self._norm(
            "embeddings.LayerNorm", states + self._embedding("token_type")[segments]
        )
        for number in range(self._layers):
            layer = f"encoder.layer.{number}"
            states = self._norm(
                f"{layer}.attention.output.LayerNorm", states + self._attention(layer, states)
            )
            inner = _gelu(self._linear(f"{layer}.intermediate.dense", states))
            states = self._norm(
                f"{layer}.output.LayerNorm",
                states + self._linear(f"{layer}.output.dense", inner),
            )
        return states

    def _attention(self, layer: str, states: Floats) -> Floats:
        query, key, value = (
            self._linear(f"{layer}.attention.self.{part}", states)
            .reshape(len(states), self._heads, -1)
            .swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / sqrt(query.shape[-1])
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value).swapaxes(0, 1).reshape(states.shape)
        return self._linear(f"{layer}.attention.output.dense", mixed)

    def _embedding(self, kind: str) -> Floats:
        return self._weights[f"embeddings.{kind}_embeddings.weight"]

    def _linear(self, name: str, values: Floats) -> Floats:
        product: Floats = values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return product

    def _norm(self, name: str, values: Floats) -> Floats:
        centred = values - values.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._epsilon)
        normed: Floats = (
            centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return normed


def _gelu(values: Floats) -> Floats:
    """x times the normal distribution's cumulative function, by Abramowitz and Stegun 7.1.26."""
    z = np.abs(values) / sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    polynomial = t * np.polynomial.polynomial.polyval(t, terms)
    erf = np.sign(values) * (1 - polynomial * np.exp(-(z**2)))
    product: Floats = (values * (1 + erf) / 2).astype(np.float32)
    return product
