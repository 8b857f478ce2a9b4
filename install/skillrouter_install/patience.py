"""How long clients wait for a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits until it knows a server's tools.

    `seconds` holds unless the entry says otherwise under `key`, or the client's environment in
    `variable`, both counted in units of `unit` seconds. `always_loaded` holds for entries with
    `alwaysLoad`.
    """

    seconds: float
    key: str = ""
    variable: str = ""
    unit: float = 1.0
    always_loaded: float | None = None

    def seconds_for(self, entry: Mapping[str, Any], variables: Mapping[str, str]) -> float:
        """The limit for one entry."""
        for given in (entry.get(self.key), variables.get(self.variable)):
            try:
                if given is not None and float(given) > 0:
                    return float(given) * self.unit
            except (TypeError, ValueError):
                continue
        if self.always_loaded is not None and entry.get("alwaysLoad") is True:
            return self.always_loaded
        return self.seconds
