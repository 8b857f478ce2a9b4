from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from skillrouter_install import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.mark.parametrize(
    ("template", "variables", "expected"),
    [
        ("~/.x", {}, "{home}/.x"),
        ("~", {}, "{home}"),
        ("${A:-~/.a}/f", {}, "{home}/.a/f"),
        ("${A:-~/.a}/f", {"A": ""}, "{home}/.a/f"),
        ("${A:-~/.a}/f", {"A": "/b"}, "/b/f"),
        ("${A:-${B:-~}/c}/f", {}, "{home}/c/f"),
        ("${A:-${B:-~}/c}/f", {"B": "/b"}, "/b/c/f"),
        ("${A:-${B:-~}/c}/f", {"A": "/a", "B": "/b"}, "/a/f"),
        ("${XDG_CONFIG_HOME}/f", {}, "{home}/.config/f"),
        ("${APPDATA}/f", {}, "{home}/AppData/Roaming/f"),
        ("${A:-~}", {"A": "relative"}, "{project}/relative"),
    ],
)
def test_a_template_is_expanded(
    environment: Environment, template: str, variables: Mapping[str, str], expected: str
) -> None:
    there = dataclasses.replace(environment, variables=variables)
    home, project = str(environment.home), str(environment.project)
    assert str(there.expand(template)) == expected.format(home=home, project=project)


def test_the_current_environment_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VARIABLE", "1")
    current = Environment.current()
    assert current.variables["SOME_VARIABLE"] == "1"
    assert current.home.is_absolute()
    assert current.project.is_absolute()
