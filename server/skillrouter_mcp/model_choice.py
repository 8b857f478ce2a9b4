"""The user's say about models: the profile in `config.toml`, and entries of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import ParseError

from skillrouter_gguf import describe_file
from skillrouter_install.errors import InstallError
from skillrouter_install.files import read_config, write_config
from skillrouter_mcp.settings import SettingsError, config_file
from skillrouter_mcp.skills import printable

if TYPE_CHECKING:
    from pathlib import Path

_TEXT_CHARACTERS = 2_000
_DESCRIBED = ("kind", "title", "dimensions", "context", "pooling", "languages", "licence", "source")


def write_profile(profile: str) -> Path:
    """Set `profile` in `config.toml`, which is otherwise left as it is; gives its path.

    Raises:
        SettingsError: the file can't be read or written.
    """
    path = config_file()
    try:
        file = read_config(path)
        document = tomlkit.parse(file.text)
        document["profile"] = profile
        write_config(file.target, file.bom + tomlkit.dumps(document), private=True)
    except (InstallError, ParseError) as error:
        raise SettingsError(f"{path}: {error}") from None
    return path


def entry_for(file: Path) -> str:
    """An entry of models.toml for a GGUF file, and a profile with it if it is an encoder.

    Raises:
        ModelFileError: it is no GGUF file, or no model that can be used here.
    """
    model = describe_file(file)
    content = model.model_dump(mode="json")
    entry = tomlkit.table()
    entry["path"] = str(file.resolve())
    for key in _DESCRIBED:
        value = content[key]
        if value:
            entry[key] = printable(value, _TEXT_CHARACTERS) if isinstance(value, str) else value
    name = re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_") or "own"
    document = tomlkit.document()
    document["models"] = {name: entry}
    if model.kind == "encoder":
        profile = {"title": "With a model of my own", "encoder": name}
        document["profiles"] = {f"own-{name}": profile}
    return tomlkit.dumps(document)
