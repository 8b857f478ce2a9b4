from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_gguf import Catalogue, CatalogueError, load_catalogue, read_catalogue

ENTRY = """
kind = "encoder"
title = "Small"
file = "small.gguf"
dimensions = 8
context = 16
pooling = "mean"
languages = ["en"]
licence = "MIT"
repo = "example/small"
"""
OWN_FILE = """
kind = "reranker"
path = "/models/own.gguf"
context = 512
pooling = "rank"
"""
PROFILE = "\n[profiles.mine]\nencoder = 'small'\n"


def _read(folder: Path, content: str) -> object:
    path = folder / "catalogue.toml"
    path.write_text(content, encoding="utf-8")
    return read_catalogue(path)


def test_its_own_catalogue_is_whole() -> None:
    catalogue = load_catalogue()
    for name, model in catalogue.models.items():
        assert model.name == name
        assert model.title
        assert model.source.startswith("https://")
        assert model.licence != "unknown"
        assert model.languages != ("unknown",)
        assert model.embedded != bool(model.repo)
    for name, profile in catalogue.profiles.items():
        assert profile.name == name
        assert profile.title
        assert [catalogue.model(model).kind for model in profile.models] in (
            ["encoder"],
            ["encoder", "reranker"],
        )


def test_the_profiles_that_come_with_it() -> None:
    profiles = {name: profile.models for name, profile in load_catalogue().profiles.items()}
    assert profiles == {
        "embedded": ("skillrouter-minilm-l6",),
        "edge": ("skillret-edge-22m",),
        "multilingual": ("multilingual-e5-small",),
        "skillrouter": ("skillrouter-embedding-0_6b", "skillrouter-reranker-0_6b"),
        "r3": ("r3-embedding-0_6b", "r3-reranker-0_6b"),
        "qwen3": ("qwen3-embedding-0_6b", "qwen3-reranker-0_6b"),
    }


def test_only_one_licence_is_not_a_free_one() -> None:
    bound = [model.name for model in load_catalogue().models.values() if not model.free]
    assert bound == ["embeddinggemma-300m"]


def test_prefixes_reach_the_model_as_it_was_trained() -> None:
    catalogue = load_catalogue()
    query = catalogue.model("qwen3-embedding-0_6b").query_prefix
    assert query.startswith("Instruct: ")
    assert query.endswith(" complete the task\nQuery:")
    assert catalogue.model("snowflake-arctic-embed-xs").query_prefix.endswith("passages: ")
    assert catalogue.model("skillrouter-minilm-l6").query_prefix == ""
    assert catalogue.model("r3-embedding-0_6b").query_prefix.endswith("solves it.\nQuery: ")
    e5 = catalogue.model("multilingual-e5-small")
    assert (e5.query_prefix, e5.document_prefix) == ("query: ", "passage: ")


def test_rerankers_are_asked_with_their_own_instruction() -> None:
    catalogue = load_catalogue()
    asked = {
        name: catalogue.model(f"{name}-reranker-0_6b").template
        for name in ("skillrouter", "r3", "qwen3")
    }
    for template in asked.values():
        assert template.startswith("<|im_start|>system\nJudge whether the Document meets")
        assert 'the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n' in template
        assert template.endswith(
            "{document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
        )
    assert (
        "<Instruct>: Given a task description, judge whether the skill document is relevant and "
        "useful for completing the task\n\n<Query>: {query}\n\n<Document>: {document}"
    ) in asked["skillrouter"]
    assert (
        "<Instruct>: Given a user request, retrieve the agent skill that solves it.\n"
        "<Query>: {query}\n<Document>: {document}"
    ) in asked["r3"]


def test_the_papers_models_read_skills_as_in_the_paper() -> None:
    catalogue = load_catalogue()
    for name, body in (("embedding", 8000), ("reranker", 2000)):
        model = catalogue.model(f"skillrouter-{name}-0_6b")
        assert model.document_template == "{name} | {description} | {body}"
        assert (model.query_characters, model.description_characters) == (2000, 500)
        assert model.body_characters == body


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
    known = {"model": "all-minilm-l6-v2, embeddinggemma-300m, ", "profile": "edge, embedded, "}
    assert f"known are: {known[kind]}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[models", "not valid TOML"),
        ("models = 3", "models: should be a table of entries"),
        ("[models]\nsmall = 3", "models.small: should be an entry"),
        (f"[model.small]{ENTRY}", "model: there is no such table"),
        (f"[models.Small]{ENTRY}", "models.Small: a name has small letters"),
        (f"[models.'../x']{ENTRY}", "models.../x: a name has small letters"),
        (f"[models.small]{ENTRY}colour = 1", "models.small.colour: Extra inputs"),
        (f"[models.small]{ENTRY}sha256 = 'AB'", "models.small.sha256: String should match"),
        (f"[models.small]{ENTRY}size = 0", "models.small.size: Input should be greater than 0"),
        (f"[models.small]{ENTRY}".replace("mean", "max"), "models.small.pooling: Input"),
        (
            f"[models.small]{ENTRY}".replace("example/", ""),
            "models.small.repo: String",
        ),
        (f"[models.small]{ENTRY}revision = 'main'", "models.small.revision: String should match"),
        ("[models.small]\nkind = 'encoder'", "models.small.context: Field required"),
        (f"[models.small]{ENTRY}".replace("repo =", "# "), "models.small.repo: say where"),
        (f"[models.small]{ENTRY}path = '/a.gguf'", "models.small.path: a file of your own has no"),
        (
            f"[models.own]{OWN_FILE}".replace("/models", "models"),
            "models.own.path: write it",
        ),
        (f"[models.small]{ENTRY}convert = 'Q4_0'", "models.small.convert: Input should be"),
        (f"[models.small]{ENTRY}convert = 'F16'", "models.small.convert: takes a repo, and makes"),
        (f"[models.small]{ENTRY}template = 'x'", "models.small.template: only a reranker"),
        (f"[models.own]{OWN_FILE}template = '{{query}}'", "models.own.template: must hold {query}"),
        (f"[models.small]{ENTRY}document_template = '{{body}} x'", "document_template: may hold"),
        (f"[models.small]{ENTRY}document_template = '{{tags}}{{body}}'", "document_template: may"),
        (f"[models.small]{ENTRY}document_template = '{{'", "models.small.document_template: "),
        ("[profiles.mine]\nencoder = 'zz'", "profiles.mine.encoder: there is no encoder 'zz'"),
        (
            f"[models.small]{ENTRY}{PROFILE}reranker = 'small'",
            "profiles.mine.reranker: there is",
        ),
        (f"[models.small]{ENTRY}{PROFILE}candidates = 0", "profiles.mine.candidates: Input should"),
        (
            f"[models.small]{OWN_FILE}{PROFILE}",
            "profiles.mine.encoder: there is no encoder 'small'",
        ),
        (
            f"[models.small]{ENTRY}".replace("mean", "rank"),
            "models.small.pooling: rank is what a reranker has",
        ),
        (
            f"[models.small]{ENTRY}".replace('"encoder"', '"reranker"'),
            "models.small.pooling: rank is what a reranker has",
        ),
        (
            f"[models.small]{ENTRY}".replace("dimensions = ", "dimensions = 0 # "),
            "models.small.dimensions: an encoder has some",
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


def _with_own(folder: Path, content: str) -> Catalogue:
    path = folder / "models.toml"
    path.write_text(content, encoding="utf-8")
    return load_catalogue().with_own(path)


@pytest.mark.parametrize("value", ["[" * 3_000 + "]" * 3_000, "9" * 5_000])
def test_a_file_that_no_reader_takes(tmp_path: Path, value: str) -> None:
    path = tmp_path / "catalogue.toml"
    path.write_text(f"models = {value}", encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"catalogue\.toml: not valid TOML \("):
        read_catalogue(path)


def test_a_users_own_entries_are_added(tmp_path: Path) -> None:
    catalogue = _with_own(tmp_path, f"[models.small]{ENTRY}[models.own]{OWN_FILE}{PROFILE}")
    assert catalogue.problems == ()
    assert catalogue.model("own").path == Path("/models/own.gguf")
    assert catalogue.profile("mine").models == ("small",)
    assert catalogue.profile("embedded") == load_catalogue().profile("embedded")


def test_a_users_own_profile_may_use_the_packages_models(tmp_path: Path) -> None:
    entry = f"[models.own]{OWN_FILE}[profiles.mine]\nencoder = 'skillrouter-minilm-l6'\n"
    catalogue = _with_own(tmp_path, f"{entry}reranker = 'own'\ncandidates = 5")
    profile = catalogue.profile("mine")
    assert profile.models == ("skillrouter-minilm-l6", "own")
    assert profile.candidates == 5


def test_a_users_own_entry_replaces_the_packages(tmp_path: Path) -> None:
    catalogue = _with_own(tmp_path, f"[models.multilingual-e5-small]{ENTRY}")
    assert catalogue.problems == ()
    assert catalogue.model(catalogue.profile("multilingual").encoder).repo == "example/small"


def test_a_file_of_own_entries_need_not_be_there(tmp_path: Path) -> None:
    assert load_catalogue().with_own(tmp_path / "models.toml") == load_catalogue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[models", "not valid TOML"),
        (f"[models.own]{OWN_FILE}context = 0".replace("context = 512", ""), "models.own.context: "),
        (
            f"[models.skillrouter-minilm-l6]{ENTRY}",
            "models.skillrouter-minilm-l6.embedded: only",
        ),
        (
            f"[models.own]{OWN_FILE}".replace("/models", "~nosuchuser"),
            "models.own.path: there is no home folder to put for ~nosuchuser",
        ),
        (f"[models.small]{ENTRY}embedded = true", "models.small.embedded: only the package's own"),
        (
            "[profiles.embedded]\nencoder = 'multilingual-e5-small'",
            "profiles.embedded: comes with the package",
        ),
        (
            f"[models.multilingual-e5-small]{OWN_FILE}",
            "profiles.multilingual.encoder: there is no encoder 'multilingual-e5-small'",
        ),
    ],
)
def test_an_entry_that_can_not_be_used_is_left_out_and_told(
    tmp_path: Path, content: str, said: str
) -> None:
    catalogue = _with_own(tmp_path, content)
    (problem,) = catalogue.problems
    assert problem.startswith(f"{tmp_path / 'models.toml'}: ")
    assert said in problem
    embedded = catalogue.profile("embedded")
    assert catalogue.model(embedded.encoder) == load_catalogue().model("skillrouter-minilm-l6")
    with pytest.raises(CatalogueError) as caught:
        catalogue.profile("zz")
    assert str(caught.value).endswith(problem)


def test_entries_beside_one_that_can_not_be_used_stay(tmp_path: Path) -> None:
    catalogue = _with_own(tmp_path, f"[models.own]\nkind = 3\n[models.small]{ENTRY}{PROFILE}")
    assert len(catalogue.problems) == 3  # the kind is wrong, context and pooling are missing
    assert catalogue.profile("mine").models == ("small",)
