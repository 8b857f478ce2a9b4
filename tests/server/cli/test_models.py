from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run, RunJson


def test_lists_models_and_profiles(run: Run, run_json: RunJson, settled: Path) -> None:
    listed = run_json("models", "list")
    assert listed["profile"] == "embedded"
    assert listed["profiles"]["embedded"] == "all-minilm-l6-v2"
    models = {model["name"]: model for model in listed["models"]}
    assert models["all-minilm-l6-v2"]["dimensions"] == 384
    assert "* embedded: " in run("models", "list").stdout


def test_a_checkpoint_is_converted(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    from tests.gguf.tiny_bert import TinyBert

    from skillrouter_gguf import describe_file

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    TinyBert(folder).write()
    target = tmp_path / "tiny.gguf"
    told = run("models", "convert", str(folder), str(target), "--weights", "F32").stdout
    assert told.startswith(f"{target}: encoder, ")
    assert describe_file(target).dimensions == 64


def test_what_cannot_be_converted_is_refused_with_a_reason(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    done = run("models", "convert", str(tmp_path), str(tmp_path / "x.gguf"), status=1)
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.gguf").exists()
