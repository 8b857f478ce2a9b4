from __future__ import annotations

import pytest
import tomlkit

from skillrouter_install.entries import drop_entry, put_entry
from skillrouter_install.errors import EditError
from skillrouter_install.formats.toml_format import TomlFormat

TOML = TomlFormat()
PATH = ("mcp_servers", "it")
ENTRY = {"command": 'C:\\it "x"', "args": ["a"], "limit": 60, "env": {"K.1": "ü"}}
BLOCK = """\
[mcp_servers.it]
command = "C:\\\\it \\"x\\""
args = ["a"]
limit = 60

[mcp_servers.it.env]
"K.1" = "ü"
"""


def test_an_entry_is_a_table_with_its_own_tables_after_it() -> None:
    assert TOML.document(PATH, ENTRY) == BLOCK
    assert tomlkit.parse(BLOCK).unwrap() == {"mcp_servers": {"it": ENTRY}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", BLOCK),
        ("a = 1\n", f"a = 1\n\n{BLOCK}"),
        ("a = 1\n\n", f"a = 1\n\n{BLOCK}"),
        (
            "[mcp_servers.a]\nc = 1 # x\n\n# z\n[z]\n",
            f"[mcp_servers.a]\nc = 1 # x\n\n{BLOCK}\n# z\n[z]\n",
        ),
        ("mcp_servers.a.c = 1\nz = 1\n", f"mcp_servers.a.c = 1\nz = 1\n\n{BLOCK}"),
    ],
)
def test_the_table_stands_behind_the_other_servers_or_at_the_end(before: str, after: str) -> None:
    assert put_entry(TOML, before, PATH, ENTRY) == after


@pytest.mark.parametrize(
    "old",
    [
        "[mcp_servers.it]\ncommand = 'x'\n",
        "[mcp_servers.it]\ncommand = 'x'\n# mine\n[mcp_servers.it.env]\nO = '1'\n",
        "[mcp_servers.it.env]\nO = '1'\n[y]\n[mcp_servers.it]\ncommand = 'x'\n",
        "[mcp_servers]\nit = { command = 'x' }\n",
        "mcp_servers.it.command = 'x'\n",
        "mcp_servers = { it = { command = 'x' } }\n",
        "[mcp_servers]\nit.command = 'x'\n",
    ],
)
def test_an_entry_in_any_notation_is_replaced_and_dropped(old: str) -> None:
    text = f"{old}\n[z]\nq = 1 # q\n"
    put = put_entry(TOML, text, PATH, ENTRY)
    entry = TOML.read(put)["mcp_servers"]["it"]
    assert {**entry, "env": {**entry["env"], "O": "1"}} == {
        **ENTRY,
        "env": {"K.1": "ü", "O": "1"},
    }
    assert put.endswith("[z]\nq = 1 # q\n") or "\n[z]\nq = 1 # q\n\n" in put
    dropped = drop_entry(TOML, put, PATH)
    assert not TOML.read(dropped).get("mcp_servers")
    assert "[z]\nq = 1 # q\n" in dropped


@pytest.mark.parametrize("text", ["mcp_servers = 1\n", "[[mcp_servers]]\na = 1\n"])
def test_servers_that_are_no_table_are_refused(text: str) -> None:
    with pytest.raises(EditError):
        put_entry(TOML, text, PATH, ENTRY)
