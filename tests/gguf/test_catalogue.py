from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_gguf import CatalogueError, load_catalogue, read_catalogue

ENTRY = """
kind = "encoder"
title = "Small"
file = "small.gguf"
dimensions = 8
context = 16
pooling = "mean"
languages = ["en"]
licence = "MIT"
source = "https://example.org/small"
"""


def _read(folder: Path, content: str) -> object:
    path = folder / "catalogue.toml"
    path.write_text(content, encoding="utf-8")
    return read_catalogue(path)


def test_its_own_catalogue_is_whole() -> None:
    catalogue = load_catalogue()
    for name, model in catalogue.models.items():
        assert model.name == name
        assert model.embedded or model.source.startswith("https://")
        assert model.licence
    for name, profile in catalogue.profiles.items():
        assert profile.name == name
        assert catalogue.model(profile.encoder).kind == "encoder"


def test_a_file_to_be_downloaded_has_a_digest() -> None:
    assert all(model.sha256 for model in load_catalogue().models.values())


def test_prefixes_reach_the_model_as_it_was_trained() -> None:
    catalogue = load_catalogue()
    query = catalogue.model("qwen3-embedding-0_6b").query_prefix
    assert query.startswith("Instruct: ")
    assert query.endswith(" complete the task\nQuery:")
    assert catalogue.model("snowflake-arctic-embed-xs").query_prefix.endswith("passages: ")
    assert catalogue.model("all-minilm-l6-v2").query_prefix == ""


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(
        f'[models.small]{ENTRY}[profiles.mine]\ntitle = "Mine"\nencoder = "small"', encoding="utf-8"
    )
    catalogue = read_catalogue(path)
    assert catalogue.model("small").dimensions == 8
    assert catalogue.model(catalogue.profile("mine").encoder).name == "small"


def test_an_empty_file_is_an_empty_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    path.touch()
    assert read_catalogue(path).models == {}


@pytest.mark.parametrize("kind", ["model", "profile"])
def test_an_unknown_name_is_answered_with_the_known_ones(kind: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        getattr(load_catalogue(), kind)("zz")
    assert f"there is no {kind} 'zz'" in str(caught.value)
    known = {"model": "all-minilm-l6-v2, qwen3-embedding-0_6b", "profile": "embedded"}
    assert f"known are: {known[kind]}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[models", "not valid TOML"),
        ("models = 3", "models: Input should be a valid dictionary"),
        ("[models]\nsmall = 3", "models.small: Input should be"),
        (f"[model.small]{ENTRY}", "model: Extra inputs are not permitted"),
        (f"[models.small]{ENTRY}colour = 1", "models.small.colour: Extra inputs"),
        (f"[models.small]{ENTRY}sha256 = 'AB'", "models.small.sha256: String should match"),
        (f"[models.small]{ENTRY}size = 0", "models.small.size: Input should be greater than 0"),
        (f"[models.small]{ENTRY}".replace("mean", "max"), "models.small.pooling: Input should be"),
        ("[models.small]\nkind = 'encoder'", "models.small.title: Field required"),
        ("[profiles.mine]\ntitle = 'x'\nencoder = 'zz'", "profile mine: no encoder 'zz'"),
        (
            f"[models.small]{ENTRY}[profiles.mine]\ntitle = 'x'\nencoder = 'small'".replace(
                '"encoder"', '"reranker"'
            ).replace("mean", "rank"),
            "profile mine: no encoder 'small'",
        ),
        (
            f"[models.small]{ENTRY}".replace("mean", "rank"),
            "models.small: Value error, pooling: rank is what a reranker has",
        ),
        (
            f"[models.small]{ENTRY}".replace('"encoder"', '"reranker"'),
            "models.small: Value error, pooling: rank is what a reranker has",
        ),
        (
            f"[models.small]{ENTRY}".replace("dimensions = ", "dimensions = 0 # "),
            "models.small: Value error, dimensions: an encoder has some",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_place_and_reason(
    tmp_path: Path, content: str, said: str
) -> None:
    with pytest.raises(CatalogueError) as caught:
        _read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'catalogue.toml'}: ")
    assert said in str(caught.value)
    assert ": : " not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="can't be read"):
        read_catalogue(tmp_path / "zz.toml")
    path = tmp_path / "catalogue.toml"
    path.write_bytes(b"title = '\xff'")
    with pytest.raises(CatalogueError, match="not valid TOML"):
        read_catalogue(path)
