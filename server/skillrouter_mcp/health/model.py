"""Checks of the model of the profile in use."""

from __future__ import annotations

from collections.abc import Iterator

from skillrouter_gguf import Encoder, ModelError, check_encoder
from skillrouter_mcp.health.finding import Finding
from skillrouter_mcp.routing.router import encoder_of
from skillrouter_mcp.settings import Settings


def check_model(settings: Settings) -> Iterator[Finding]:
    """Whether the file is whole, loads, and embeds a known text to the known vector."""
    subject = f"profile {settings.profile}"
    try:
        model = encoder_of(settings)
        with Encoder.open(model, threads=settings.threads) as encoder:
            check_encoder(encoder)
    except ModelError as error:
        yield Finding(section="models", subject=subject, status="broken", text=str(error))
        return
    text = f"{model.name} is whole and embeds a known text to the known vector"
    yield Finding(section="models", subject=subject, status="ok", text=text)
