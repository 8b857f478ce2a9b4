"""The Hugging Face hub: what a repo holds, and the bytes of its files.

`HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_TOKEN`, the proxies and certificates of the
environment mean what they mean to every program that uses the hub.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from skillrouter_gguf.errors import ConnectionLostError, DownloadError

# Or the library asks for a list of agents, to tell the hub which of them runs this.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import httpx2
from huggingface_hub import (
    HfApi,
    constants,
    get_session,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_PROGRAM = "skillrouter-mcp"
_PARTIAL, _BEYOND_END = 206, 416
_PASSING = (408, 429, 500, 502, 503, 504)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_USER = re.compile(r"//[^/\s]*@")


class BeyondEndError(DownloadError):
    """The server has less of a file than the hub says."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repo.

    Attributes:
        name: its path in the repo.
        size: in bytes.
        digest: its SHA-256 if it is stored with LFS, else its git blob id (SHA-1), in hexadecimal.
    """

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """What a repo holds at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]

    @cached_property
    def by_name(self) -> dict[str, RemoteFile]:
        """The files by their paths."""
        return {file.name: file for file in self.files}


def list_repo(repo: str, revision: str = "") -> Listing:
    """The files of `repo` at a commit, the newest by default.

    Where the hub can't be reached, or must not be (HF_HUB_OFFLINE), what the hub's own cache
    (HF_HOME) holds of the repo.

    Raises:
        ConnectionLostError: if the hub can't be reached and nothing is cached.
        DownloadError: if there is no such repo or commit, or one that must be asked for, or if
            the answer is none of a hub.
    """
    try:
        with _plain_errors(repo):
            return _listing(repo, _ask(repo, revision))
    except ConnectionLostError:
        if cached := _cached_listing(repo, revision):
            return cached
        raise


def cached_file(listing: Listing, file: RemoteFile) -> Path | None:
    """Where the hub's own cache (HF_HOME) has the file, if it has; its content is not looked at."""
    found = try_to_load_from_cache(listing.repo, file.name, revision=listing.commit)
    if not isinstance(found, str):
        return None
    path = Path(found)
    return path if path.stat().st_size == file.size else None


@contextmanager
def stream(listing: Listing, file: RemoteFile, start: int) -> Iterator[tuple[int, Iterable[bytes]]]:
    """The bytes of a file from `start` on, as they come in.

    Gives the offset of the first byte, which is 0 if the server does not know how to begin at
    `start`, and the pieces.

    Raises:
        ConnectionLostError: from here or while reading, if the connection fails.
        BeyondEndError: if the file ends before `start`.
        DownloadError: if the file may not be had.
    """
    url = hf_hub_url(listing.repo, file.name, revision=listing.commit)
    headers = {**build_hf_headers(library_name=_PROGRAM), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with (
        _plain_errors(listing.repo, file.name),
        _session().stream("GET", url, headers=headers, timeout=timeout) as response,
    ):
        if response.status_code == _BEYOND_END:
            raise BeyondEndError(
                f"{page(listing.repo)}: {file.name} ends before {start:,} of its {file.size:,} "
                "bytes. What was fetched of it was deleted; run this again."
            )
        hf_raise_for_status(response)
        yield (
            start if response.status_code == _PARTIAL else 0,
            (response.iter_bytes()),
        )


def page(repo: str) -> str:
    """Where people read about a repo."""
    return _without_user(f"{constants.ENDPOINT}/{repo}")


def _ask(repo: str, revision: str) -> ModelInfo:
    """What the hub says of a repo. Raises ValueError if the library can't make sense of it."""
    _session()  # which the library opens otherwise, and whose trouble is no trouble with a file
    hub = HfApi(endpoint=constants.ENDPOINT, library_name=_PROGRAM)
    try:
        return hub.model_info(
            repo,
            revision=revision or None,
            files_metadata=True,
            timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
        )
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError("it does not describe a repo") from error


def _listing(repo: str, info: ModelInfo) -> Listing:
    """The files that the hub names. Raises ValueError unless all is as a hub says it."""
    if not (isinstance(info.sha, str) and _COMMIT.fullmatch(info.sha)):
        raise ValueError("it does not say which commit this is")
    files = map(_remote_file, info.siblings or [])
    return Listing(repo, info.sha, tuple(file for file in files if _is_plain(file.name)))


def _remote_file(sibling: RepoSibling) -> RemoteFile:
    name, size = sibling.rfilename, sibling.size
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if (
        isinstance(name, str)
        and type(size) is int
        and size >= 0
        and isinstance(digest, str)
        and _DIGEST.fullmatch(digest)
    ):
        return RemoteFile(name, size, digest)
    raise ValueError("it does not say which files there are, of which size and digest")


def _session() -> httpx2.Client:
    """The connections to the hub. Raises DownloadError if certificates can't be read."""
    try:
        return get_session()
    except OSError as error:
        raise DownloadError(
            f"the certificates can't be read ({error.strerror or error}). See where SSL_CERT_FILE "
            "and SSL_CERT_DIR lead, or unset them."
        ) from error


def _cached_listing(repo: str, revision: str) -> Listing | None:
    """What the hub's own cache holds of a repo."""
    try:
        folder = Path(snapshot_download(repo, revision=revision or None, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    # A file is a link to one that is named for its digest.
    files = [
        RemoteFile(path.relative_to(folder).as_posix(), path.stat().st_size, path.resolve().name)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _DIGEST.fullmatch(path.resolve().name)
    ]
    return Listing(repo, folder.name, tuple(files)) if files else None


@contextmanager
def _plain_errors(repo: str, file: str = "") -> Iterator[None]:
    """Turns what can go wrong with the hub into a sentence that says what to do about it."""
    what = f"{page(repo)}{f' ({file})' if file else ''}"
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise ConnectionLostError(
            f"{what} is not in the cache of the hub ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE "
            "forbids to fetch it. Unset HF_HUB_OFFLINE, or fetch it where there is a network and "
            "copy it here."
        ) from error
    except GatedRepoError as error:
        raise DownloadError(
            f"{what}: its authors want you to accept their terms first. Do so on that page, then "
            "log in with `hf auth login` or set HF_TOKEN, and run this again."
        ) from error
    except RevisionNotFoundError as error:
        raise DownloadError(
            f"{what}: the commit that the catalogue asks for is not there any more."
        ) from error
    except RemoteEntryNotFoundError as error:
        raise DownloadError(f"{what}: there is no such file any more.") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise DownloadError(_gone(what)) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in _PASSING:
            raise ConnectionLostError(
                f"{what}: the hub answers {status} just now. Try again in a while."
            ) from error
        if status in (401, 404):
            raise DownloadError(_gone(what)) from error
        raise DownloadError(
            f"{what}: the hub refuses with status {status}. See whether the page opens in a "
            "browser, and whether HF_TOKEN, if it is set, is still valid."
        ) from error
    except httpx2.HTTPError as error:
        raise ConnectionLostError(
            f"{what}: the connection failed ({_reason(error)}). Check the network, the proxy "
            "settings and HF_ENDPOINT, if it is set, and run this again; what was fetched is kept."
        ) from error
    except (httpx2.InvalidURL, ValueError) as error:
        raise DownloadError(
            f"{what}: no answer of a Hugging Face hub ({_reason(error)}). Check the proxy "
            "settings, and if HF_ENDPOINT is set, that it leads to a whole mirror of the hub."
        ) from error


def _is_plain(name: str) -> bool:
    """Whether a file's name can be shown, and leads nowhere but into its repo."""
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & {*name.split("/")}


def _gone(what: str) -> str:
    return (
        f"{what}: there is no such repo (any more), or it is private. See whether the page opens "
        "in a browser; if it is yours, log in with `hf auth login` or set HF_TOKEN."
    )


def _reason(error: Exception) -> str:
    lines = _without_user(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _without_user(text: str) -> str:
    """Addresses without the user and password that they may hold."""
    return _USER.sub("//", text)
