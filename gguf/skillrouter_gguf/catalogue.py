"""Which models there are, and what has to be known of each to use it as it was trained."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from skillrouter_gguf.errors import CatalogueError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = Path(__file__).with_name("catalogue.toml")
_Entry = TypeVar("_Entry")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Model(_Frozen):
    """One GGUF file and how to use it.

    Attributes:
        name: its name in the catalogue.
        title: what it is good for, in a line.
        embedded: whether the file comes with this package.
        size: bytes of the file, where known.
        dimensions: length of an encoder's vectors.
        context: the most tokens it reads of a text; a reranker, of a request and a text together.
        pooling: how its token vectors become one; a reranker's become a score.
        query_prefix, document_prefix: put before every text; the model was trained with them.
        template: how a causal reranker is asked, with `{query}` and `{document}` in it; that of
            its file by default.
        languages: what it reads, as ISO 639-1 codes or "multilingual".
        source: where the file, or what it was made from, is published.
        known_vector: the first components of the vector of `self_check.SENTENCE`, where known.
    """

    name: str
    kind: Literal["encoder", "reranker"]
    title: str
    embedded: bool = False
    file: str
    size: PositiveInt | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    dimensions: NonNegativeInt = 0
    context: PositiveInt
    pooling: Literal["mean", "cls", "last", "rank"]
    query_prefix: str = ""
    document_prefix: str = ""
    template: str = ""
    languages: tuple[str, ...]
    licence: str
    source: str
    known_vector: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Model:
        if (self.kind == "reranker") != (self.pooling == "rank"):
            raise ValueError("pooling: rank is what a reranker has, and nothing else")
        if self.kind == "encoder" and not self.dimensions:
            raise ValueError("dimensions: an encoder has some")
        return self


class Profile(_Frozen):
    """Models that are used together, by their names in the catalogue."""

    name: str
    title: str
    encoder: str


class Catalogue(_Frozen):
    """All models and profiles, by name."""

    models: dict[str, Model] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _name_entries(cls, content: Any) -> Any:
        """Let every entry know the name it stands under."""
        return {
            table: {
                name: {**entry, "name": name} if isinstance(entry, dict) else entry
                for name, entry in entries.items()
            }
            if isinstance(entries, dict)
            else entries
            for table, entries in content.items()
        }

    @model_validator(mode="after")
    def _profiles_name_encoders(self) -> Catalogue:
        for profile in self.profiles.values():
            model = self.models.get(profile.encoder)
            if model is None or model.kind != "encoder":
                raise ValueError(f"profile {profile.name}: no encoder {profile.encoder!r}")
        return self

    def model(self, name: str) -> Model:
        """The model `name`. Raises CatalogueError, naming those there are."""
        return _look_up(self.models, name, "model")

    def profile(self, name: str) -> Profile:
        """The profile `name`. Raises CatalogueError, naming those there are."""
        return _look_up(self.profiles, name, "profile")


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    return read_catalogue(_FILE)


def read_catalogue(path: Path) -> Catalogue:
    """The catalogue in a TOML file. Raises CatalogueError if it is missing or malformed."""
    try:
        with path.open("rb") as file:
            return Catalogue.model_validate(tomllib.load(file))
    except OSError as error:
        raise CatalogueError(f"{path}: can't be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: not valid TOML ({error}).") from error
    except ValidationError as error:
        problems = "; ".join(
            ": ".join(filter(None, (".".join(map(str, item["loc"])), item["msg"])))
            for item in error.errors()
        )
        raise CatalogueError(f"{path}: {problems}.") from error


def _look_up(entries: dict[str, _Entry], name: str, kind: str) -> _Entry:
    try:
        return entries[name]
    except KeyError:
        known = ", ".join(sorted(entries))
        raise CatalogueError(f"there is no {kind} {name!r}; known are: {known}.") from None
