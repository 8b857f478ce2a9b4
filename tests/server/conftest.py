from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def models_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the profiles of `tiny_profiles`."""
    pytest.importorskip("tokenizers")
    from tests.server.tiny_profiles import make_home

    return make_home(tmp_path_factory.mktemp("models") / "home")
