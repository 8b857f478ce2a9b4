from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skillrouter_gguf import Encoder
from skillrouter_mcp.index.quarantine_notes import NOTES
from skillrouter_mcp.routing.engines import Engines
from skillrouter_mcp.routing.models import encoder_of
from skillrouter_mcp.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", roots=())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Encoder]:
    """The encoders that were opened."""
    found: list[Encoder] = []
    open_encoder = Encoder.open

    def note(*given: object, **named: object) -> Encoder:
        found.append(open_encoder(*given, **named))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(Encoder, "open", note)
    return found


def _engines(settings: Settings) -> Engines:
    settings.home.mkdir(exist_ok=True)
    return Engines(settings, encoder_of(settings), settings.home, lambda: None)


def test_a_model_is_loaded_when_it_is_first_needed_and_once(
    settings: Settings, opened: list[Encoder]
) -> None:
    loaded = _engines(settings)
    assert opened == []
    with ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(lambda _: loaded.encoder(), range(4)))
    assert len(opened) == 1
    assert all(encoder is encoders[0] for encoder in encoders)
    loaded.close()


def test_what_was_closed_is_loaded_anew(settings: Settings, opened: list[Encoder]) -> None:
    loaded = _engines(settings)
    loaded.encoder()
    loaded.close()
    loaded.close()
    assert loaded.encoder().encode_queries(["rotate the logs"]).shape == (1, 384)
    assert len(opened) == 2
    loaded.close()


def test_a_crash_leaves_notes_while_a_model_is_loaded_and_no_longer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(NOTES, "arm", lambda home: told.append(f"arm {home.name}"))
    monkeypatch.setattr(NOTES, "disarm", lambda home: told.append(f"disarm {home.name}"))
    loaded = _engines(settings)
    assert told == []
    loaded.encoder()
    loaded.close()
    assert told == ["arm home", "disarm home"]
