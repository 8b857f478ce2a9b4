from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from skillrouter_gguf import Encoder, Model, load_catalogue
from skillrouter_mcp.index.database import Database
from skillrouter_mcp.index.encoding import Fingerprint
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.skills import Root


class CountingEncoder:
    """The real encoder, with a list of the texts that went through it."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.texts: list[str] = []

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        return self._encoder.encode_documents(texts)


@pytest.fixture
def counting(encoder: Encoder) -> CountingEncoder:
    return CountingEncoder(encoder)


@pytest.fixture
def model() -> Model:
    return load_catalogue().model("skillrouter-minilm-l6")


@pytest.fixture
def open_library(tmp_path: Path, root: Path, model: Model) -> Iterator[Callable[..., Library]]:
    """Opens the home `tmp_path / "home"` as one more process would, and closes it in the end."""
    opened: list[Library] = []

    def open_one(*roots: Path, model: Model = model) -> Library:
        scoped = [Root(path, "user") for path in roots or (root,)]
        opened.append(Library(tmp_path / "home", scoped, Fingerprint.of(model)))
        return opened[-1]

    yield open_one
    for library in opened:
        library.close()


@pytest.fixture
def damage() -> Callable[[Path], None]:
    """Overwrites all but the first page of a database, which others may have open."""

    def overwrite(path: Path) -> None:
        database = Database(path, "write")
        database.run("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xaa" * (len(content) - 4096)
        path.write_bytes(content)

    return overwrite
