"""A sentence encoder of the BERT family in torch: mean pooling, vectors of length 1."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import AutoModel

_CHUNK_TOKENS = 2_048  # of a forward pass; what fits the processor's cache is fastest
_WEIGHTS = "model.safetensors"


class Encoder:
    """Encodes texts in chunks of like length, so that hardly any padding is computed.

    Args:
        folder: a sentence-transformers model: `config.json`, `model.safetensors` and
            `tokenizer.json`.
        tokens: texts are read up to so many, special tokens included.
    """

    def __init__(self, folder: Path, tokens: int = 192) -> None:
        self._folder = folder
        self._tokens = tokens
        self._bert = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(tokens, self._bert.config.max_position_embeddings))
        self._bert.eval()  # no dropout, in training neither: it costs time, and runs are short

    def trainable(self) -> list[torch.nn.Parameter]:
        """The weights to train: all but the embeddings, which hold half of all weights.

        Most tokens are seen too seldom in a run to learn anything about them.
        """
        self._bert.embeddings.requires_grad_(False)
        return [weight for weight in self._bert.parameters() if weight.requires_grad]

    def __call__(self, *groups: Sequence[str]) -> list[torch.Tensor]:
        """Vectors of each group of texts: shape (len(group), dimensions), rows of length 1."""
        texts = [text for group in groups for text in group]
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        vectors = torch.cat(
            [self._pooled([rows[n] for n in chunk]) for chunk in _chunks(order, rows)]
        )
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        ends = itertools.accumulate(map(len, groups), initial=0)
        return [vectors[back[start:end]] for start, end in itertools.pairwise(ends)]

    def _pooled(self, rows: list[list[int]]) -> torch.Tensor:
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        states = self._bert(input_ids=ids, attention_mask=mask).last_hidden_state
        summed = (states * mask[:, :, None]).sum(1)
        return torch.nn.functional.normalize(summed, dim=1)

    def encode(self, texts: Sequence[str], batch: int = 512) -> NDArray[np.float32]:
        """Vectors of any number of texts, with a progress bar and without gradients."""
        starts = tqdm(range(0, len(texts), batch), desc="encoding", mininterval=5)
        with torch.no_grad():
            parts = [self(texts[start : start + batch])[0].numpy() for start in starts]
        return np.concatenate(parts)

    @property
    def digest(self) -> str:
        """Tells this encoder's vectors from those of another."""
        return hashlib.sha256((self._folder / _WEIGHTS).read_bytes()).hexdigest() + str(
            self._tokens
        )

    def weights(self) -> dict[str, torch.Tensor]:
        """All tensors under the names of the published checkpoint."""
        return {name: value.contiguous() for name, value in self._bert.state_dict().items()}

    def load_weights(self, weights: dict[str, torch.Tensor]) -> None:
        """Replace all tensors."""
        self._bert.load_state_dict(weights)

    def save(self, folder: Path) -> None:
        """Write a model folder like the one that was read, with these weights."""
        shutil.copytree(
            self._folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_WEIGHTS)
        )
        save_file(self.weights(), folder / _WEIGHTS, metadata={"format": "pt"})


def _chunks(order: list[int], rows: list[list[int]]) -> list[list[int]]:
    """Rows of like length together, each chunk of about as many tokens."""
    chunks: list[list[int]] = [[]]
    for row in order:
        if chunks[-1] and len(rows[row]) * (len(chunks[-1]) + 1) > _CHUNK_TOKENS:
            chunks.append([])
        chunks[-1].append(row)
    return chunks
