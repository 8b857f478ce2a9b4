from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import gguf
from skillrouter_gguf import ConversionError
from skillrouter_gguf.convert.checkpoint import Checkpoint
from skillrouter_gguf.convert.pooling import read_pooling

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert

ST = "sentence_transformers.models"


def _read(bert: TinyBert) -> Any:
    with Checkpoint(bert.write()) as checkpoint:
        return read_pooling(checkpoint)


def _refused(bert: TinyBert) -> str:
    with pytest.raises(ConversionError) as caught:
        _read(bert)
    assert str(caught.value).startswith(str(bert.folder))
    return str(caught.value)


def test_mean(tiny_bert: TinyBert) -> None:
    assert _read(tiny_bert) == gguf.PoolingType.MEAN


def test_cls(tiny_bert: TinyBert) -> None:
    tiny_bert.pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    assert _read(tiny_bert) == gguf.PoolingType.CLS


def test_last_token(tiny_bert: TinyBert) -> None:
    tiny_bert.pooling = {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}
    assert _read(tiny_bert) == gguf.PoolingType.LAST


@pytest.mark.parametrize(("mode", "expected"), [("mean", 1), ("cls", 2), ("lasttoken", 3)])
def test_as_newer_settings_have_it(tiny_bert: TinyBert, mode: str, expected: int) -> None:
    tiny_bert.pooling = {"embedding_dimension": 64, "pooling_mode": mode, "include_prompt": True}
    assert _read(tiny_bert) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling_mode": "max"},
        {"pooling_mode": ["mean", "cls"]},
        {"pooling_mode": None},
        {},
        {"pooling_mode_mean_tokens": False},
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True},
    ],
)
def test_other_poolings_are_refused(tiny_bert: TinyBert, settings: dict[str, Any]) -> None:
    tiny_bert.pooling = settings
    message = _refused(tiny_bert)
    assert message.startswith(str(tiny_bert.folder / "1_Pooling" / "config.json"))
    assert "pooling must be mean, CLS or last token" in message


def test_a_layer_behind_the_pooling_is_refused(tiny_bert: TinyBert) -> None:
    tiny_bert.modules.append({"type": f"{ST}.Dense", "path": "3_Dense"})
    assert "modules that GGUF has no place for: Dense" in _refused(tiny_bert)


@pytest.mark.parametrize(("count", "found"), [(0, 0), (2, 2)])
def test_there_must_be_one_pooling(tiny_bert: TinyBert, count: int, found: int) -> None:
    tiny_bert.modules = [{"type": f"{ST}.Pooling", "path": "1_Pooling"}] * count
    assert f"expected one pooling module, found {found}" in _refused(tiny_bert)


@pytest.mark.parametrize("path", ["../1_Pooling", "/etc", "a/b", "..", "1_Pooling\0", "~"])
def test_a_module_lies_inside_the_checkpoint(tiny_bert: TinyBert, path: str) -> None:
    tiny_bert.modules[1]["path"] = path
    assert "modules.json: 1.path: String should match" in _refused(tiny_bert)


def test_a_pooling_module_without_settings(tiny_bert: TinyBert) -> None:
    tiny_bert.modules[1]["path"] = "9_Pooling"
    assert "can't be read" in _refused(tiny_bert)
    tiny_bert.modules[1]["path"] = ""
    assert f"{tiny_bert.folder / 'config.json'}: pooling must be" in _refused(tiny_bert)
