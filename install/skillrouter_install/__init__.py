"""Puts the server into the config files of agent clients, and takes it out again."""

from __future__ import annotations

from skillrouter_install.clients import Client, Detected, clients, detect, find_client
from skillrouter_install.environment import Environment
from skillrouter_install.errors import ConfigSyntaxError, InstallError
from skillrouter_install.own_command import Scope
from skillrouter_install.plan import FileChange, Plan
from skillrouter_install.planning import plan_install, plan_uninstall, snippets
from skillrouter_install.server_entry import ServerEntry, carried_environment

__all__ = [
    "Client",
    "ConfigSyntaxError",
    "Detected",
    "Environment",
    "FileChange",
    "InstallError",
    "Plan",
    "Scope",
    "ServerEntry",
    "carried_environment",
    "clients",
    "detect",
    "find_client",
    "plan_install",
    "plan_uninstall",
    "snippets",
]
