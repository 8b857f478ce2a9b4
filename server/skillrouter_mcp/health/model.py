"""Checks of the models of the profile in use."""

from __future__ import annotations

from collections.abc import Iterator

from skillrouter_gguf import Encoder, ModelError, Reranker, check_encoder, check_reranker
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.health.machine import REINSTALL
from skillrouter_mcp.routing.models import encoder_of, model_store, reranker_of
from skillrouter_mcp.settings import Settings, SettingsError


def check_model(settings: Settings) -> Iterator[Finding]:
    """Whether the file is whole, loads, and embeds a known text to the known vector."""
    subject = f"profile {settings.profile}"
    remedy = "skillrouter-mcp models list"
    try:
        model = encoder_of(settings)
        if model.embedded:
            remedy = REINSTALL
        path = model_store(settings).path(model)
        with Encoder.open(model, path=path, threads=settings.threads) as encoder:
            check_encoder(encoder)
    except (ModelError, SettingsError) as error:
        is_unknown = isinstance(error, SettingsError)
        yield Finding(
            section="models",
            check="profile" if is_unknown else "model",
            subject=subject,
            status="broken",
            text=str(error),
            why="without a model no request is answered",
            remedy="set SKILLROUTER_PROFILE, or profile in config.toml, to one that is known"
            if is_unknown
            else remedy,
        )
        return
    text = f"{model.name} is whole and embeds a known text to the known vector"
    yield Finding(section="models", check="model", subject=subject, status="ok", text=text)
    yield from _check_reranker(settings, subject)


def _check_reranker(settings: Settings, subject: str) -> Iterator[Finding]:
    try:
        model = reranker_of(settings)
        if model is None:
            return
        path = model_store(settings).path(model)
        with Reranker.open(model, path=path, threads=settings.threads) as reranker:
            check_reranker(reranker)
    except ModelError as error:
        yield Finding(
            section="models",
            check="reranker",
            subject=subject,
            status="problem",
            text=str(error),
            why="the best candidates are not read with the request",
            remedy=f"skillrouter-mcp models pull {settings.profile}",
        )
        return
    text = f"{model.name} is whole and tells a match from a mismatch"
    yield Finding(section="models", check="reranker", subject=subject, status="ok", text=text)


def check_entries(settings: Settings) -> Iterator[Finding]:
    """What of the user's own entries for models is left out."""
    for problem in model_store(settings).catalogue.problems:
        yield Finding(
            section="models",
            check="entry",
            subject="models.toml",
            status="problem",
            text=problem,
            why="the entry is left out",
            remedy="mend the entry; `skillrouter-mcp models describe` writes one for a file",
        )
