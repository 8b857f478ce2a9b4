from __future__ import annotations

import pytest

from skillrouter_mcp.index.analysis import expand


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain English, v1.2", ["plain", "English,", "v1.2"]),
        ("call getUserName now", ["call", "getUserName", "now", "get", "User", "Name"]),
        ("parseHTTPResponse", ["parseHTTPResponse", "parse", "HTTP", "Response"]),
        ("a_getB, aB2 and éE", ["a_getB,", "aB2", "and", "éE", "a_get", "B", "a", "B2"]),
        ("naïve café", ["naïve", "café"]),
        ("wątekGłówny", ["wątekGłówny", "wątek", "Główny"]),
        ("用GitHub", ["用", "GitHub", "Git", "Hub"]),
        ("テスト", ["テス", "スト"]),
        ("", []),
    ],
)
def test_what_the_tokenizer_cannot_see_is_spelled_out(text: str, words: list[str]) -> None:
    assert expand(text).split() == words


def test_chinese_becomes_pairs_and_english() -> None:
    words = expand("写K8s健康检查").split()
    assert {"K8s", "健康", "康检", "检查"} <= set(words)
    assert {"health", "check"} <= set(words)
