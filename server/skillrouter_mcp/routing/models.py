"""The models of the profile in use, ready to be opened."""

from __future__ import annotations

from importlib.metadata import version

from skillrouter_gguf import CatalogueError, Model, ModelFileError, ModelStore, Profile
from skillrouter_mcp.settings import Settings, SettingsError


def model_store(settings: Settings) -> ModelStore:
    """Which models there are for these settings: the package's, and the user's own."""
    return ModelStore(settings.home / "models", settings.home / "models.toml")


def profile_of(settings: Settings) -> Profile:
    """The profile in use.

    Raises:
        SettingsError: there is no such profile.
    """
    try:
        return model_store(settings).catalogue.profile(settings.profile)
    except CatalogueError as error:
        raise SettingsError(f"setting 'profile': {error}") from None


def encoder_of(settings: Settings) -> Model:
    """The model that the profile in use embeds with.

    Raises:
        SettingsError: there is no such profile.
        ModelFileError: its file is not there; says what to run.
    """
    return model_store(settings).ready(profile_of(settings).encoder)


def reranker_of(settings: Settings) -> Model | None:
    """The model that reads the candidates of the profile in use, None where it has none.

    Raises:
        SettingsError: there is no such profile.
        ModelFileError: its file is not there; says what to run.
    """
    name = profile_of(settings).reranker
    return model_store(settings).ready(name) if name else None


def digests_of(settings: Settings) -> tuple[str | None, ...]:
    """SHA-256 of the files of the profile's models that are here: other ones may be pulled.

    Raises:
        SettingsError: there is no such profile.
    """
    store = model_store(settings)
    digests = []
    for name in profile_of(settings).models:
        try:
            digests.append(store.ready(name).sha256)
        except ModelFileError:
            digests.append(None)
    return tuple(digests)


def engine_key(model: Model) -> str:
    """What the engine computes with: the model's file and llama.cpp's version."""
    return f"{model.sha256} {version('llama-cpp-python')}"
