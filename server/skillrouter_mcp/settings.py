"""The settings of one run: defaults, then `config.toml`, then environment, then flags."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.home import absolute, default_home, home_in_force
from skillrouter_mcp.skills import Root

CONFIG_FILE = "config.toml"


class SettingsError(SkillRouterError):
    """A setting cannot be used; the text says which one, where it was set and what it takes."""


def config_file(home: str | Path | None = None) -> Path:
    """Where `config.toml` is looked for. Raises SettingsError.

    Args:
        home: the home folder; by default that of `SKILLROUTER_HOME`, else the usual one.
    """
    try:
        return home_in_force(home) / CONFIG_FILE
    except ValueError as error:
        raise SettingsError(f"setting 'home' (SKILLROUTER_HOME): {error}") from None


class Settings(BaseSettings):
    """What can be set. `load_settings` reads it and says what is wrong with a value."""

    model_config = SettingsConfigDict(
        env_prefix="SKILLROUTER_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        defer_build=False,  # by threads that meet here, as `skillrouter_mcp.protocol` would have it
    )

    home: Path = Field(default_factory=default_home)
    roots: Annotated[tuple[Path, ...], NoDecode] = (Path("~/.skills"),)
    project: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("SKILLROUTER_PROJECT", "CLAUDE_PROJECT_DIR", "project"),
    )
    profile: str = "embedded"
    threads: int | None = Field(default=None, ge=1, le=1024)
    candidates: int | None = Field(default=None, ge=0, le=200)
    """How many of the first stage's best a reranker may read; the profile's number by default."""
    budget_ms: int = Field(default=1_500, ge=0, le=3_600_000)
    """Milliseconds after which a request is no longer read for by a reranker."""
    linger: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    """Seconds for which the process that holds the models stays after its last session."""

    @field_validator("roots", mode="before")
    @classmethod
    def _split_path_list(cls, value: object) -> object:
        if isinstance(value, str):
            return [part for part in value.split(os.pathsep) if part]
        return value

    @field_validator("roots")
    @classmethod
    def _absolute_roots(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(absolute(path) for path in value))

    @field_validator("home", "project")
    @classmethod
    def _absolute_path(cls, value: Path | None) -> Path | None:
        return None if value is None else absolute(value)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        flags, environment = init_settings(), env_settings()
        home = flags.get("home") or environment.get("home")
        config = TomlConfigSettingsSource(settings_cls, toml_file=config_file(home))
        if "home" in config.toml_data:
            raise ValueError("home is where that file lies; SKILLROUTER_HOME says where that is")
        return (init_settings, env_settings, config)

    def search_roots(self, projects: Sequence[Path] = ()) -> tuple[Root, ...]:
        """The roots to walk: the project's `.skills` first, then the user's in their order.

        Args:
            projects: the project's folders where no setting names one.
        """
        if self.project is not None:
            projects = [self.project]
        folders = dict.fromkeys(project / ".skills" for project in projects)
        of_user = (Root(path, "user") for path in self.roots if path not in folders)
        return (*(Root(path, "project") for path in folders), *of_user)


def load_settings(**flags: Any) -> Settings:
    """The settings in force; a flag that is None or empty counts as not given.

    Raises:
        SettingsError: a value, or `config.toml`, cannot be used.
    """
    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]).removeprefix("SKILLROUTER_").lower()
        raise SettingsError(
            f"setting {name!r}: {first['msg']} (read from flags, SKILLROUTER_{name.upper()}, and "
            f"{CONFIG_FILE} in SKILLROUTER_HOME, in that order)"
        ) from None
    except (ValueError, OSError) as error:
        raise SettingsError(f"{CONFIG_FILE} in SKILLROUTER_HOME cannot be read: {error}") from None
