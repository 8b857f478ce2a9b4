from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.server.cli.conftest import Run, RunJson


def test_lists_models_and_profiles(run: Run, run_json: RunJson, settled: Path) -> None:
    listed = run_json("models", "list")
    assert listed["profile"] == "embedded"
    assert listed["profiles"]["embedded"] == "all-minilm-l6-v2"
    models = {model["name"]: model for model in listed["models"]}
    assert models["all-minilm-l6-v2"]["dimensions"] == 384
    assert "* embedded: " in run("models", "list").stdout
