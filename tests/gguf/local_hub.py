"""A server that speaks as the Hugging Face hub does, with faults on demand.

Repos are listed under `/api/models/…`, files answered under `/…/resolve/…`: small ones directly,
those in LFS by sending to a second server, the store, which knows ranges. Status codes and headers
are the hub's: `X-Repo-Commit`, `X-Linked-Etag`, `X-Linked-Size`, `X-Error-Code`.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_INFO = re.compile(r"/api/models/([\w.-]+/[\w.-]+)(?:/revision/([^/]+))?")
_RESOLVE = re.compile(r"/([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)")
_RANGE = re.compile(r"bytes=(\d+)-")
_LFS = (".gguf", ".safetensors")
_PIECE = 16_384
_POINTER = b"version https://git-lfs.github.com/spec/v1"


@dataclass
class Repo:
    """What one repo holds. `gated` as "manual" lets only `token` in."""

    files: dict[str, bytes]
    commit: str = "c0ffee" + "0" * 34
    gated: str = ""
    token: str = ""

    def change(self, name: str, content: bytes) -> None:
        """A new commit with another content of one file."""
        self.files[name] = content
        self.commit = hashlib.sha1(self.commit.encode() + content).hexdigest()


@dataclass(frozen=True)
class Request:
    """One request that was answered, and how many bytes of the body went out."""

    method: str
    path: str
    start: int
    sent: int
    authorised: bool


@dataclass
class Faults:
    """What goes wrong, each with the file store only, but for `listing`.

    Attributes:
        listing: changes what is told of a repo.
        cuts: after how many bytes each of the next answers ends without a word.
        stall_after: bytes after which answers hang, until `released`.
        status: answer with it instead of with a file.
        ignore_ranges: send files from the beginning whatever was asked for.
        damage: changes what is sent.
    """

    cuts: list[int] = field(default_factory=list)
    stall_after: int | None = None
    status: int = 0
    ignore_ranges: bool = False
    damage: Callable[[bytes], bytes] = bytes
    listing: Callable[[bytes], bytes] = bytes
    released: threading.Event = field(default_factory=threading.Event)


class LocalHub:
    """Both servers, on ports of their own; `close` ends them."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults = Faults()
        self.requests: list[Request] = []
        self.stored: dict[str, bytes] = {}
        self._servers = [_serve(self, _Hub), _serve(self, _Store)]

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT should be."""
        return _address(self._servers[0])

    @property
    def store(self) -> str:
        """Where files in LFS are sent from."""
        return _address(self._servers[1])

    def add(self, name: str, files: dict[str, bytes], **settings: str) -> Repo:
        """Publish a repo."""
        self.repos[name] = Repo(files, **settings)
        return self.repos[name]

    def sent(self) -> int:
        """Bytes of files that the store has sent."""
        return sum(request.sent for request in self.requests if request.path.startswith("/store/"))

    def close(self) -> None:
        self.faults.released.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()


@lru_cache(maxsize=32)
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=32)
def blob_id(content: bytes) -> str:
    """What git calls a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: LocalHub

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def hub(self) -> LocalHub:
        return self.server.hub

    def log_message(self, *_: Any) -> None:
        """Requests are kept, not printed."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        raise NotImplementedError

    def note(self, start: int = 0, sent: int = 0) -> None:
        path = urlsplit(self.path).path
        authorised = "Authorization" in self.headers
        self.hub.requests.append(Request(self.command, path, start, sent, authorised))

    def answer(self, status: int, body: bytes = b"", **headers: Any) -> None:
        self.note()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.answer(status, body, X_Error_Code=code, X_Error_Message=message)


class _Hub(_Answers):
    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if found := _INFO.fullmatch(path):
            self._inform(found[1], found[2])
        elif found := _RESOLVE.fullmatch(path):
            self._resolve(found[1], found[2], found[3])
        else:
            self.refuse(404, "", "Sorry, we can't find the page you are looking for.")

    def _repo(self, name: str, revision: str | None) -> Repo | None:
        """The repo, unless the request was refused."""
        repo = self.hub.repos.get(name)
        if repo is None:
            # Whoever is not logged in must not learn whether a private repo exists.
            known = "Authorization" in self.headers
            self.refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        elif revision not in (None, "main", repo.commit):
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repo
        return None

    def _inform(self, name: str, revision: str | None) -> None:
        if (repo := self._repo(name, revision)) is None:
            return
        siblings = []
        for path, content in repo.files.items():
            sibling: dict[str, Any] = {"rfilename": path, "size": len(content)}
            if path.endswith(_LFS):
                lfs = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
                sibling |= {"lfs": lfs, "blobId": blob_id(_POINTER)}
            else:
                sibling["blobId"] = blob_id(content)
            siblings.append(sibling)
        info = {
            "_id": "0",
            "id": name,
            "modelId": name,
            "sha": repo.commit,
            "private": False,
            "gated": repo.gated or False,
            "tags": [],
            "siblings": siblings,
        }
        body = self.hub.faults.listing(json.dumps(info).encode())
        self.answer(200, body, Content_Type="application/json")

    def _resolve(self, name: str, revision: str, path: str) -> None:
        if (repo := self._repo(name, revision)) is None:
            return
        if repo.gated and self.headers.get("Authorization") != f"Bearer {repo.token}":
            known = "Authorization" in self.headers
            told = f"Access to model {name} is restricted."
            self.refuse(403 if known else 401, "GatedRepo", told)
            return
        if (content := repo.files.get(path)) is None:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        about: dict[str, Any] = {"X_Repo_Commit": repo.commit, "Accept_Ranges": "bytes"}
        if not path.endswith(_LFS):
            self.answer(200, content, ETag=f'"{blob_id(content)}"', **about)
            return
        digest = sha256(content)
        self.hub.stored[digest] = content
        self.answer(
            302,
            Location=f"{self.hub.store}/store/{digest}?signature=x",
            X_Linked_Etag=f'"{digest}"',
            X_Linked_Size=str(len(content)),
            ETag=f'"{blob_id(_POINTER)}"',
            **about,
        )


class _Store(_Answers):
    def do_GET(self) -> None:
        faults = self.hub.faults
        content = self.hub.stored.get(urlsplit(self.path).path.rpartition("/")[2])
        if content is None or faults.status:
            self.answer(faults.status or 403)
            return
        content = faults.damage(content)
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(asked[1]) if asked and not faults.ignore_ranges else 0
        if start >= len(content):
            self.answer(416, Content_Range=f"bytes */{len(content)}")
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{sha256(content)}"')
        if start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        self.end_headers()
        self._send(content[start:], start)

    def _send(self, content: bytes, start: int) -> None:
        faults = self.hub.faults
        end = len(content)
        if faults.cuts:
            end = min(end, faults.cuts.pop(0))
        if faults.stall_after is not None:
            end = min(end, faults.stall_after)
        self.note(start, end)
        for place in range(0, end, _PIECE):
            self.wfile.write(content[place : min(place + _PIECE, end)])
        if end < len(content):
            if faults.stall_after is not None:
                faults.released.wait()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)


def _serve(hub: LocalHub, answers: type[_Answers]) -> _Server:
    server = _Server(("127.0.0.1", 0), answers)
    server.hub = hub
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _address(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"
