from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from skillrouter_gguf import Encoder, load_catalogue

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub

SkillWriter = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_user() -> None:
    for name in [name for name in os.environ if name.startswith(("SKILLROUTER_", "CLAUDE_"))]:
        del os.environ[name]


@pytest.fixture(scope="session")
def encoder() -> Iterator[Encoder]:
    """The embedded model, loaded."""
    with Encoder.open(load_catalogue().model("skillrouter-minilm-l6"), threads=1) as encoder:
        yield encoder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder for skills."""
    folder = tmp_path / "skills"
    folder.mkdir()
    return folder


@pytest.fixture
def write_skill(root: Path) -> SkillWriter:
    """Writes a skill below `root` and gives the path of its `SKILL.md`."""

    def write(
        name: str, body: str = "Do it.\n", description: str = "Does it.", at: str = ""
    ) -> Path:
        path = root / (at or name) / "SKILL.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"---\nname: {name}\ndescription: {description}\n---\n\n{body}", encoding="utf-8"
        )
        return path

    return write


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub on this machine, where this process looks for the Hugging Face hub.

    There are no waits between tries.
    """
    import huggingface_hub
    from tests.gguf.local_hub import LocalHub

    import skillrouter_gguf.hub  # reads the environment

    assert skillrouter_gguf.hub
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("skillrouter_gguf.download._WAITS", (0.0, 0.0))
    local = LocalHub()
    home = tmp_path / "hf"
    for name, value in (
        ("ENDPOINT", local.endpoint),
        (
            "HUGGINGFACE_CO_URL_TEMPLATE",
            f"{local.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        ),
        ("HF_HOME", str(home)),
        ("HF_HUB_CACHE", str(home / "hub")),
        ("HF_TOKEN_PATH", str(home / "token")),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_DISABLE_TELEMETRY", True),
    ):
        monkeypatch.setattr(huggingface_hub.constants, name, value)
    huggingface_hub.close_session()
    yield local
    huggingface_hub.close_session()
    local.close()
