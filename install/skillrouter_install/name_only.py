"""Skills that stay in a client's folder and are listed there by their names alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skillrouter_install.adoption_record import AdoptionRecord
from skillrouter_install.entries import drop_entry, find_entry, put_value, same
from skillrouter_install.errors import ConfigSyntaxError, InstallError
from skillrouter_install.files import read_config
from skillrouter_install.formats.json_format import JsonFormat
from skillrouter_install.planning import Planner
from skillrouter_install.record import Records

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_install.clients import Client
    from skillrouter_install.environment import Environment
    from skillrouter_install.plan import Plan

_KEY = "skillOverrides"
_VALUE = "name-only"


@dataclass(frozen=True, slots=True)
class NameOnlyPart:
    """The overrides that let Claude Code list skills by name: see `Part`."""

    names: tuple[str, ...]

    @property
    def form(self) -> JsonFormat:
        """See `Part.form`."""
        return JsonFormat()

    @property
    def label(self) -> str:
        """See `Part.label`."""
        return "skills listed by name"

    def is_in(self, text: str) -> bool:
        """See `Part.is_in`: whether there is one of them."""
        data = self.form.read(text)
        return any(find_entry(data, (_KEY, name)) == _VALUE for name in self.names)

    def put(self, text: str) -> str:
        """See `Part.put`: an override that is there stays."""
        for name in self.names:
            if find_entry(self.form.read(text), (_KEY, name)) is None:
                text = put_value(self.form, text, (_KEY, name), _VALUE)
        return text

    def drop(self, text: str) -> str:
        """See `Part.drop`: what was changed since stays."""
        for name in self.names:
            if find_entry(self.form.read(text), (_KEY, name)) == _VALUE:
                text = drop_entry(self.form, text, (_KEY, name))
        if find_entry(self.form.read(text), (_KEY,)) == {}:
            text = drop_entry(self.form, text, (_KEY,))
        return text

    def only_this_differs(self, one: str, other: str) -> bool:
        """See `Part.only_this_differs`: the other must have none of it."""
        return not self.is_in(other) and same(*(self._without(text) for text in (one, other)))

    def _without(self, text: str) -> dict[str, object]:
        data = dict(self.form.read(text))
        overrides = data.pop(_KEY, None)
        if isinstance(overrides, dict):
            overrides = {key: value for key, value in overrides.items() if key not in self.names}
        return {**data, _KEY: overrides} if overrides else data

    def snippet(self) -> str:
        """See `Part.snippet`."""
        return self.form.document((_KEY,), dict.fromkeys(self.names, _VALUE))


@dataclass(frozen=True, slots=True)
class NameOnly:
    """A plan for a client's settings, and the names of the skills that it puts in or takes out.

    `kept` are the names that have a setting already, which stays, with that.
    """

    plan: Plan
    names: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]
    state: Path

    def apply(self) -> list[str]:
        """Change the settings, the names recorded before; returns sentences on what was done.

        Raises:
            InstallError: the settings or the record cannot be written.
        """
        if not self.names:
            return []
        record = AdoptionRecord.read(self.state)
        client = self.plan.client.id
        recorded = record.name_only.get(client, [])
        if self.plan.action == "install":
            record.name_only[client] = list(dict.fromkeys([*recorded, *self.names]))
            record.write()
            return self.plan.apply()
        done = self.plan.apply()
        record.name_only.pop(client, None)
        record.write()
        return done


def plan_name_only(
    client: Client, names: Sequence[str], *, environment: Environment, state: Path
) -> NameOnly:
    """Plan to list those skills of a client by their names alone.

    Raises:
        InstallError: the client has no such setting, or its file cannot be edited safely.
    """
    file = _settings_file(client, environment)
    present = _overrides(file)
    kept = tuple((name, str(present[name])) for name in names if name in present)
    new = tuple(name for name in names if name not in present)
    recorded = AdoptionRecord.read(state).name_only.get(client.id, [])
    planner = Planner(client, environment, Records(state), "user")
    if new:
        planner.install(NameOnlyPart((*recorded, *new)), [file])
    return NameOnly(_without_advice(planner.plan("install")), new, kept, state)


def plan_full_listing(client: Client, *, environment: Environment, state: Path) -> NameOnly:
    """Plan to list with their descriptions again what `plan_name_only` set to names alone.

    Raises:
        InstallError: the settings file cannot be edited safely, or the record cannot be read.
    """
    names = tuple(AdoptionRecord.read(state).name_only.get(client.id, ()))
    planner = Planner(client, environment, Records(state), "user")
    if names:
        planner.uninstall(NameOnlyPart(names), [_settings_file(client, environment)])
    return NameOnly(planner.plan("uninstall"), names, (), state)


def skill_overrides(client: Client, environment: Environment) -> dict[str, str]:
    """How the client's settings say that skills are listed, by name; Claude Code's words.

    They are "on", "name-only", "user-invocable-only" and "off". Raises InstallError if the
    settings cannot be read.
    """
    if client.skills is None or client.skills.name_only_file is None:
        return {}
    overrides = _overrides(_settings_file(client, environment))
    return {name: str(value) for name, value in overrides.items()}


def _settings_file(client: Client, environment: Environment) -> Path:
    if client.skills is None or client.skills.name_only_file is None:
        raise InstallError(f"{client.title} has no setting that lists a skill by its name alone")
    return environment.expand(client.skills.name_only_file)


def _overrides(file: Path) -> dict[str, object]:
    try:
        overrides = find_entry(JsonFormat().read(read_config(file).text), (_KEY,))
    except ConfigSyntaxError as error:
        raise InstallError(
            f"{file} was left as it is, because it cannot be read: {error}. "
            f"Mend it and run this again"
        ) from None
    return overrides if isinstance(overrides, dict) else {}


def _without_advice(plan: Plan) -> Plan:
    """The plan without what it says on servers."""
    return replace(plan, then="")
