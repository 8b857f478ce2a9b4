"""Texts of all sorts, made up at random: prose, Chinese, code, emoji, and odd characters."""

from __future__ import annotations

import random
from collections.abc import Iterator

_PROSE = (
    "merge split number page report table chart file folder commit branch deploy container query "
    "index schema migrate invoice photo résumé naïve Überprüfung coördinate façade skill agent's "
    "don't we'll they've I'm HTTP JSON README v2.0 3.14 2026-11-21 100% e-mail C++ #42 @user"
)
_EASTERN = (
    "合并多个文件 为每一页编号 把表格转换成图表 数据库迁移 部署到容器 请帮我写一份报告 "
    "检查代码中的错误 提取发票金额 翻译成英文 日本語の文書 한국어 문서"
)
_CODE = (
    "def merge(files: list[str]) -> None:\n    for name in files:\n        print(f'{name}')\n",
    "SELECT id, COUNT(*) FROM pages WHERE n >= 10 GROUP BY id;",
    "curl -sS https://example.org/a?b=c&d=%20 | jq '.items[0].name'",
    '```json\n{"key": [1, 2.5e-3, null], "path": "C:\\\\temp"}\n```',
    "if (x != y && !done) { return x << 2; } // TODO\n\n\n",
    "| a | b |\n|---|:-:|\n| 1 |   2 |\n",
    '\tgit commit -m "fix: don\'t crash"\r\n',
)
_EMOJI = ("🚀", "✅", "👩‍💻", "🇨🇳", "👍🏽", "❤️", "1️⃣", "🧑‍🔬📊", "…", "→", "∑≤∞")
_ODD = (
    "e\u0301",
    "\u00a0",
    "\u3000",
    "ＡＢＣ１２３",
    "ﬁne",
    "½",
    "Ω",
    "\u200b",
    "нет",
    "שלום",
    "ไทย",
)
_GAPS = (" ", " ", " ", "  ", "\n", "\n\n", "\t", ", ", ". ", ": ", "", "…")


def _pieces(source: random.Random) -> Iterator[str]:
    kinds = (_PROSE.split(), _EASTERN.split(), _CODE, _EMOJI, _ODD)
    while True:
        kind = source.choices(kinds, (12, 3, 1, 2, 1))[0]
        yield source.choice(kind)


def text(source: random.Random, characters: int) -> str:
    """A text of about so many characters."""
    parts: list[str] = []
    length = 0
    for piece in _pieces(source):
        part = piece + source.choice(_GAPS)
        parts.append(part)
        length += len(part)
        if length >= characters:
            return "".join(parts)
    raise AssertionError


def texts(count: int, characters: int, seed: int = 0) -> list[str]:
    """`count` texts of 1 to twice as many characters, the same ones every time."""
    source = random.Random(seed)
    return [text(source, source.randint(1, 2 * characters)) for _ in range(count)]
