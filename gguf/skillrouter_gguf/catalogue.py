"""Which models there are, and what has to be known of each to use it as it was trained."""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterator
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
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{,99}")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str


_E = TypeVar("_E", bound=_Entry)


class Model(_Entry):
    """A model and how to use it: one GGUF file, or published weights to make one of.

    Attributes:
        name: its name in the catalogue.
        title: what it is good for, in a line.
        embedded: whether the file comes with this package.
        repo: where it is published on the Hugging Face hub, as "owner/name".
        revision: the commit to take, in full; the newest by default.
        file: its name in the repo; found by listing the repo where it is not known.
        path: a file of the user's own, instead of one to download.
        convert: the format of the weights to make the file with, if the repo has safetensors.
        size: bytes of the file, where known.
        sha256: of the file, where known.
        dimensions: length of an encoder's vectors.
        context: the most tokens it reads of a text; a reranker, of a request and a text together.
        pooling: how its token vectors become one; a reranker's become a score.
        query_prefix, document_prefix: put before every text; the model was trained with them.
        document_template: how name, description and body of a skill make one text; if empty, the
            router's own layout is used.
        query_characters, description_characters, body_characters: more was not read in training.
        template: how a causal reranker is asked, with `{query}` and `{document}` in it; that of
            its file by default.
        languages: what it reads, as ISO 639-1 codes or "multilingual".
        free: whether the licence is a free one; otherwise it is asked for before a download.
        source: where the file, or what it was made from, is published.
        known_vector: the first components of the vector of `self_check.SENTENCE`, where known.
    """

    kind: Literal["encoder", "reranker"]
    title: str = ""
    embedded: bool = False
    repo: Annotated[str, Field(pattern=r"^([\w.-]+/[\w.-]+)?$")] = ""
    revision: Annotated[str, Field(pattern=r"^([0-9a-f]{40})?$")] = ""
    file: str = ""
    path: Path | None = None
    convert: Literal["", "F32", "F16", "BF16", "Q8_0"] = ""
    size: PositiveInt | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    dimensions: NonNegativeInt = 0
    context: PositiveInt
    pooling: Literal["mean", "cls", "last", "rank"]
    query_prefix: str = ""
    document_prefix: str = ""
    document_template: str = ""
    query_characters: PositiveInt | None = None
    description_characters: PositiveInt | None = None
    body_characters: PositiveInt | None = None
    template: str = ""
    languages: tuple[str, ...] = ("unknown",)
    licence: str = "unknown"
    free: bool = True
    source: str = ""
    known_vector: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Model:
        if (self.kind == "reranker") != (self.pooling == "rank"):
            raise ValueError("pooling: rank is what a reranker has, and nothing else")
        if self.kind == "encoder" and not self.dimensions:
            raise ValueError("dimensions: an encoder has some")
        if self.kind == "encoder" and self.template:
            raise ValueError("template: only a reranker is asked with one")
        if self.template:
            _check_template(self.template)
        if self.document_template:
            _check_document_template(self.document_template)
        return self

    @model_validator(mode="after")
    def _comes_from_somewhere(self) -> Model:
        if self.path is not None and (self.repo or self.embedded):
            raise ValueError("path: a file of your own has no repo")
        if self.path is not None and not _expanded(self.path).is_absolute():
            raise ValueError("path: write it in full, from the root or from ~")
        if self.convert and (not self.repo or self.file or self.sha256):
            raise ValueError("convert: takes a repo, and makes the file; give no file or sha256")
        return self


class Profile(_Entry):
    """Models that are used together, by their names in the catalogue.

    Attributes:
        reranker: reads the first stage's best candidates together with the request; may be empty.
        candidates: how many of them it may read.
    """

    title: str = ""
    encoder: str
    reranker: str = ""
    candidates: Annotated[int, Field(ge=1, le=200)] = 20

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models."""
        return (self.encoder, self.reranker) if self.reranker else (self.encoder,)


class Catalogue(BaseModel):
    """All models and profiles, by name.

    Attributes:
        problems: why entries of the user's own are left out, a sentence each.
    """

    model_config = ConfigDict(frozen=True)

    models: dict[str, Model] = Field(default_factory=dict)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def model(self, name: str) -> Model:
        """The model `name`. Raises CatalogueError, naming those there are."""
        return self._look_up(self.models, name, "model")

    def profile(self, name: str) -> Profile:
        """The profile `name`. Raises CatalogueError, naming those there are."""
        return self._look_up(self.profiles, name, "profile")

    def with_own(self, path: Path) -> Catalogue:
        """This catalogue and the user's own entries in a TOML file, which need not be there.

        An entry of the user's replaces the package's of the same name, except what is embedded.
        Entries that can't be used are left out, and told in `problems`.
        """
        try:
            return _read(path, self)
        except CatalogueError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return self
            return self.model_copy(update={"problems": (str(error),)})

    def _look_up(self, entries: dict[str, _E], name: str, kind: str) -> _E:
        try:
            return entries[name]
        except KeyError:
            said = f"there is no {kind} {name!r}; known are: {', '.join(sorted(entries))}."
            raise CatalogueError(" ".join([said, *self.problems])) from None


@cache
def load_catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    return read_catalogue(_FILE)


def read_catalogue(path: Path) -> Catalogue:
    """The catalogue in a TOML file. Raises CatalogueError if it is missing or malformed."""
    catalogue = _read(path, Catalogue())
    if catalogue.problems:
        raise CatalogueError(" ".join(catalogue.problems))
    return catalogue


def _read(path: Path, base: Catalogue) -> Catalogue:
    """`base` with the entries of a file. Raises CatalogueError if it is no such file at all."""
    try:
        with path.open("rb") as file:
            content: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise CatalogueError(f"{path}: can't be read ({error.strerror}).") from error
    except RecursionError as error:
        raise CatalogueError(f"{path}: not valid TOML (nested too deeply).") from error
    except ValueError as error:  # an invalid file, or a number that is too long
        raise CatalogueError(f"{path}: not valid TOML ({error}).") from error
    problems = [
        f"{table}: there is no such table; entries are [models.NAME] and [profiles.NAME]"
        for table in content
        if table not in {"models", "profiles"}
    ]
    models, profiles = dict(base.models), dict(base.profiles)
    for model in _entries(content, "models", Model, problems):
        if reason := _unfit_model(model, base):
            problems.append(f"models.{model.name}.{reason}")
        else:
            models[model.name] = model
    for profile in _entries(content, "profiles", Profile, problems):
        before = base.profiles.get(profile.name)
        if before is not None and _is_embedded(base, before.encoder):
            problems.append(f"profiles.{profile.name}: comes with the package and stays as it is")
        else:
            profiles[profile.name] = profile
    for profile in list(profiles.values()):
        if reason := _unfit_profile(profile, models):
            problems.append(f"profiles.{profile.name}.{reason}")
            del profiles[profile.name]
    told = tuple(f"{path}: {problem}." for problem in problems)
    return Catalogue(models=models, profiles=profiles, problems=told)


def _entries(
    content: dict[str, Any], table: str, kind: type[_E], problems: list[str]
) -> Iterator[_E]:
    """The entries of a table that are whole; what is wrong with the others goes to `problems`."""
    entries = content.get(table, {})
    if not isinstance(entries, dict):
        problems.append(f"{table}: should be a table of entries, [{table}.NAME]")
        return
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            problems.append(f"{table}.{name}: should be an entry, [{table}.{name}]")
            continue
        if not _NAME.fullmatch(name):
            problems.append(f"{table}.{name}: a name has small letters, digits, - and _ alone")
            continue
        try:
            yield kind.model_validate({**entry, "name": name})
        except ValidationError as error:
            for item in error.errors():
                place = ".".join(map(str, (table, name, *item["loc"])))
                joint = ": " if item["loc"] else "."
                problems.append(place + joint + item["msg"].removeprefix("Value error, "))


def _unfit_model(model: Model, base: Catalogue) -> str | None:
    if base.models and (model.embedded or _is_embedded(base, model.name)):
        return "embedded: only the package's own files are; take another name"
    if not (model.embedded or model.repo or model.path):
        return "repo: say where to take it from, or give the path of a file"
    return None


def _unfit_profile(profile: Profile, models: dict[str, Model]) -> str | None:
    for kind, name in (("encoder", profile.encoder), ("reranker", profile.reranker)):
        if name and (name not in models or models[name].kind != kind):
            return f"{kind}: there is no {kind} {name!r}"
    return None


def _is_embedded(catalogue: Catalogue, name: str) -> bool:
    return name in catalogue.models and catalogue.models[name].embedded


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"path: there is no home folder to put for {path.parts[0]}") from None


def _check_template(template: str) -> None:
    """Raise ValueError unless a reranker can be asked with `template`."""
    query, document = template.find("{query}"), template.find("{document}")
    once = template.count("{query}") == template.count("{document}") == 1
    if not once or query > document:
        raise ValueError("template: must hold {query} and, behind it, {document}, each once")


def _check_document_template(template: str) -> None:
    """Raise ValueError unless `template` makes a text of which only the body can be cut."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"document_template: {error}") from None
    places = [place for _, place, _, _ in parts if place is not None]
    plain = not any(spec or conversion for _, _, spec, conversion in parts)
    known = len(set(places)) == len(places) and set(places) <= {"name", "description", "body"}
    if not (plain and known and places[-1:] == ["body"] and template.endswith("{body}")):
        raise ValueError("document_template: may hold {name} and {description}, and ends in {body}")
