from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_gguf import ModelFileError
from skillrouter_mcp.routing.models import (
    encoder_of,
    engine_key,
    model_store,
    profile_of,
    reranker_of,
)
from skillrouter_mcp.settings import Settings, SettingsError, load_settings


def _settings(home: Path, profile: str) -> Settings:
    return load_settings(home=home, profile=profile)


def test_the_embedded_profile_needs_no_folder(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "none")
    assert encoder_of(settings).embedded
    assert reranker_of(settings) is None
    assert not (tmp_path / "none").exists()


def test_models_of_the_user_s_own_are_ready_with_what_was_pinned(models_home: Path) -> None:
    settings = _settings(models_home, "both")
    encoder, reranker = encoder_of(settings), reranker_of(settings)
    assert encoder.name == "reader"
    assert encoder.sha256
    assert reranker is not None
    assert reranker.name == "judge"
    assert model_store(settings).path(reranker).is_file()


def test_a_model_that_is_not_there_says_what_to_run(models_home: Path) -> None:
    with pytest.raises(ModelFileError, match="models pull gone"):
        encoder_of(_settings(models_home, "lost"))
    with pytest.raises(ModelFileError, match="models pull missing"):
        reranker_of(_settings(models_home, "torn"))


def test_an_unknown_profile_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="setting 'profile': there is no profile 'nonesuch'"):
        profile_of(_settings(tmp_path, "nonesuch"))


def test_the_engine_is_told_apart_by_the_model_s_file(models_home: Path) -> None:
    encoder = encoder_of(_settings(models_home, "whole"))
    other = encoder.model_copy(update={"sha256": "0" * 64})
    assert engine_key(encoder) == engine_key(encoder.model_copy(update={"title": "another"}))
    assert engine_key(encoder) != engine_key(other)
