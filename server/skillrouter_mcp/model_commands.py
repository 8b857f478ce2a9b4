"""`skillrouter-mcp models`: which there are, getting them, and going over to others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from skillrouter_mcp.command import json_option, plain_errors, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skillrouter_gguf import Catalogue, Model, ModelStore
    from skillrouter_gguf.convert import ModelKind, WeightType

_CHARACTERS = 4_096
_PROFILE_VARIABLE = "SKILLROUTER_PROFILE"


@click.group()
def models() -> None:
    """The models that skills and requests are read with."""


@models.command("list")
@json_option
@plain_errors
def list_models(as_json: bool) -> None:
    """List profiles and models: what they are good for, and which are here."""
    from skillrouter_mcp.model_list import print_models
    from skillrouter_mcp.routing.models import model_store

    settings = settings_of()
    print_models(model_store(settings), settings.profile, as_json=as_json)


@models.command("pull")
@click.argument("name", metavar="PROFILE|MODEL")
@click.option("--yes", is_flag=True, help="Accept a licence that is not free, without a question.")
@click.option(
    "--newest", is_flag=True, help="Look for a newer version than the one fetched before."
)
@plain_errors
def pull_models(name: str, yes: bool, newest: bool) -> None:
    """Fetch the models of a PROFILE, or one MODEL, and try them out.

    What is there already is checked and left alone. A download that was cut off goes on where it
    ended. Nothing is used before it has been checked, and what is in use stays as it is.
    """
    from skillrouter_mcp.routing.models import model_store

    store = model_store(settings_of())
    catalogue = store.catalogue
    chosen = catalogue.profiles[name].models if name in catalogue.profiles else (name,)
    wanted = [catalogue.model(model) for model in chosen]
    _accept_licences((model for model in wanted if not _is_ready(store, model)), yes)
    from skillrouter_gguf.pull import pull
    from skillrouter_mcp.model_list import PullProgress

    for model in wanted:
        progress = PullProgress()
        with progress:
            ready = pull(store, model.name, progress, newest=newest)
        path = _shown(store.path(ready))
        click.echo(f"{model.name} is ready: {(ready.size or 0) / 1e6:,.0f} MB, {path}")
    for profile in _profiles_of(catalogue, name):
        click.echo(f"To use it: skillrouter-mcp models use {profile}")


@models.command("use")
@click.argument("profile")
@plain_errors
def use_profile(profile: str) -> None:
    """Read skills and requests with the models of PROFILE from now on.

    A server that runs embeds the skills anew beside its work; the vectors of before answer until
    that is done.
    """
    from skillrouter_gguf import ModelFileError
    from skillrouter_mcp.model_choice import write_profile
    from skillrouter_mcp.routing.models import model_store
    from skillrouter_mcp.sharing.remote import tell_owner_to_use

    settings = settings_of()
    store = model_store(settings)
    try:
        for model in store.catalogue.profile(profile).models:
            store.ready(model)
    except ModelFileError as error:
        raise click.ClickException(
            f"{error}\nFor the whole profile: skillrouter-mcp models pull {profile}"
        ) from None
    path = write_profile(profile)
    click.echo(f'profile = "{profile}" stands in {_shown(path)}')
    in_force = os.environ.get(_PROFILE_VARIABLE)
    if in_force and in_force != profile:
        click.echo(
            f"{_PROFILE_VARIABLE}={_shown(in_force)} is set here and goes "
            "first: what is started with it keeps using that profile.",
            err=True,
        )
    click.echo(tell_owner_to_use(settings, profile))


@models.command("describe")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@plain_errors
def describe_model(file: Path) -> None:
    """Print an entry for models.toml that describes the GGUF file FILE as far as it can tell."""
    from skillrouter_mcp.model_choice import entry_for

    click.echo(entry_for(file), nl=False)


@models.command("convert")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--weights",
    type=click.Choice(["F32", "F16", "BF16", "Q8_0"]),
    default="Q8_0",
    show_default=True,
    help="Format of the matrices.",
)
@click.option(
    "--kind",
    type=click.Choice(["encoder", "reranker"]),
    help="What the model is for, where its files do not say so.",
)
@click.option(
    "--template",
    type=click.File(encoding="utf-8"),
    help="How a Qwen3 reranker is asked, a file with {query} and {document} in it.",
)
@plain_errors
def convert_model(
    folder: Path,
    target: Path,
    weights: WeightType,
    kind: ModelKind | None,
    template: TextIO | None,
) -> None:
    """Convert the checkpoint in FOLDER (safetensors) to the GGUF file OUT.

    BERT and XLM-RoBERTa encoders and cross-encoders, Qwen3 encoders and rerankers.
    """
    from skillrouter_gguf.convert import convert

    try:
        asked = template.read() if template else None
    except UnicodeDecodeError as error:
        name = _shown(template.name if template else "")
        raise click.ClickException(f"{name}: not UTF-8 ({error.reason}).") from None
    found = convert(folder, target, weights, kind=kind, template=asked)
    click.echo(f"{_shown(target)}: {found}, {target.stat().st_size / 1e6:,.1f} MB")


def _is_ready(store: ModelStore, model: Model) -> bool:
    from skillrouter_gguf import ModelFileError

    try:
        store.ready(model.name)
    except ModelFileError:
        return False
    return True


def _accept_licences(wanted: Iterable[Model], yes: bool) -> None:
    """Ask for each licence that is not free, before anything is fetched."""
    for model in wanted:
        if model.free or yes:
            continue
        told = (
            f"{model.name} comes under the licence '{_shown(model.licence)}', which is not a free "
            f"one: read it at {_shown(model.source)}"
        )
        if not _at_a_terminal():
            raise click.ClickException(f"{told}, and give --yes if you accept it.")
        click.confirm(f"{told}. Do you accept it?", abort=True, err=True)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _profiles_of(catalogue: Catalogue, name: str) -> list[str]:
    """The profile of that name, or those that need the model of that name."""
    if name in catalogue.profiles:
        return [name]
    return [profile.name for profile in catalogue.profiles.values() if name in profile.models]


def _shown(text: Path | str) -> str:
    from skillrouter_mcp.skills import printable

    return printable(str(text), _CHARACTERS)
