"""MCP: the tool, its answers, and the server that offers it."""
