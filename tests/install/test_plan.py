from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from skillrouter_install import (
    Environment,
    InstallError,
    ServerEntry,
    find_client,
    plan_install,
    plan_uninstall,
)

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_install import Plan

CURSOR = find_client("cursor")


@pytest.fixture
def config(environment: Environment) -> Path:
    path = environment.home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    return path


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the program patch")
@pytest.mark.parametrize(
    "text",
    [
        '{\n  "a": 1\n}\n',
        '{\n  "a": 1\n}',
        '{\r\n  "a": 1\r\n}\r\n',
        '{"a": "\u2028"}\n',
        "",
        None,
    ],
)
def test_the_diff_is_exact(
    environment: Environment, state: Path, server: ServerEntry, config: Path, text: str | None
) -> None:
    if text is not None:
        config.write_bytes(text.encode())

    def patched(plan: Plan) -> bytes:
        command = ["patch", "--binary", "-s", "-p0", "-o", "-", str(config)]
        diff = plan.diff().encode()
        return subprocess.run(command, input=diff, capture_output=True, check=True).stdout

    plan = plan_install(CURSOR, server, environment=environment, state=state)
    expected = patched(plan)
    assert not plan.records.find(config, "server skillrouter")
    assert (config.read_bytes().decode() if config.exists() else None) == text
    plan.apply()
    assert config.read_bytes() == expected

    plan = plan_uninstall(CURSOR, environment=environment, state=state)
    if text is not None:
        assert patched(plan) == text.encode()
    else:
        assert "+++ /dev/null" in plan.diff()


def test_a_file_that_changes_between_plan_and_apply_is_left_alone(
    environment: Environment, state: Path, server: ServerEntry, config: Path
) -> None:
    config.write_text("{}")
    plan = plan_install(CURSOR, server, environment=environment, state=state)
    config.write_text('{"new": 1}')
    with pytest.raises(InstallError, match="has just been changed"):
        plan.apply()
    assert config.read_text() == '{"new": 1}'
    assert list(config.parent.iterdir()) == [config]


def test_what_was_done_is_said(
    environment: Environment, state: Path, server: ServerEntry, config: Path
) -> None:
    config.write_text("{}")
    plan = plan_install(CURSOR, server, environment=environment, state=state)
    assert plan.apply() == [
        f"{config} was kept as {config}.skillrouter-backup",
        f"{config} was written",
    ]
    assert "settings" in plan.then
    plan = plan_uninstall(CURSOR, environment=environment, state=state)
    assert plan.apply()[-1] == f"{config} is byte for byte what it was before the install"
    assert plan.then == ""


def test_a_file_that_an_install_created_is_deleted(
    environment: Environment, state: Path, server: ServerEntry, config: Path
) -> None:
    plan_install(CURSOR, server, environment=environment, state=state).apply()
    done = plan_uninstall(CURSOR, environment=environment, state=state).apply()
    assert done == [f"{config} was deleted; the install had created it"]
    assert not config.exists()


def test_a_created_file_that_others_use_by_now_is_kept(
    environment: Environment, state: Path, server: ServerEntry, config: Path
) -> None:
    plan_install(CURSOR, server, environment=environment, state=state).apply()
    text = config.read_text()
    config.write_text(text.replace('{\n    "skillrouter"', '{\n    "a": {},\n    "skillrouter"'))
    plan_uninstall(CURSOR, environment=environment, state=state).apply()
    assert config.read_text() == '{\n  "mcpServers": {\n    "a": {}\n  }\n}\n'


def test_plans_that_are_made_together_keep_each_others_records(
    environment: Environment, state: Path, server: ServerEntry, config: Path
) -> None:
    config.write_text("{} // mine")
    other = find_client("codex")
    plans = [
        plan_install(client, server, environment=environment, state=state)
        for client in (CURSOR, other)
    ]
    for plan in plans:
        plan.apply()
    plans = [
        plan_uninstall(client, environment=environment, state=state) for client in (CURSOR, other)
    ]
    for plan in plans:
        plan.apply()
    assert config.read_text() == "{} // mine"
    assert [path.name for path in environment.home.iterdir()] == [".cursor"]
