from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp_types import ListRootsResult
from mcp_types import Root as ClientRoot

from skillrouter_mcp.protocol import session_roots
from skillrouter_mcp.protocol.server import build_server
from skillrouter_mcp.routing.answer import Answer
from skillrouter_mcp.skills import Root

SETTINGS = Root(Path("/user/.skills"), "user")


class _Finder:
    """Knows in which roots it was to look."""

    def __init__(self) -> None:
        self.roots: list[Any] = []

    def find(self, query: str, limit: int, roots: Any = None) -> Answer:
        self.roots.append(roots)
        return Answer((), "empty", 0, 0)

    def close(self) -> None:
        pass


class _Projects:
    """A client's projects, and how often it was asked for them."""

    def __init__(self, *uris: str) -> None:
        self.uris = list(uris)
        self.asked = 0

    async def list(self, _: Any) -> ListRootsResult:
        self.asked += 1
        return ListRootsResult(roots=[ClientRoot(uri=cast("Any", uri)) for uri in self.uris])


def _roots_with(projects: Sequence[Path]) -> tuple[Root, ...]:
    return (*(Root(project, "project") for project in projects), SETTINGS)


@pytest.fixture
def finder() -> _Finder:
    return _Finder()


@pytest.fixture
def client_of(finder: _Finder) -> Callable[..., Client]:
    """A client in this process with these projects."""

    def client(projects: _Projects | None, mode: str = "legacy", ask: bool = True) -> Client:
        server = build_server(lambda: cast("Any", finder), _roots_with if ask else None)
        callback: Any = None if projects is None else projects.list
        return Client(server, mode=cast("Any", mode), list_roots_callback=callback)

    return client


async def _find(client: Client) -> None:
    result = await client.call_tool("find_skill", {"query": "x"})
    assert not result.is_error


async def test_a_session_looks_in_the_projects_of_its_client_asked_for_once(
    client_of: Callable[..., Client], finder: _Finder
) -> None:
    projects = _Projects("file:///projects/one", "file:///projects/two/")
    async with client_of(projects) as client:
        await _find(client)
        await _find(client)
    wanted = _roots_with([Path("/projects/one"), Path("/projects/two")])
    assert finder.roots == [wanted, wanted]
    assert projects.asked == 1


@pytest.mark.filterwarnings("ignore:The roots capability is deprecated")
async def test_projects_that_change_are_asked_for_again(
    client_of: Callable[..., Client], finder: _Finder
) -> None:
    projects = _Projects("file:///projects/one")
    async with client_of(projects) as client:
        await _find(client)
        projects.uris = ["file:///projects/two"]
        await client.send_roots_list_changed()
        with anyio.fail_after(60):
            while finder.roots[-1] != _roots_with([Path("/projects/two")]):
                await _find(client)
    assert projects.asked == 2


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_that_has_no_projects_to_tell_is_not_asked(
    client_of: Callable[..., Client], finder: _Finder, mode: str
) -> None:
    async with client_of(None, mode) as client:
        await _find(client)
    assert finder.roots == [None]


async def test_the_protocol_of_2026_lets_no_server_ask(
    client_of: Callable[..., Client], finder: _Finder
) -> None:
    projects = _Projects("file:///projects/one")
    async with client_of(projects, "auto") as client:
        assert client.protocol_version >= "2026-07-28"
        await _find(client)
    assert finder.roots == [None]
    assert projects.asked == 0


async def test_without_leave_to_ask_nobody_is_asked(
    client_of: Callable[..., Client], finder: _Finder
) -> None:
    projects = _Projects("file:///projects/one")
    async with client_of(projects, ask=False) as client:
        await _find(client)
    assert finder.roots == [None]
    assert projects.asked == 0


async def test_a_client_that_never_answers_is_done_without(
    client_of: Callable[..., Client], finder: _Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_roots, "_PATIENCE_SECONDS", 0.1)

    class _Silent(_Projects):
        async def list(self, _: Any) -> ListRootsResult:
            self.asked += 1
            await anyio.sleep_forever()
            raise AssertionError

    projects = _Silent()
    async with client_of(projects) as client:
        await _find(client)
        await _find(client)
    assert finder.roots == [None, None]
    assert projects.asked == 1


async def test_a_client_whose_answer_is_an_error_is_done_without(
    client_of: Callable[..., Client], finder: _Finder
) -> None:
    class _Refusing(_Projects):
        async def list(self, _: Any) -> Any:
            raise RuntimeError("no projects for you")

    async with client_of(_Refusing()) as client:
        await _find(client)
    assert finder.roots == [None]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///projects/a%20b/%E5%B7%AE%E6%97%85", "/projects/a b/差旅"),
        ("file:///projects/a+b&c=d;e", "/projects/a+b&c=d;e"),
        ("file://localhost/projects/one", "/projects/one"),
        ("file:///projects/one/../two/./x//y", "/projects/two/x/y"),
        ("file:///projects/%2e%2e/etc", "/etc"),
        ("file:///", "/"),
        ("file:///projects/100%25", "/projects/100%"),
    ],
)
async def test_paths_are_read_from_uris_with_odd_characters(
    client_of: Callable[..., Client], finder: _Finder, uri: str, path: str
) -> None:
    async with client_of(_Projects(uri)) as client:
        await _find(client)
    assert finder.roots == [_roots_with([Path(path)])]


@pytest.mark.parametrize(
    "uri",
    [
        "file://server/share",
        "file:///projects/%00/x",
        "file:///projects/%1B%5B2J",
        "file:///projects/%E2%80%AE",
        "file:///projects/%FF",
    ],
)
async def test_what_is_no_plain_path_of_this_machine_is_passed_over(
    client_of: Callable[..., Client], finder: _Finder, uri: str
) -> None:
    async with client_of(_Projects(uri, "file:///projects/one")) as client:
        await _find(client)
    assert finder.roots == [_roots_with([Path("/projects/one")])]


async def test_many_projects_are_too_many(
    client_of: Callable[..., Client], finder: _Finder
) -> None:
    async with client_of(_Projects(*(f"file:///projects/{n}" for n in range(100)))) as client:
        await _find(client)
    (roots,) = finder.roots
    assert len(roots) == session_roots._MOST_PROJECTS + 1


def test_relative_paths_and_other_schemes_than_file_lead_nowhere() -> None:
    for uri in (
        "file:relative/path",
        "https://example.org/work",
        "git+file:///work",
        "",
        "C:/work",
        "/work",
    ):
        assert session_roots._path_of(uri) is None
