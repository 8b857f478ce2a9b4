"""Install and uninstall on config files of many shapes leave them byte for byte as they were."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import pytest

from skillrouter_install import (
    Environment,
    InstallError,
    ServerEntry,
    find_client,
    plan_install,
    plan_uninstall,
)
from skillrouter_install.entries import drop_entry, find_entry, put_entry
from skillrouter_install.formats import format_named

if TYPE_CHECKING:
    from pathlib import Path

JSONC = {
    "an empty object": "{}",
    "an empty object and a line break": "{}\n",
    "an empty object over two lines": "{\n}\n",
    "no byte at all": "",
    "blanks only": " \n\n",
    "a comment only": "// servers go here\n",
    "a block comment without a final line break": "/* nothing */",
    "two blanks": '{\n  "theme": "dark",\n  "mcpServers": {\n    "a": {"command": "x"}\n  }\n}\n',
    "four blanks": (
        '{\n    "mcpServers": {\n        "a": {\n            "command": "x"\n        }\n    }\n}\n'
    ),
    "three blanks": '{\n   "mcpServers": {\n      "a": {"command": "x"}\n   },\n   "z": 1\n}\n',
    "tabs": '{\n\t"mcpServers": {\n\t\t"a": {\n\t\t\t"command": "x"\n\t\t}\n\t}\n}\n',
    "odd and mixed indents": (
        '{\n "a": 1,\n      "mcpServers": {\n  "b": {\n"command": "x"}\n\t}\n}\n'
    ),
    "one line": '{"theme": "dark", "mcpServers": {"a": {"command": "x", "args": []}}}',
    "one tight line": '{"theme":"dark","mcpServers":{"a":{"command":"x","args":[]}}}',
    "one tight line, no servers": '{"theme":"dark"}',
    "an empty container": '{\n  "mcpServers": {},\n  "z": [1, 2]\n}\n',
    "an empty container on one line": '{"mcpServers": {}}',
    "a null container": '{\n  "mcpServers": null\n}\n',
    "a null container on one line": '{"mcpServers":null}',
    "a comment in an empty container": '{\n  "mcpServers": {\n    // none yet\n  }\n}\n',
    "a block comment in an empty container": '{\n  "mcpServers": { /* none */ }\n}\n',
    "trailing commas": '{\n  "mcpServers": {\n    "a": {"command": "x",},\n  },\n}\n',
    "trailing commas with comments": (
        '{\n  "mcpServers": {\n    "a": {"command": "x"}, // the first\n  }, // servers\n}\n'
    ),
    "a comment after the last server": (
        '{\n  "mcpServers": {\n    "a": {"command": "x"} // keep me\n    // and me\n  }\n}\n'
    ),
    "a block comment after the last server": (
        '{\n  "mcpServers": {\n    "a": {"command": "x"} /* keep */\n  }\n}\n'
    ),
    "comments everywhere": (
        '// top\n{ // open\n  /* before */ "mcpServers" /* a */ : /* b */ { // c\n'
        '    // d\n    "a": /* e */ {"command": "x"} /* f */ // g\n  } // h\n} // end\n'
    ),
    "CRLF": '{\r\n  "mcpServers": {\r\n    "a": {"command": "x"}\r\n  }\r\n}\r\n',
    "CRLF with comments": '{\r\n  // one\r\n  "mcpServers": {} // two\r\n}',
    "mixed line breaks": (
        '{\r\n  "a": 1,\n  "mcpServers": {\n    "b": {"command": "x"}\r\n  }\n}\r\n'
    ),
    "a byte order mark": '\ufeff{\n  "mcpServers": {"a": {"command": "x"}}\n}\n',
    "a byte order mark and nothing else": "\ufeff",
    "no final line break": '{\n  "mcpServers": {\n    "a": {"command": "x"}\n  }\n}',
    "braces and slashes in strings": (
        '{\n  "note": "} // no \\" comment, {",\n  "mcpServers": {"a": {"command": "C:\\\\x"}}\n}\n'
    ),
    "letters beyond ASCII": '{\n  "ö": "日本 🚀",\n  "mcpServers": {"é": {"command": "ü"}}\n}\n',
    "numbers that do not survive rewriting": '{"big": 1234567890123456789, "f": 1.0, "e": 1E5}\n',
    "a server named in another place": (
        '{\n  "projects": {"/p": {"mcpServers": {"skillrouter": {"command": "old"}}}}\n}\n'
    ),
    "the container last but one": (
        '{\n  "mcpServers": {\n    "a": {"command": "x"}\n  },\n\n  "z": 0\n}\n'
    ),
    "our name as a prefix": '{"mcpServers": {"skillrouter2": {"command": "x"}}}\n',
}

TOML = {
    "no byte at all": "",
    "blank lines": "\n\n",
    "a comment": "# Codex\n",
    "a comment without a line break": "# Codex",
    "a setting": 'model = "gpt"\n',
    "a setting without a line break": 'model = "gpt"',
    "another server": '[mcp_servers.docs]\ncommand = "docs"\nargs = []\n',
    "two servers": '[mcp_servers.a]\ncommand = "a"\n\n[mcp_servers.b]\ncommand = "b"\n',
    "a server between tables": (
        '[tui]\nx = 1\n\n[mcp_servers.a]\ncommand = "a"\n\n'
        '# projects\n[projects."/p"]\ntrust = "t"\n'
    ),
    "no blank line between tables": '[mcp_servers.a]\ncommand = "a"\n[tui]\nx = 1\n',
    "a server with an env table": (
        '[mcp_servers.a]\ncommand = "a"\n\n[mcp_servers.a.env]\nK = "v"\n\n[z]\n'
    ),
    "an inline container": 'mcp_servers = { a = { command = "a" } }\nz = 1\n',
    "an empty inline container": "mcp_servers = {}\n",
    "dotted keys": 'mcp_servers.a.command = "a"\nmcp_servers.a.args = []\nz = 1\n',
    "a container with inline servers": (
        '[mcp_servers]\na = { command = "a" }\nb = {command="b"}\n\n[z]\n'
    ),
    "an empty container": "[mcp_servers]\n\n[z]\nx = 1\n",
    "quoted keys": '["mcp_servers".\'a b\']\ncommand = "a"\n',
    "blanks in a header": '[ mcp_servers . a ]\ncommand="a"\n',
    "indented tables": (
        '[mcp_servers]\n  [mcp_servers.a]\n  command = "a"\n  args = [\n    "x",\n  ]\n'
    ),
    "comments after values": (
        '[mcp_servers.a] # one\ncommand = "a" # two\n# three\n\n# four\n[z] # five\n'
    ),
    "an array of tables": "[[notify]]\nx = 1\n[[notify]]\nx = 2\n",
    "many-line strings that look like tables": (
        'a = """\n[mcp_servers.skillrouter]\ncommand = "no"\n"""\nb = \'\'\'\n[x]\n\'\'\'\n'
    ),
    "many-line arrays": "a = [\n  1, # one\n  [2, 3],\n]\n\n[b]\nc = [ ]\n",
    "brackets in strings": 'a = "[mcp_servers.a]"\nb = \'{\'\n[z]\nc = "]" # }\n',
    "dates and odd numbers": (
        "d = 1979-05-27T07:32:00Z\nh = 0xDEAD_beef\nf = 1e1_0\ni = +inf\nn = nan\n"
    ),
    "CRLF": '# one\r\n[mcp_servers.a]\r\ncommand = "a"\r\n\r\n[z]\r\n',
    "CRLF without a final line break": "x = 1\r\n[z]\r\ny = 2",
    "a byte order mark": '\ufeff[mcp_servers.a]\ncommand = "a"\n',
    "letters beyond ASCII": '"clé" = "日本語 🚀" # ü\n',
    "loose spacing": "x   =   1\n\n\n\n[z]\n\n\n   y=2\n\n\n",
    "tables out of order": (
        '[mcp_servers.a]\ncommand = "a"\n[z]\n[mcp_servers.b]\ncommand = "b"\n[y]\nq = 1\n'
    ),
    "our name as a prefix": '[mcp_servers.skillrouter2]\ncommand = "x"\n',
    "tabs": '[mcp_servers.a]\n\tcommand = "a"\n\targs\t=\t[]\n',
}

YAML = {
    "no byte at all": "",
    "blank lines": "\n\n",
    "a comment": "# Hermes\n",
    "a comment without a line break": "# Hermes",
    "a document marker": "---\n",
    "a setting": "model: x\n",
    "a setting without a line break": "model: x",
    "another server": "mcp_servers:\n  a:\n    command: a\n",
    "four blanks": "mcp_servers:\n    a:\n        command: a\n        args:\n            - x\n",
    "one blank": "model:\n d: x\nmcp_servers:\n a:\n  command: a\n",
    "sequences not indented": (
        "mcp_servers:\n  a:\n    command: a\n    args:\n    - x\n    - y\nz: 1\n"
    ),
    "a container before others": "mcp_servers:\n  a:\n    command: a\n\nz:\n  - 1\n",
    "comments before, in and after": (
        "# top\nmcp_servers: # these\n  # first\n  a: # one\n    command: a # run\n    # inside\n"
        "  # after a\n# about z\nz: 1\n"
    ),
    "a block of comments at the end": (
        "mcp_servers:\n  a:\n    command: a\n\n# ── later ──\n# x: y\n"
    ),
    "a container without a value": "mcp_servers:\nz: 1\n",
    "a container without a value at the end": "z: 1\nmcp_servers:",
    "a container without a value and a comment": "mcp_servers:   # none yet\n\n# z\nz: 1\n",
    "a null container": "mcp_servers: null\nz: 1\n",
    "a tilde for a container": "z: 1\nmcp_servers: ~  # none\n",
    "an empty container": "mcp_servers: {}\nz: 1\n",
    "an empty container with a comment": "mcp_servers: {} # none\n",
    "servers in braces": "mcp_servers: {a: {command: a, args: [x]}}\nz: 1\n",
    "servers in braces over lines": (
        "mcp_servers: {\n  a: {command: a},  # one\n  b: {command: b},\n}\n"
    ),
    "all in braces": '{"z": 1, "mcp_servers": {"a": {"command": "a"}}}\n',
    "an empty root in braces": "{}\n",
    "anchors and aliases": (
        "x: &e\n  K: v\nmcp_servers:\n  a: &a\n    command: a\n    env: *e\n  b: *a\nz: *e\n"
    ),
    "merge keys": "d: &d\n  timeout: 3\nmcp_servers:\n  a:\n    <<: *d\n    command: a\n",
    "a literal block": (
        "prompt: |\n  # not a comment\n  mcp_servers:\n    skillrouter: no\n\nz: 1\n"
    ),
    "a literal block at the end": "z: 1\nprompt: |\n  text\n  # text too\n",
    "a literal block that keeps line breaks": "prompt: |+\n  text\n\n\n",
    "a literal block without a line break": "z: 1\nprompt: |\n  text",
    "a server that ends in a literal block": (
        "mcp_servers:\n  a:\n    x: |\n      # text\n\n\nz: 1\n"
    ),
    "folded and quoted text": (
        "a: >-\n  one\n  two\nb: 'it''s'\nc: \"t\\tab: {\"\nd: plain\n  goes on\n"
    ),
    "document markers": "---\nmcp_servers:\n  a:\n    command: a\n...\n",
    "CRLF": "# one\r\nmcp_servers:\r\n  a:\r\n    command: a\r\nz: 1\r\n",
    "CRLF without a final line break": "z: 1\r\nmcp_servers: {}",
    "a byte order mark": "\ufeffmcp_servers:\n  a:\n    command: a\n",
    "letters beyond ASCII": "clé: 日本語 🚀\nmcp_servers:\n  ü:\n    command: ä\n",
    "tags": "a: !custom {x: 1}\nb: !!str 5\nmcp_servers: {}\n",
    "quoted keys": "\"mcp_servers\":\n  'a':\n    command: a\n",
    "an indented root": "  z: 1\n  mcp_servers:\n    a:\n      command: a\n",
    "our name as a prefix": "mcp_servers:\n  skillrouter2:\n    command: x\n",
}

JSON5 = {
    **JSONC,
    "names without quotes": (
        "{\n  mcp: {\n    servers: {\n      a: {command: 'x'},\n    },\n  },\n}\n"
    ),
    "single quotes": "{'theme': 'dark', 'mcp': {'servers': {'a': {'command': 'it\\'s'}}}}",
    "numbers of all kinds": "{\n  h: 0xBEEF, p: +1, d: .5, e: 5., i: -Infinity, n: NaN, // 6\n}\n",
    "a string over two lines": "{note: 'one \\\ntwo', mcp: {servers: {}}}\n",
    "a container with more in it": (
        "{\n  mcp: { // mine\n    enabled: true,\n    servers: {}, // none\n  },\n}\n"
    ),
    "no servers in their place": "{\n  mcp: {\n    enabled: true\n  }\n}\n",
    "our name as a prefix, in JSON5": "{mcp: {servers: {skillrouter2: {command: 'x'}}}}\n",
}

CASES = [
    pytest.param(client, text, id=f"{client}: {name}")
    for client, texts in (
        ("cursor", JSONC),
        ("openclaw", JSON5),
        ("codex", TOML),
        ("hermes", YAML),
    )
    for name, text in texts.items()
]

UNPARSABLE = [
    ("cursor", '{\n  "a": 1\n  "b": 2\n}\n', "line 3, column 3"),
    ("cursor", '{"a": ', "line 1, column 7"),
    ("cursor", '{"a": tru}', "line 1, column 7"),
    ("cursor", "{'a': 1}", "line 1, column 2"),
    ("cursor", '{"a": 1} trailing', "line 1, column 10"),
    ("cursor", '{"a": "x\n"}', "line 1, column 7"),
    ("cursor", '{ /* "a": 1 }', "line 1, column 3"),
    ("cursor", "<<<<<<< HEAD\n{}\n", "line 1, column 1"),
    ("cursor", "[" * 100_000, "nested too deeply"),
    ("openclaw", "{a: 1 b: 2}", "line 1, column 7"),
    ("codex", "a = \n", "line 1, column"),
    ("codex", "[a\nb = 1\n", "line 1, column"),
    ("codex", "ok = 1\na = 'x\n", "line 2, column"),
    ("codex", "a = 1\na = 2\n", "a"),
    ("codex", "<<<<<<< HEAD\n", "line 1, column"),
    ("hermes", "a: [1, 2\nb: 3\n", "line 2, column"),
    ("hermes", "a:\n\t- 1\n", "line 2, column 1"),
    ("hermes", "a: 1\n b: 2\n", "line 2, column"),
    ("hermes", "a: 1\n---\nb: 2\n", "line 2, column 1"),
    ("hermes", "a: \x07\n", "line 1, column 4"),
    ("hermes", "a: *nowhere\n", "line 1, column 4"),
]


def config(environment: Environment, client: str) -> Path:
    path = find_client(client).files(environment, "user")[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def everything_below(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def read(environment: Environment, client: str) -> Any:
    path = config(environment, client)
    text = path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    return format_named(find_client(client).form).read(text)


def without_empty(data: Any, keys: tuple[str, ...]) -> Any:
    """The data less the containers on the way to the servers that hold nothing."""
    for depth in reversed(range(len(keys))):
        holder = find_entry(data, keys[:depth]) if depth else data
        if isinstance(holder, dict) and not holder.get(keys[depth]):
            holder.pop(keys[depth], None)
    return data


def test_there_are_thirty_shapes_of_each_format() -> None:
    assert min(map(len, (JSONC, JSON5, TOML, YAML))) >= 30


@pytest.mark.parametrize(("client", "text"), CASES)
def test_install_and_uninstall_leave_the_file_as_it_was(
    environment: Environment, state: Path, server: ServerEntry, client: str, text: str
) -> None:
    path = config(environment, client)
    path.write_bytes(text.encode("utf-8"))
    path.chmod(0o640)
    folder_before = everything_below(environment.home)
    data_before = read(environment, client)
    found = find_client(client)

    plan_install(found, server, environment=environment, state=state).apply()
    installed = read(environment, client)
    keys = found.entry_path("skillrouter")
    assert find_entry(installed, keys) == found.shape(server)
    del find_entry(installed, keys[:-1])["skillrouter"]
    assert repr(without_empty(installed, found.keys)) == repr(
        without_empty(data_before, found.keys)
    )
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.with_name(f"{path.name}.skillrouter-backup").read_bytes() == text.encode("utf-8")

    again = plan_install(found, server, environment=environment, state=state)
    assert not again.changes_anything
    assert again.diff() == ""

    plan_uninstall(found, environment=environment, state=state).apply()
    assert everything_below(environment.home) == folder_before
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(("client", "text"), CASES)
def test_no_character_of_the_rest_is_lost_or_moved(
    server: ServerEntry, client: str, text: str
) -> None:
    found = find_client(client)
    text = text.removeprefix("\ufeff")
    path, value = found.entry_path("skillrouter"), found.shape(server)
    after = put_entry(format_named(found.form), text, path, value)
    left = iter(re.findall(r"\S", after))
    # A container that holds nothing may be laid out anew; all else is there in its order.
    kept = re.sub(r"(^|mcp_servers: )(\{\}|null|~)", r"\1", text)
    kept = re.sub(r'("mcpServers":\s*)(\{\}|null)', r"\1", kept)
    assert [character for character in re.findall(r"\S", kept) if character not in left] == []


@pytest.mark.parametrize(("client", "text"), CASES)
def test_the_entry_can_be_told_from_the_rest_without_records(
    server: ServerEntry, client: str, text: str
) -> None:
    found = find_client(client)
    form = format_named(found.form)
    text = text.removeprefix("\ufeff")
    path, value = found.entry_path("skillrouter"), found.shape(server)
    after = drop_entry(form, put_entry(form, text, path, value), path)
    one, other = (without_empty(form.read(each), found.keys) for each in (text, after))
    assert repr(one) == repr(other)


@pytest.mark.parametrize(("client", "text"), CASES)
def test_an_entry_that_was_there_is_changed_and_put_back(
    environment: Environment, state: Path, server: ServerEntry, client: str, text: str
) -> None:
    path = config(environment, client)
    path.write_bytes(text.encode("utf-8"))
    found = find_client(client)
    old = dataclasses.replace(server, command="/old/it", args=())
    # No record of this first one: it is an entry that the user made.
    plan_install(found, old, environment=environment, state=state / "theirs").apply()
    theirs = path.read_bytes()
    plan_install(found, server, environment=environment, state=state).apply()
    assert find_entry(read(environment, client), found.entry_path("skillrouter")) == found.shape(
        server
    )
    plan_uninstall(found, environment=environment, state=state).apply()
    assert path.read_bytes() == theirs


@pytest.mark.parametrize(("client", "text"), CASES)
def test_an_update_is_undone_together_with_the_first_install(
    environment: Environment, state: Path, server: ServerEntry, client: str, text: str
) -> None:
    path = config(environment, client)
    path.write_bytes(text.encode("utf-8"))
    found = find_client(client)
    old = dataclasses.replace(server, command="/old/it")
    plan_install(found, old, environment=environment, state=state).apply()
    plan_install(found, server, environment=environment, state=state).apply()
    plan_uninstall(found, environment=environment, state=state).apply()
    assert path.read_bytes() == text.encode("utf-8")


@pytest.mark.parametrize(("client", "text", "where"), UNPARSABLE)
def test_a_file_that_does_not_parse_is_refused_and_left_alone(
    environment: Environment,
    state: Path,
    server: ServerEntry,
    client: str,
    text: str,
    where: str,
) -> None:
    path = config(environment, client)
    path.write_bytes(text.encode("utf-8"))
    before = everything_below(environment.home)
    with pytest.raises(InstallError) as refused:
        plan_install(find_client(client), server, environment=environment, state=state)
    assert str(path) in str(refused.value)
    assert where in str(refused.value)
    assert server.command in (refused.value.snippet or "")
    assert everything_below(environment.home) == before


@pytest.mark.parametrize("client", ["cursor", "openclaw", "codex", "hermes"])
@pytest.mark.parametrize("folder_exists", [True, False])
def test_a_missing_file_is_created_and_deleted_again(
    environment: Environment, state: Path, server: ServerEntry, client: str, folder_exists: bool
) -> None:
    path = find_client(client).files(environment, "user")[0]
    if folder_exists:
        path.parent.mkdir(parents=True)
    before = everything_below(environment.home)
    found = find_client(client)
    plan_install(found, server, environment=environment, state=state).apply()
    assert find_entry(read(environment, client), found.entry_path("skillrouter"))
    assert path.stat().st_mode & 0o777 == 0o600
    plan_uninstall(found, environment=environment, state=state).apply()
    assert everything_below(environment.home) == before


@pytest.mark.parametrize(
    ("client", "text"),
    [
        ("cursor", '{"mcpServers": {"a": {"command": "x"}}} // c\n'),
        ("openclaw", "{mcp: {servers: {a: {command: 'x'}}}} // c\n"),
        ("codex", '[mcp_servers.a]\ncommand = "a" # c\n'),
        ("hermes", "mcp_servers:\n  a:\n    command: a # c\n"),
    ],
)
def test_a_link_is_followed_and_stays_a_link(
    environment: Environment,
    state: Path,
    server: ServerEntry,
    tmp_path: Path,
    client: str,
    text: str,
) -> None:
    dotfiles = tmp_path / "dotfiles"
    dotfiles.mkdir()
    target = dotfiles / "real"
    target.write_text(text)
    path = config(environment, client)
    path.symlink_to(target)
    found = find_client(client)
    plan_install(found, server, environment=environment, state=state).apply()
    assert path.is_symlink()
    assert "skillrouter" in target.read_text()
    plan_uninstall(found, environment=environment, state=state).apply()
    assert path.is_symlink()
    assert target.read_text() == text
    assert list(dotfiles.iterdir()) == [target]


@pytest.mark.parametrize(
    ("client", "text", "edit"),
    [
        ("cursor", JSONC["two blanks"], ('"dark"', '"light" /* since */')),
        ("cursor", JSONC["an empty container"], ("[1, 2]", "[3]")),
        ("codex", TOML["a server between tables"], ("x = 1", "x = 2 # more\ny = 3")),
        ("hermes", YAML["comments before, in and after"], ("z: 1", "z: 2\ny: [a]")),
    ],
)
def test_what_changed_meanwhile_stays(
    environment: Environment,
    state: Path,
    server: ServerEntry,
    client: str,
    text: str,
    edit: tuple[str, str],
) -> None:
    path = config(environment, client)
    path.write_text(text)
    found = find_client(client)
    plan_install(found, server, environment=environment, state=state).apply()
    path.write_text(path.read_text().replace(*edit))
    plan_uninstall(found, environment=environment, state=state).apply()
    assert path.read_text() == text.replace(*edit)
