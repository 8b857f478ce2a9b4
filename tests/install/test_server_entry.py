from __future__ import annotations

import pytest

from skillrouter_install import InstallError, ServerEntry, carried_environment


@pytest.mark.parametrize("command", ["/usr/bin/it", "C:\\Program Files\\it.exe", "\\\\host\\it"])
def test_an_absolute_command_is_taken(command: str) -> None:
    assert ServerEntry(command).command == command


@pytest.mark.parametrize("command", ["it", "./it", "bin/it", "", "~/bin/it"])
def test_a_command_that_only_some_folder_knows_is_refused(command: str) -> None:
    with pytest.raises(InstallError, match="absolute path"):
        ServerEntry(command)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "a/b", "ä", "a" * 65, "a_b"])
def test_a_name_that_some_client_refuses_is_refused(name: str) -> None:
    with pytest.raises(InstallError, match="letters, digits and hyphens"):
        ServerEntry("/it", name=name)


def test_settings_that_a_client_may_filter_out_are_carried() -> None:
    variables = {"HF_HOME": "/models", "SKILLROUTER_ROOTS": "", "HF_TOKEN": "x", "PATH": "/bin"}
    assert carried_environment(variables) == {"HF_HOME": "/models"}
