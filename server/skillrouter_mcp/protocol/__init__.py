"""MCP: the tool, its answers, and the server that offers it."""

from pydantic import BaseModel, ConfigDict

# The SDK defines some 500 models and a session uses a few, so each is built when it is first used.
BaseModel.model_config = ConfigDict(defer_build=True)
