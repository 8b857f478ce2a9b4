"""Puts the server into the config files of agent clients, and takes it out again."""

from __future__ import annotations

from skillrouter_install.adoption import Adoption, Return, Told, plan_adoption, plan_return, settle
from skillrouter_install.clients import Client, Detected, clients, detect, find_client
from skillrouter_install.configured import ConfiguredServer, configured
from skillrouter_install.environment import Environment
from skillrouter_install.errors import ConfigSyntaxError, InstallError
from skillrouter_install.lock import locked
from skillrouter_install.name_only import (
    NameOnly,
    plan_full_listing,
    plan_name_only,
    skill_overrides,
)
from skillrouter_install.own_command import Scope
from skillrouter_install.own_skills import SKILL_FILE, OwnSkill, own_skills, skill_folders
from skillrouter_install.plan import FileChange, Plan
from skillrouter_install.planning import plan_install, plan_uninstall, snippets
from skillrouter_install.server_entry import ServerEntry, carried_environment

__all__ = [
    "SKILL_FILE",
    "Adoption",
    "Client",
    "ConfigSyntaxError",
    "ConfiguredServer",
    "Detected",
    "Environment",
    "FileChange",
    "InstallError",
    "NameOnly",
    "OwnSkill",
    "Plan",
    "Return",
    "Scope",
    "ServerEntry",
    "Told",
    "carried_environment",
    "clients",
    "configured",
    "detect",
    "find_client",
    "locked",
    "own_skills",
    "plan_adoption",
    "plan_full_listing",
    "plan_install",
    "plan_name_only",
    "plan_return",
    "plan_uninstall",
    "settle",
    "skill_folders",
    "skill_overrides",
    "snippets",
]
