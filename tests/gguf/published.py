"""Tiny models with random weights, saved by `transformers`, and what `transformers` makes of them.

Holds nothing of llama.cpp or GGUF. Needs `torch` and `transformers`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from tests.gguf import tiny_tokenizers
from tokenizers import Tokenizer

Floats = NDArray[np.float32]

_MODULES = [
    {"path": path, "type": f"sentence_transformers.models.{name}"}
    for path, name in (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
]
# Its signatures are too loose to be checked.
_models: Any = transformers
_SPREAD = 0.1
_CLASSIFIER_SPREAD = 0.5  # so that scores are not all alike
# Tiny models gain nothing from more, and llama.cpp has threads of its own.
torch.set_num_threads(1)


def qwen3_encoder(folder: Path, positions: int = 4096) -> Published:
    """Saved without its output layer, as Qwen3-Embedding is."""
    tokenizer = tiny_tokenizers.qwen_tokenizer(closes=True)
    model = _models.Qwen3Model(_qwen3_config(tokenizer, positions))
    return _save(folder, model, tokenizer, pooling="lasttoken")


def qwen3_reranker(folder: Path, positions: int = 4096, **changes: Any) -> Published:
    """Saved as a language model, as Qwen3-Reranker is."""
    tokenizer = tiny_tokenizers.qwen_tokenizer(closes=False)
    config = _qwen3_config(tokenizer, positions, **changes)
    return _save(folder, _models.Qwen3ForCausalLM(config), tokenizer)


def bert_encoder(folder: Path, pooling: str) -> Published:
    tokenizer = tiny_tokenizers.bert_tokenizer()
    return _save(folder, _models.BertModel(_bert_config(tokenizer)), tokenizer, pooling)


def e5_encoder(folder: Path) -> Published:
    """BERT with XLM-RoBERTa's tokenizer, as multilingual-e5-small is."""
    tokenizer = tiny_tokenizers.xlmr_tokenizer()
    config = _bert_config(tokenizer, rows=tokenizer.get_vocab_size() + 13)
    return _save(folder, _models.BertModel(config), tokenizer, "mean")


def bert_cross_encoder(folder: Path) -> Published:
    tokenizer = tiny_tokenizers.bert_tokenizer()
    config = _bert_config(tokenizer, num_labels=1)
    return _save(folder, _models.BertForSequenceClassification(config), tokenizer)


def xlmr_cross_encoder(folder: Path) -> Published:
    """XLM-RoBERTa with a classifier, as the BGE rerankers are."""
    tokenizer = tiny_tokenizers.xlmr_tokenizer()
    config = _models.XLMRobertaConfig(
        **_bert_shape(tokenizer.get_vocab_size()),
        type_vocab_size=1,
        max_position_embeddings=514,
        pad_token_id=1,
        num_labels=1,
    )
    return _save(folder, _models.XLMRobertaForSequenceClassification(config), tokenizer)


class Published:
    """A folder as it would be downloaded, and its model in float32."""

    def __init__(self, folder: Path, model: Any, tokenizer: Tokenizer, pooling: str | None) -> None:
        self.folder = folder
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._pooling = pooling

    def tokenise(self, text: str, limit: int | None = None) -> list[int]:
        """Token ids, special ones around them; at most `limit`, the closing one kept."""
        if limit is None:
            self._tokenizer.no_truncation()
        else:
            self._tokenizer.enable_truncation(limit)
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def encode(self, ids: list[int]) -> Floats:
        """The pooled vector of a text's token ids, of length 1."""
        with torch.inference_mode():
            states = self._model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        pooled = {"mean": states.mean(0), "cls": states[0]}.get(self._pooling or "", states[-1])
        vector: Floats = torch.nn.functional.normalize(pooled, dim=0).numpy()
        return vector

    def judge(self, prompt: str) -> float:
        """Of a causal model's next token, the log odds of "yes" against "no"."""
        ids = self._tokenizer.encode(prompt).ids
        yes, no = (self._tokenizer.token_to_id(answer) for answer in ("yes", "no"))
        with torch.inference_mode():
            logits = self._model(input_ids=torch.tensor([ids])).logits[0, -1]
        return float(logits[yes] - logits[no])

    def classify(self, query: str, document: str, limit: int) -> float:
        """A cross-encoder's logit; of what is too long, the document loses its end."""
        self._tokenizer.enable_truncation(limit, strategy="only_second")
        pair = self._tokenizer.encode(query, document)
        kinds = torch.tensor([pair.type_ids])
        if self._model.config.type_vocab_size == 1:
            kinds = torch.zeros_like(kinds)
        with torch.inference_mode():
            output = self._model(input_ids=torch.tensor([pair.ids]), token_type_ids=kinds)
        return float(output.logits[0, 0])


def _save(folder: Path, model: Any, tokenizer: Tokenizer, pooling: str | None = None) -> Published:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, values in model.named_parameters():
            scales = values.ndim == 1 and "norm" in name.lower() and not name.endswith("bias")
            centre = 1.0 if scales else 0.0
            classifies = values.ndim > 1 and len(values) == 1
            spread = _CLASSIFIER_SPREAD if classifies else _SPREAD
            values.copy_(torch.normal(centre, spread, values.shape, generator=random))
    model.save_pretrained(folder)
    tiny_tokenizers.save(tokenizer, folder)
    if pooling:
        (folder / "modules.json").write_text(json.dumps(_MODULES))
        (folder / "1_Pooling").mkdir()
        settings = {"embedding_dimension": model.config.hidden_size, "pooling_mode": pooling}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    return Published(folder, model, tokenizer, pooling)


def _qwen3_config(tokenizer: Tokenizer, positions: int, **changes: Any) -> Any:
    end = tokenizer.token_to_id(tiny_tokenizers.QWEN_SPECIAL[0])
    shape = {
        "vocab_size": tokenizer.get_vocab_size() + 7,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 128,
        "max_position_embeddings": positions,
        "rope_theta": 1e6,
        "tie_word_embeddings": True,
        "eos_token_id": end,
        "bos_token_id": end,
    }
    return _models.Qwen3Config(**{**shape, **changes})


def _bert_config(tokenizer: Tokenizer, rows: int | None = None, **changes: Any) -> Any:
    return _models.BertConfig(
        **_bert_shape(rows or tokenizer.get_vocab_size()), max_position_embeddings=512, **changes
    )


def _bert_shape(rows: int) -> dict[str, int]:
    return {
        "vocab_size": rows,
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
