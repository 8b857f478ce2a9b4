"""The clients: where each keeps its servers, in which shape, and what is peculiar to it.

A new client is one more `Client` below, a shape if none fits, and a case in its test.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrouter_install import shapes
from skillrouter_install.errors import InstallError
from skillrouter_install.own_command import OwnCommand, Scope
from skillrouter_install.own_skills import SHARED_FOLDER, OwnSkills, managed_by_hermes
from skillrouter_install.passing import AS_THE_SDK, EVERYTHING, Passing
from skillrouter_install.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from skillrouter_install.environment import Environment
    from skillrouter_install.formats import FormatName
    from skillrouter_install.server_entry import ServerEntry


# What the reference SDKs give a request; so does Cursor, by the log in microsoft/mcp issue 1045.
_USUAL_PATIENCE = Patience(60)


@dataclass(frozen=True, slots=True)
class Client:
    """One client.

    `user_files` are templates for `Environment.expand`, of which the first that exists is used
    and else the first; `macos_files` and `windows_files` stand in for them there. `project_files`
    are below a project's folder. `keys` lead to the servers. `refused` is what the client's own
    parser refuses of what ours reads. `edited_because` says what keeps its own command, if it has
    one, from being used. `programs` and `traces` betray that it is on the machine: where no trace
    is given, the folder of its config file. `hook_files` are for the prompt hook, user's and
    project's; `skills` says where it keeps skills of its own, None where that is not known.
    `patience` is how long it waits for a server, `passes` what of its environment that gets.
    """

    id: str
    title: str
    form: FormatName
    keys: tuple[str, ...]
    shape: Callable[[ServerEntry], dict[str, Any]]
    user_files: tuple[str, ...]
    macos_files: tuple[str, ...] = ()
    windows_files: tuple[str, ...] = ()
    project_files: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()
    own: OwnCommand | None = None
    edited_because: str = ""
    always_load: bool = False
    hook_files: tuple[str, str] | None = None
    skills: OwnSkills | None = None
    then: str = ""
    patience: Patience = _USUAL_PATIENCE
    passes: Passing = AS_THE_SDK

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that it has files for."""
        return ("user", "project") if self.project_files else ("user",)

    def files(self, environment: Environment, scope: Scope) -> list[Path]:
        """Every file that it may keep servers in, the usual one first.

        Raises:
            InstallError: it has no files of that scope.
        """
        if scope == "project":
            if not self.project_files:
                raise InstallError(
                    f"{self.title} keeps its servers per user only; use --scope user"
                )
            return [environment.project / name for name in self.project_files]
        by_platform = {"macos": self.macos_files, "windows": self.windows_files}
        templates = by_platform.get(environment.platform) or self.user_files
        return [environment.expand(template) for template in templates]

    def entry_path(self, name: str) -> tuple[str, ...]:
        """The keys that lead to the entry of the server of that name."""
        return (*self.keys, name)


def _claude_add(name: str, entry: Mapping[str, Any], scope: Scope) -> list[str]:
    return ["mcp", "add-json", "--scope", scope, name, json.dumps(entry)]


def _claude_remove(name: str, scope: Scope) -> list[str]:
    return ["mcp", "remove", "--scope", scope, name]


def _gemini_add(name: str, entry: Mapping[str, Any], scope: Scope) -> list[str]:
    pairs = [f"{key}={value}" for key, value in entry.get("env", {}).items()]
    env = [word for pair in pairs for word in ("-e", pair)]
    limit = ["--timeout", str(entry["timeout"])]
    command = [name, entry["command"]]
    # What follows `--` reaches the server even where it looks like an option.
    args = ["--", *entry["args"]] if entry["args"] else []
    return ["mcp", "add", "-s", scope, *limit, *env, *command, *args]


def _gemini_remove(name: str, scope: Scope) -> list[str]:
    return ["mcp", "remove", "-s", scope, name]


def _vscode_add(name: str, entry: Mapping[str, Any], _scope: Scope) -> list[str]:
    return ["--add-mcp", json.dumps({"name": name, **entry})]


_COMMENTS_AND_COMMAS = frozenset({"comments", "trailing commas"})

_CLIENTS = (
    Client(
        "claude-code",
        "Claude Code",
        "jsonc",
        ("mcpServers",),
        shapes.claude_code,
        user_files=("${CLAUDE_CONFIG_DIR:-~}/.claude.json",),
        project_files=(".mcp.json",),
        programs=("claude",),
        traces=("${CLAUDE_CONFIG_DIR:-~/.claude}", "${CLAUDE_CONFIG_DIR:-~}/.claude.json"),
        refused=_COMMENTS_AND_COMMAS,
        own=OwnCommand(
            "claude",
            _claude_add,
            _claude_remove,
            user_file=".claude.json",
            home_variable="CLAUDE_CONFIG_DIR",
        ),
        always_load=True,
        hook_files=("${CLAUDE_CONFIG_DIR:-~/.claude}/settings.json", ".claude/settings.json"),
        skills=OwnSkills(
            ("${CLAUDE_CONFIG_DIR:-~/.claude}/skills",),
            longest=1_536,
            limit="beyond 1 % of its context it drops descriptions",
            name_only_file="${CLAUDE_CONFIG_DIR:-~/.claude}/settings.json",
        ),
        then="Start a new session; `claude mcp list` shows whether it connects.",
        patience=Patience(30, variable="MCP_TIMEOUT", unit=0.001, always_loaded=5),
        passes=EVERYTHING,  # seen in 2.1.197
    ),
    Client(
        "claude-desktop",
        "Claude Desktop",
        "jsonc",
        ("mcpServers",),
        shapes.plain,
        user_files=("${XDG_CONFIG_HOME}/Claude/claude_desktop_config.json",),
        macos_files=("~/Library/Application Support/Claude/claude_desktop_config.json",),
        windows_files=("${APPDATA}/Claude/claude_desktop_config.json",),
        refused=_COMMENTS_AND_COMMAS,
        then="Quit Claude Desktop and start it again.",
    ),
    Client(
        "hermes",
        "Hermes",
        "yaml",
        ("mcp_servers",),
        shapes.hermes,
        user_files=("${HERMES_HOME:-~/.hermes}/config.yaml",),
        windows_files=("${HERMES_HOME:-${LOCALAPPDATA}/hermes}/config.yaml",),
        edited_because="`hermes mcp add` asks questions, drops comments and sets no tool limit",
        skills=OwnSkills(
            ("${HERMES_HOME:-~/.hermes}/skills",),
            depth=6,
            line="    - {name}: {description}",
            longest=60,
            managed=managed_by_hermes,
        ),
        then="Start a new session; `hermes mcp test skillrouter` shows whether it connects.",
        # `_DEFAULT_CONNECT_TIMEOUT` and `_build_safe_env` in tools/mcp_tool.py of 0.19.0.
        patience=Patience(60, "connect_timeout"),
        passes=Passing(
            frozenset({"HOME", "LANG", "LC_ALL", "PATH", "SHELL", "TERM", "TMPDIR", "USER"}),
            AS_THE_SDK.windows_names | {"COMSPEC", "OS", "PROGRAMDATA", "TMP", "WINDIR"},
            prefixes=("XDG_",),
        ),
    ),
    Client(
        "codex",
        "Codex",
        "toml",
        ("mcp_servers",),
        shapes.codex,
        user_files=("${CODEX_HOME:-~/.codex}/config.toml",),
        project_files=(".codex/config.toml",),
        programs=("codex",),
        edited_because="`codex mcp add` sets no time limits and rewrites other servers' entries",
        skills=OwnSkills(
            ("${CODEX_HOME:-~/.codex}/skills", SHARED_FOLDER),
            depth=6,
            line="- {name}: {description} (file: {path})",
            limit="beyond 2 % of its context it leaves skills out",
        ),
        then="Start a new session. A project's own file counts once Codex trusts the project.",
        # `DEFAULT_STARTUP_TIMEOUT` in codex-mcp/src/rmcp_client.rs is 30 s now and was 10 s;
        # `DEFAULT_ENV_VARS` in rmcp-client/src/utils.rs.
        patience=Patience(10, "startup_timeout_sec"),
        passes=Passing(
            frozenset({"HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR"})
            | {"TZ", "USER", "__CF_USER_TEXT_ENCODING"},
            AS_THE_SDK.windows_names,
        ),
    ),
    Client(
        "cursor",
        "Cursor",
        "jsonc",
        ("mcpServers",),
        shapes.plain,
        user_files=("~/.cursor/mcp.json",),
        project_files=(".cursor/mcp.json",),
        programs=("cursor", "cursor-agent"),
        then="Switch the server on in Cursor's settings under MCP if it asks.",
    ),
    Client(
        "vscode",
        "VS Code",
        "jsonc",
        ("servers",),
        shapes.typed,
        user_files=("${XDG_CONFIG_HOME}/Code/User/mcp.json",),
        macos_files=("~/Library/Application Support/Code/User/mcp.json",),
        windows_files=("${APPDATA}/Code/User/mcp.json",),
        project_files=(".vscode/mcp.json",),
        programs=("code",),
        own=OwnCommand(
            "code",
            _vscode_add,
            None,
            user_file="User/mcp.json",
            home_option="--user-data-dir",
            scopes=("user",),
            help_names=("--add-mcp", "--user-data-dir"),
        ),
        skills=OwnSkills((SHARED_FOLDER,)),
        then="VS Code asks once whether the server may be trusted.",
        passes=EVERYTHING,  # src/vs/workbench/api/node/extHostMcpNode.ts
    ),
    Client(
        "gemini",
        "Gemini CLI",
        "jsonc",
        ("mcpServers",),
        shapes.gemini,
        user_files=("${GEMINI_CLI_HOME:-~}/.gemini/settings.json",),
        project_files=(".gemini/settings.json",),
        programs=("gemini",),
        refused=frozenset({"trailing commas"}),
        own=OwnCommand(
            "gemini",
            _gemini_add,
            _gemini_remove,
            user_file=".gemini/settings.json",
            home_variable="GEMINI_CLI_HOME",
        ),
        skills=OwnSkills((SHARED_FOLDER,)),
        then="Gemini CLI starts servers in folders that it trusts only.",
        # `MCP_DEFAULT_TIMEOUT_MSEC` in packages/core/src/tools/mcp-client.ts, and
        # packages/core/src/services/environmentSanitization.ts of 0.61.0.
        patience=Patience(600, "timeout", unit=0.001),
        passes=Passing(withheld="TOKEN|SECRET|PASSW(OR)?D|KEY|AUTH|CREDENTIAL|CREDS|PRIVATE|CERT"),
    ),
    Client(
        "opencode",
        "opencode",
        "jsonc",
        ("mcp",),
        shapes.opencode,
        user_files=(
            "${XDG_CONFIG_HOME}/opencode/opencode.json",
            "${XDG_CONFIG_HOME}/opencode/opencode.jsonc",
            "${XDG_CONFIG_HOME}/opencode/config.json",
        ),
        project_files=("opencode.json", "opencode.jsonc"),
        programs=("opencode",),
        edited_because="`opencode mcp add` sets no time limit and reformats the file",
        then="Start opencode again; `opencode mcp list` shows whether it connects.",
        # Its schema says 5 s, its code 30 s where nothing is set; packages/opencode/src/mcp of
        # 1.18.33.
        patience=Patience(5, "timeout", unit=0.001),
        passes=EVERYTHING,
    ),
    Client(
        "goose",
        "Goose",
        "yaml",
        ("extensions",),
        shapes.goose,
        user_files=("${XDG_CONFIG_HOME}/goose/config.yaml",),
        windows_files=("${APPDATA}/Block/goose/config/config.yaml",),
        skills=OwnSkills((SHARED_FOLDER,)),
        then="Start a new session.",
        # crates/goose/src/agents/extension_manager.rs clears nothing of its environment.
        patience=Patience(300, "timeout"),
        passes=EVERYTHING,
    ),
    Client(
        "openclaw",
        "OpenClaw",
        "json5",
        ("mcp", "servers"),
        shapes.plain,
        user_files=("${OPENCLAW_CONFIG_PATH:-${OPENCLAW_STATE_DIR:-~/.openclaw}/openclaw.json}",),
        programs=("openclaw",),
        edited_because="`openclaw mcp set` rewrites the file without its comments",
        skills=OwnSkills((SHARED_FOLDER,)),
        then="`openclaw mcp doctor skillrouter --probe` shows whether it connects.",
        # `DEFAULT_CONNECTION_TIMEOUT_MS` in src/agents/mcp-transport-config.ts of 2026.9.6.
        patience=Patience(30, "connectionTimeoutMs", unit=0.001),
    ),
)


def clients() -> tuple[Client, ...]:
    """Every client that is known."""
    return _CLIENTS


def find_client(name: str) -> Client:
    """The client of that id or title, in any case.

    Raises:
        InstallError: there is none; the text names those there are.
    """
    wanted = name.strip().casefold().replace(" ", "-").replace("_", "-")
    for client in _CLIENTS:
        if wanted in (client.id, client.title.casefold().replace(" ", "-")):
            return client
    ids = [client.id for client in _CLIENTS]
    close = difflib.get_close_matches(wanted, ids, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise InstallError(f"no client is called {name!r}; {hint}known are {', '.join(ids)}")


@dataclass(frozen=True, slots=True)
class Detected:
    """A client that is on this machine, and what betrays it."""

    client: Client
    because: str


def detect(environment: Environment) -> list[Detected]:
    """The clients that are on this machine: their program, folder or config file was found."""
    found = []
    for client in _CLIENTS:
        because = _trace(client, environment)
        if because:
            found.append(Detected(client, because))
    return found


def _trace(client: Client, environment: Environment) -> str | None:
    for program in client.programs:
        if place := environment.program(program):
            return f"`{program}` is at {place}"
    traces = [environment.expand(template) for template in client.traces]
    traces = traces or [file.parent for file in client.files(environment, "user")]
    return next((f"{trace} exists" for trace in traces if trace.exists()), None)
