from __future__ import annotations

import pytest

from skillrouter_gguf.normalisation import compose, keep, normaliser, strip_accents

MODEL, PRE = "tokenizer.ggml.model", "tokenizer.ggml.pre"
STRIP, LOWER = "tokenizer.ggml.normalizer.strip_accents", "tokenizer.ggml.normalizer.lowercase"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({MODEL: "gpt2", PRE: "qwen2"}, compose),
        ({MODEL: "gpt2", PRE: "llama-bpe"}, keep),
        ({MODEL: "t5"}, keep),
        ({MODEL: "bert"}, strip_accents),
        ({MODEL: "bert", STRIP: "true", LOWER: "false"}, strip_accents),
        ({MODEL: "bert", STRIP: "false", LOWER: "true"}, keep),
        ({MODEL: "bert", LOWER: "false"}, keep),
        ({}, keep),
    ],
)
def test_which_step_comes_first(metadata: dict[str, str], expected: object) -> None:
    assert normaliser(metadata.get) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Überprüfung façade Ångström", "Uberprufung facade Angstrom"),
        ("한", "\u1112\u1161\u11ab"),
        ("1\ufe0f\u20e3", "1\u20e3"),
        ("\u0915\u093e\u0902", "\u0915\u093e"),
    ],
)
def test_accents(text: str, expected: str) -> None:
    assert strip_accents(text) == expected


def test_composing() -> None:
    assert compose("e\u0301 \u1112\u1161\u11ab") == "é 한"
