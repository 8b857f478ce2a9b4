from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    Request,
    RequestParams,
    Result,
    TextResourceContents,
)

from skillrouter_mcp.index.errors import DatabaseError
from skillrouter_mcp.index.library import Library
from skillrouter_mcp.index.store import Location
from skillrouter_mcp.protocol import skill_catalogue
from skillrouter_mcp.protocol.server import build_server
from skillrouter_mcp.protocol.skill_uri import skill_uri
from skillrouter_mcp.routing.answer import Answer, Match
from skillrouter_mcp.routing.shelf import Shelf

EXTENSION = "io.modelcontextprotocol/skills"
GENERATIONS = pytest.mark.parametrize("mode", ["legacy", "auto"])

Connect = Callable[..., AbstractAsyncContextManager[Client]]


class _Params(RequestParams, extra="allow"):
    pass


class _Anything(Result, extra="allow"):
    pass


class _Router:
    """A library without an encoder: `find` answers with every skill there is."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def find(self, query: str, limit: int, roots: Any = None) -> Answer:
        places = self.library.locations()
        matches = tuple(Match(place.name, place.path, 0.9, {}) for place in places)
        return Answer(matches, "match", len(places), 0)

    def skills_after(self, path: str, count: int, roots: Any = None) -> Sequence[Location]:
        return Shelf(self.library.locations()).after(path, count)

    def skill_at(self, place: str, name: str, roots: Any = None) -> Location | None:
        return Shelf(self.library.locations()).at(place, name)

    def close(self) -> None:
        pass


@pytest.fixture
def router(library: Library) -> _Router:
    return _Router(library)


@pytest.fixture
def connect(router: _Router, scan: Any) -> Connect:
    """Connects a client of one generation to a server over `library`, which it scans first."""

    @asynccontextmanager
    async def connected(mode: str = "auto") -> AsyncIterator[Client]:
        scan()
        server = build_server(lambda: cast("Any", router))
        async with Client(server, mode=cast("Any", mode)) as client:
            yield client

    return connected


async def _ask(client: Client, method: str, **params: Any) -> dict[str, Any]:
    request: Request[Any, Any] = Request(method=method, params=_Params(**params))
    result = await client.session.send_request(request, _Anything)
    return result.model_dump(by_alias=True)


async def _refusal(client: Client, method: str, **params: Any) -> Any:
    with pytest.raises(MCPError) as refusal:
        await _ask(client, method, **params)
    return refusal.value.error


@GENERATIONS
async def test_extension_and_resources_are_declared(connect: Connect, mode: str) -> None:
    async with connect(mode) as client:
        capabilities = client.server_capabilities
    assert capabilities.resources is not None
    assert capabilities.extensions == {EXTENSION: {"directoryRead": True}}


@GENERATIONS
async def test_a_found_skill_is_got_listed_and_read_under_one_uri(
    connect: Connect, write_skill: Any, mode: str
) -> None:
    path = write_skill("rotate-logs")
    async with connect(mode) as client:
        found = await client.call_tool("find_skill", {"query": "logs fill the disk"})
        assert found.structured_content is not None
        uri = found.structured_content["matches"][0]["uri"]
        listed = await _ask(client, "skills/list")
        got = await _ask(client, "skills/get", uri=uri)
        (content,) = (await client.read_resource(uri)).contents
    (entry,) = listed["skills"]
    assert entry["uri"] == uri
    assert entry == got["skill"]
    assert entry["frontmatter"] == {"name": "rotate-logs", "description": "Does it."}
    (resource,) = entry["resources"]
    assert isinstance(content, TextResourceContents)
    assert content.text == path.read_text(encoding="utf-8")
    assert content.mime_type == "text/markdown"
    assert resource == {
        "uri": uri,
        "digest": f"sha256:{hashlib.sha256(content.text.encode()).hexdigest()}",
        "size": len(content.text.encode()),
    }


@GENERATIONS
async def test_results_say_that_they_are_whole_and_may_be_stale_at_once(
    connect: Connect, write_skill: Any, mode: str
) -> None:
    uri = skill_uri("rotate-logs", str(write_skill("rotate-logs")))
    async with connect(mode) as client:
        listed = await _ask(client, "skills/list")
        got = await _ask(client, "skills/get", uri=uri)
        folder = await _ask(client, "resources/directory/read", uri=uri.rpartition("/")[0])
    for result in (listed, got, folder):
        assert result["resultType"] == "complete"
        assert "nextCursor" not in result
        assert (result["ttlMs"], result["cacheScope"]) == (0, "private")


async def test_a_changed_file_has_another_digest_at_once(
    connect: Connect, write_skill: Any
) -> None:
    uri = skill_uri("rotate-logs", str(write_skill("rotate-logs")))
    async with connect() as client:
        before = await _ask(client, "skills/get", uri=uri)
        write_skill("rotate-logs", body="Do something else.\n")
        after = await _ask(client, "skills/get", uri=uri)
    assert before["skill"]["resources"] != after["skill"]["resources"]


@GENERATIONS
async def test_a_list_goes_on_at_its_cursor(
    connect: Connect, write_skill: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skill_catalogue, "PAGE", 2)
    for name in "abc":
        write_skill(name, body=name)
    async with connect(mode) as client:
        first = await _ask(client, "skills/list")
        rest = await _ask(client, "skills/list", cursor=first["nextCursor"])
    names = [entry["frontmatter"]["name"] for entry in first["skills"] + rest["skills"]]
    assert names == ["a", "b", "c"]
    assert "nextCursor" not in rest


async def test_folders_are_read_level_by_level(connect: Connect, write_skill: Any) -> None:
    path = write_skill("rotate-logs")
    (path.parent / "references").mkdir()
    (path.parent / "references" / "more.md").write_text("More.")
    folder = skill_uri("rotate-logs", str(path), ())
    async with connect() as client:
        top = await _ask(client, "resources/directory/read", uri=folder)
        _, inner = top["resources"]
        below = await _ask(client, "resources/directory/read", uri=inner["uri"])
        (more,) = below["resources"]
        (content,) = (await client.read_resource(more["uri"])).contents
    assert inner["mimeType"] == "inode/directory"
    assert isinstance(content, TextResourceContents)
    assert content.text == "More."


async def test_bytes_that_are_no_text_come_as_they_are(connect: Connect, write_skill: Any) -> None:
    path = write_skill("rotate-logs")
    (path.parent / "logo.png").write_bytes(b"\x89PNG\0")
    uri = skill_uri("rotate-logs", str(path), ("logo.png",))
    async with connect() as client:
        (content,) = (await client.read_resource(uri)).contents
    assert content.model_dump(by_alias=True, exclude_none=True)["blob"] == "iVBORwA="
    assert content.mime_type == "image/png"


@GENERATIONS
@pytest.mark.parametrize("method", ["skills/get", "resources/read", "resources/directory/read"])
async def test_what_is_not_served_is_an_invalid_parameter(
    connect: Connect, write_skill: Any, tmp_path: Path, mode: str, method: str
) -> None:
    (tmp_path / "secret.txt").write_text("Not for you.")
    path = write_skill("rotate-logs")
    (path.parent / "out.txt").symlink_to(tmp_path / "secret.txt")
    folder = skill_uri("rotate-logs", str(path), ())
    uris = [
        f"{folder}/out.txt",
        f"{folder}/none.md",
        f"{folder}/../../secret.txt",
        f"{folder}/%2e%2e/%2e%2e/secret.txt",
        f"{folder}/..%2f..%2fsecret.txt",
        f"{folder}/SKILL.md%00.txt",
        "skill://elsewhere/rotate-logs/SKILL.md",
        "file:///etc/passwd",
        "not a URI",
        "",
    ]
    async with connect(mode) as client:
        for uri in uris:
            error = await _refusal(client, method, uri=uri)
            assert error.code == INVALID_PARAMS, uri
            assert error.message.isprintable()
            assert "Not for you" not in error.message


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("skills/get", {}),
        ("skills/get", {"uri": 7}),
        ("skills/list", {"cursor": "no cursor of ours"}),
        ("resources/directory/read", {}),
    ],
)
async def test_malformed_parameters_are_refused(
    connect: Connect, method: str, params: dict[str, Any]
) -> None:
    async with connect() as client:
        assert (await _refusal(client, method, **params)).code == INVALID_PARAMS


async def test_a_skill_that_vanishes_is_no_longer_served(
    connect: Connect, write_skill: Any, scan: Any
) -> None:
    path = write_skill("gone")
    uri = skill_uri("gone", str(path))
    async with connect() as client:
        await _ask(client, "skills/get", uri=uri)
        shutil.rmtree(path.parent)
        assert (await _refusal(client, "skills/get", uri=uri)).code == INVALID_PARAMS
        scan()
        assert (await _refusal(client, "resources/read", uri=uri)).code == INVALID_PARAMS
        assert (await _ask(client, "skills/list"))["skills"] == []


async def test_a_file_that_cannot_be_read_is_a_fault_of_the_server(
    connect: Connect, write_skill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied", "SKILL.md")

    uri = skill_uri("rotate-logs", str(write_skill("rotate-logs")))
    async with connect() as client:
        monkeypatch.setattr(skill_catalogue, "read_file", refuse)
        error = await _refusal(client, "skills/get", uri=uri)
        assert (await _ask(client, "skills/list"))["skills"] == []
    assert error.code == INTERNAL_ERROR
    assert error.message == "SKILL.md can't be read: Permission denied"


async def test_an_index_that_cannot_be_read_is_a_fault_of_the_server() -> None:
    def fail() -> Any:
        raise DatabaseError("the index is locked")

    async with Client(build_server(fail)) as client:
        error = await _refusal(client, "skills/list")
    assert error.code == INTERNAL_ERROR
    assert error.message == "the index is locked (skillrouter-mcp doctor tells more)"


async def test_resources_are_not_listed_but_their_template_is(
    connect: Connect, write_skill: Any
) -> None:
    write_skill("rotate-logs")
    async with connect() as client:
        assert (await client.list_resources()).resources == []
        (template,) = (await client.list_resource_templates()).resource_templates
    assert template.uri_template == "skill://{place}/{name}/{+file}"
