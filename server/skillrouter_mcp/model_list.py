"""What `models list` and `models pull` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skillrouter_gguf import ModelFileError
from skillrouter_mcp.console import ConsoleProgress, print_json
from skillrouter_mcp.skills import printable

if TYPE_CHECKING:
    from skillrouter_gguf import Model, ModelStore, Profile

_TEXT_CHARACTERS = 2_000
_MEGABYTE = 1_000_000
_SHORT = 12  # characters of a commit


class PullProgress(ConsoleProgress):
    """How far a download is, on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = (-1, -1)

    def say(self, sentence: str) -> None:
        self.close()
        click.echo(printable(sentence, _TEXT_CHARACTERS), err=True)

    def fetching(self, name: str, done: int, total: int) -> None:
        megabytes = done // _MEGABYTE, max(1, total // _MEGABYTE)
        if done == total:
            megabytes = megabytes[1], megabytes[1]
        if megabytes != self._shown:
            self._shown = megabytes
            self.checking(f"fetching {printable(name, _TEXT_CHARACTERS)}", *megabytes, "MB")


def print_models(store: ModelStore, in_use: str, *, as_json: bool) -> None:
    """Profiles and models, which are here, and which are in use."""
    catalogue = store.catalogue
    states = {model.name: _state(store, model) for model in catalogue.models.values()}
    for problem in catalogue.problems:
        click.echo(f"left out: {printable(problem, _TEXT_CHARACTERS)}", err=True)
    if as_json:
        profiles = catalogue.profiles.items()
        print_json(
            {
                "profile": in_use,
                "profiles": {
                    name: {
                        **profile.model_dump(exclude={"name"}),
                        "ready": all(states[model]["ready"] for model in profile.models),
                    }
                    for name, profile in profiles
                },
                "models": [
                    {**model.model_dump(mode="json", exclude={"known_vector"}), **states[name]}
                    for name, model in catalogue.models.items()
                ],
                "problems": list(catalogue.problems),
            }
        )
        return
    if in_use not in catalogue.profiles:
        click.echo(f"in use: {printable(in_use, _TEXT_CHARACTERS)}, which is no profile", err=True)
    for profile in catalogue.profiles.values():
        click.echo(_profile_line(profile, states, in_use))
    used = catalogue.profiles[in_use].models if in_use in catalogue.profiles else ()
    for model in catalogue.models.values():
        mark = "*" if model.name in used else " "
        click.echo(f"\n{mark} {model.name}: {printable(model.title, _TEXT_CHARACTERS)}")
        click.echo(f"    {_facts(model, states[model.name])}")
        click.echo(f"    {printable(_standing(model, states[model.name]), _TEXT_CHARACTERS)}")


def _state(store: ModelStore, model: Model) -> dict[str, Any]:
    """Whether a model can be used, why not, and what was pinned."""
    pin = None if model.embedded else store.pin(model.name)
    state: dict[str, Any] = {"ready": True, "reason": "", "pinned": None}
    try:
        store.ready(model.name)
    except ModelFileError as error:
        state |= {"ready": False, "reason": str(error)}
    if pin is not None:
        on_first_use = bool(model.repo) and not pin.known_before
        state["pinned"] = {**pin.model_dump(mode="json"), "on_first_use": on_first_use}
        del state["pinned"]["known_before"]
    return state


def _profile_line(profile: Profile, states: dict[str, dict[str, Any]], in_use: str) -> str:
    mark = "*" if profile.name == in_use else " "
    ready = all(states[model]["ready"] for model in profile.models)
    get = "" if ready else f"; to get it: skillrouter-mcp models pull {profile.name}"
    title = printable(profile.title, _TEXT_CHARACTERS)
    return f"{mark} {profile.name}: {title} ({' and '.join(profile.models)}){get}"


def _facts(model: Model, state: dict[str, Any]) -> str:
    size = state["pinned"]["size"] if state["pinned"] else model.size
    facts = [
        model.kind,
        "size unknown" if size is None else f"{size / 1e6:,.0f} MB",
        f"{model.context:,} tokens",
        ", ".join(model.languages),
        f"licence {model.licence}" + ("" if model.free else " (not a free one: you are asked)"),
    ]
    if model.dimensions:
        facts.insert(2, f"{model.dimensions} dimensions")
    return printable(", ".join(facts), _TEXT_CHARACTERS)


def _standing(model: Model, state: dict[str, Any]) -> str:
    """Where it stands, in a sentence."""
    if model.embedded:
        return "comes with the package"
    pinned = state["pinned"]
    if not state["ready"]:
        if pinned:
            return f"not ready: {state['reason']}"
        if model.path:
            return f"not looked at yet: {model.path}"
        if model.convert:
            return f"not here; made of {model.repo} when it is fetched, and pinned then"
        if model.sha256:
            return f"not here; known file of {model.repo}"
        return f"not here; its hash is not known yet, and pinned when {model.repo} is fetched"
    if model.path:
        return f"ready: {model.path}"
    how = "pinned on first use" if pinned["on_first_use"] else "hash as in the catalogue"
    what = pinned["file"] or f"converted to {pinned['convert']}"
    return f"ready: {what}, commit {pinned['revision'][:_SHORT]} of {pinned['repo']}, {how}"
