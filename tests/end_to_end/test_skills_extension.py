from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, Request, RequestParams, Result, TextResourceContents

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Connect


PATIENCE = 120.0


class _Params(RequestParams, extra="allow"):
    pass


class _Anything(Result, extra="allow"):
    pass


async def _ask(client: Client, method: str, **params: Any) -> dict[str, Any]:
    request: Request[Any, Any] = Request(method=method, params=_Params(**params))
    return (await client.session.send_request(request, _Anything)).model_dump(by_alias=True)


async def _found(client: Client, query: str) -> str:
    """The URI of the first match, once everything is embedded."""
    with anyio.fail_after(PATIENCE):
        while True:
            result = await client.call_tool("find_skill", {"query": query})
            assert result.structured_content is not None
            if not result.structured_content["index"]["pending"]:
                return str(result.structured_content["matches"][0]["uri"])
            await anyio.sleep(0.05)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_host_without_files_finds_verifies_and_reads_a_skill(
    connect: Connect, write_skill: Any, mode: str
) -> None:
    path = write_skill("tune-piano", body="Read references/strings.md first.\n")
    (path.parent / "references").mkdir()
    (path.parent / "references" / "strings.md").write_text("Begin with A4, über 440 Hz.\n")
    async with connect(mode=mode) as client:
        uri = await _found(client, "read references/strings.md")
        entry = (await _ask(client, "skills/get", uri=uri))["skill"]
        assert [entry] == (await _ask(client, "skills/list"))["skills"]
        for resource in entry["resources"]:
            (content,) = (await client.read_resource(resource["uri"])).contents
            assert isinstance(content, TextResourceContents)
            data = content.text.encode()
            assert resource["size"] == len(data)
            assert resource["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        with pytest.raises(MCPError) as refusal:
            await client.read_resource(uri.replace("SKILL.md", "..%2f..%2fhome%2findex.db"))
        assert refusal.value.error.code == INVALID_PARAMS
    assert len(entry["resources"]) == 2
