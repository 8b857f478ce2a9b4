from __future__ import annotations

import pytest

from skillrouter_install import find_client
from skillrouter_install.passing import AS_THE_SDK, EVERYTHING, Passing

VARIABLES = {
    "HOME": "/home/me",
    "PATH": "/bin",
    "LANG": "de",
    "XDG_CONFIG_HOME": "/c",
    "SSL_CERT_FILE": "/x.pem",
    "SKILLROUTER_ROOTS": "/s",
}


def test_all_or_only_what_is_named() -> None:
    assert EVERYTHING.of(VARIABLES) == VARIABLES
    assert Passing(frozenset()).of(VARIABLES) == {}
    assert set(AS_THE_SDK.of(VARIABLES)) == {"HOME", "PATH"}
    assert set(AS_THE_SDK.of({"Path": "C:", "HOME": "x"}, windows=True)) == {"Path"}


@pytest.mark.parametrize(
    ("client", "lost"),
    [
        ("claude-code", set()),
        ("vscode", set()),
        ("opencode", set()),
        ("goose", set()),
        ("gemini", {"SSL_CERT_FILE"}),
        ("hermes", {"SSL_CERT_FILE", "SKILLROUTER_ROOTS"}),
        ("codex", {"SSL_CERT_FILE", "SKILLROUTER_ROOTS", "XDG_CONFIG_HOME"}),
        ("openclaw", {"SSL_CERT_FILE", "SKILLROUTER_ROOTS", "XDG_CONFIG_HOME", "LANG"}),
    ],
)
def test_what_does_not_reach_the_server(client: str, lost: set[str]) -> None:
    passed = find_client(client).passes.of(VARIABLES)
    assert VARIABLES.keys() - passed.keys() == lost
