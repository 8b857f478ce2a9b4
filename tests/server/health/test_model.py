from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import skillrouter_gguf.model_file
from skillrouter_gguf import Encoder, load_catalogue
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.health.model import check_entries, check_model
from skillrouter_mcp.settings import load_settings

MODEL = load_catalogue().model("skillrouter-minilm-l6")
FILE = skillrouter_gguf.model_file.EMBEDDED / MODEL.file


def _check(**settings: object) -> Finding:
    (finding,) = check_model(load_settings(threads=1, **settings))
    assert finding.section == "models"
    return finding


def test_the_embedded_model_is_whole() -> None:
    finding = _check()
    assert (finding.subject, finding.status) == ("profile embedded", "ok")
    assert MODEL.name in finding.text


def test_an_unknown_profile_is_broken() -> None:
    finding = _check(profile="zz")
    assert (finding.subject, finding.status) == ("profile zz", "broken")
    assert "known are: " in finding.text
    assert "embedded" in finding.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is not there"),
        (b"GGUF", f"cut short at 4 of {MODEL.size:,} bytes"),
        (b"\0" * (MODEL.size or 0), "not a GGUF file"),
        (b"GGUF" + b"\0" * ((MODEL.size or 0) - 4), "its SHA-256 is"),
    ],
)
def test_a_model_file_that_is_not_whole_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    monkeypatch.setattr(skillrouter_gguf.model_file, "EMBEDDED", tmp_path)
    if content is not None:
        (tmp_path / MODEL.file).write_bytes(content)
    finding = _check()
    assert finding.status == "broken"
    assert finding.text.startswith(f"{tmp_path / MODEL.file}: ")
    assert said in finding.text
    assert "Reinstall" in finding.text


def test_a_model_that_computes_something_else_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Encoder.encode_documents

    def mix_up(encoder: Encoder, texts: list[str]) -> object:
        return np.ascontiguousarray(encode(encoder, texts)[[0, 2, 1]])

    monkeypatch.setattr(Encoder, "encode_documents", mix_up)
    finding = _check()
    assert finding.status == "broken"
    assert "unrelated" in finding.text


@pytest.mark.parametrize(
    ("profile", "status", "said"),
    [
        ("torn", "problem", "the model missing is not here yet"),
        ("judged", "problem", "judge"),  # its weights are random
    ],
)
def test_a_reranker_that_is_of_no_use_is_a_problem(
    models_home: Path, profile: str, status: str, said: str
) -> None:
    settings = load_settings(home=models_home, profile=profile, threads=1)
    encoder, reranker = check_model(settings)
    assert encoder.status == "ok"
    assert (reranker.check, reranker.status) == ("reranker", status)
    assert said in reranker.text


def test_a_reranker_that_works_is_told(models_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skillrouter_mcp.health.model.check_reranker", lambda _: None)
    settings = load_settings(home=models_home, profile="judged", threads=1)
    _, reranker = check_model(settings)
    assert reranker.status == "ok"
    assert reranker.text == "judge is whole and tells a match from a mismatch"


def test_an_entry_that_is_left_out_is_told(tmp_path: Path) -> None:
    assert list(check_entries(load_settings(home=tmp_path))) == []
    (tmp_path / "models.toml").write_text('[models.mine]\nkind = "encoder"\n', encoding="utf-8")
    findings = list(check_entries(load_settings(home=tmp_path)))
    assert findings
    for finding in findings:
        assert finding.status == "problem"
        assert "models.mine" in finding.text
