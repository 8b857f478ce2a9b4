from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skillrouter_install import Environment, ServerEntry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """A Linux user with an empty home, no programs and a project."""
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    return Environment("linux", home, {"PATH": ""}, project)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder for records."""
    return tmp_path / "state"


@pytest.fixture
def server() -> ServerEntry:
    """The server with everything that an entry can say."""
    return ServerEntry("/opt/skill router/bin/it", ("serve",), {"SKILLROUTER_HOME": "/data/ü"})


@pytest.fixture
def root(environment: Environment) -> Path:
    """The library of the user, which is not there yet."""
    return environment.home / ".skills"
