"""Models made ready: fetched, checked, converted where needed, and tried before they are used."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from skillrouter_gguf import hub
from skillrouter_gguf.download import Download, digest_of, disk_trouble, require_room
from skillrouter_gguf.encoder import Encoder
from skillrouter_gguf.errors import DownloadError, ModelError, ModelFileError
from skillrouter_gguf.model_file import sha256_of, verified_path
from skillrouter_gguf.pins import Pin, read_pins, write_pin
from skillrouter_gguf.reranker import Reranker
from skillrouter_gguf.selection import choose_checkpoint, choose_gguf
from skillrouter_gguf.self_check import check_encoder, check_reranker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from skillrouter_gguf.catalogue import Model
    from skillrouter_gguf.download import Progress
    from skillrouter_gguf.hub import Listing, RemoteFile
    from skillrouter_gguf.store import ModelStore

_LOCK = "lock"
_PARTS = "parts"
_PARTIAL = ".partial"
# A GGUF file is at most this much larger than the weights it is made of.
_GROWTH = {"F32": 2.0, "F16": 1.0, "BF16": 1.0, "Q8_0": 1.0}
_SHORT = 12  # characters of a hash that tell files apart


def pull(store: ModelStore, name: str, progress: Progress, *, newest: bool = False) -> Model:
    """Make the model `name` ready, unless it is; gives it as `store.ready` does.

    Only the last step makes it known as ready, so that whatever goes wrong before it leaves what
    was ready as it was. Pulls that run at the same time take turns.

    Args:
        newest: look for a newer commit than the one that was pinned when it was first fetched.

    Raises:
        CatalogueError: if there is no such model.
        DownloadError: if it can't be fetched.
        ModelFileError: if a file of the user's own is not there, or not what its entry says.
        ConversionError: if its weights can't be converted.
        EngineError, SelfCheckError: if llama.cpp can't use the file, or makes nonsense of it.
    """
    model = store.catalogue.model(name)
    if model.embedded:
        return model
    with _turn(store.folder, progress):
        try:
            ready = store.ready(name)
            verified_path(ready, store.path(ready))
            if not newest:
                return ready
        except ModelFileError:
            pass
        if model.path is not None:
            _adopt(store.folder, model, model.path.expanduser())
        else:
            _fetch(store.folder, model, None if newest else store.pin(name), progress)
        return store.ready(name)


def _adopt(folder: Path, model: Model, path: Path) -> None:
    """Take a file of the user's own as it is."""
    verified_path(model, path)
    pin = Pin(path=path, size=path.stat().st_size, sha256=model.sha256 or sha256_of(path))
    _try_out(model, pin, "See whether its entry in models.toml describes it.")
    _pin(folder, model.name, pin)


def _fetch(folder: Path, model: Model, before: Pin | None, progress: Progress) -> None:
    """Take a model from its repo, as it was pinned before if it was."""
    progress.say(f"{model.name}: asking {hub.page(model.repo)} for its files")
    listing = hub.list_repo(model.repo, before.revision if before else model.revision)
    download = Download(listing, folder / _PARTS, progress)
    if model.convert:
        _fetch_and_convert(folder, model, listing, download, progress)
        return
    wanted = model.model_copy(update={"file": before.file}) if before else model
    file = choose_gguf(wanted, listing)
    expected = before.sha256 if before else model.sha256
    if len(file.digest) == len(expected or ""):
        _require(expected, file.digest, model, file)
    path = _kept(folder, model, file.digest)
    if not path.is_file() or digest_of(path, file.digest) != file.digest:
        require_room(folder, download.missing_bytes([file]))
        path = download.fetch(file)
    found = sha256_of(path)
    _require(expected, found, model, file)
    pin = Pin(
        path=path,
        repo=model.repo,
        revision=listing.commit,
        file=file.name,
        size=file.size,
        sha256=found,
        known_before=model.sha256 is not None,
    )
    _try_out(model, pin, "It is kept, so that another try with a mended entry does not fetch it.")
    _keep(folder, model, pin)


def _require(expected: str | None, found: str, model: Model, file: RemoteFile) -> None:
    """Raise DownloadError if a file is not the one that the catalogue, or a pin, means."""
    if expected not in (None, found):
        raise DownloadError(
            f"{hub.page(model.repo)}: {file.name} is another file than {model.name} stands for; "
            f"its SHA-256 is {found}, expected {expected}. It is not used."
        )


def _fetch_and_convert(
    folder: Path, model: Model, listing: Listing, download: Download, progress: Progress
) -> None:
    from skillrouter_gguf.convert import convert

    described, weights = choose_checkpoint(listing)
    files = [*described, *weights]
    made = sum(file.size for file in weights) * _GROWTH[model.convert]
    require_room(folder, download.missing_bytes(files) + int(made))
    checkpoint = folder / _PARTS / f"{model.name}-{listing.commit[:_SHORT]}"
    target = folder / f"{model.name}{_PARTIAL}"
    try:
        for file in files:
            _place(download.fetch(file), checkpoint, file)
        progress.say(f"{model.name}: converting to {model.convert}")
        about = {"name": model.name, "license": model.licence, "source.url": model.source}
        convert(
            checkpoint,
            target,
            model.convert or "Q8_0",
            about,
            kind=model.kind,
            template=model.template or None,
        )
        pin = Pin(
            path=target,
            repo=model.repo,
            revision=listing.commit,
            convert=model.convert,
            size=target.stat().st_size,
            sha256=sha256_of(target),
        )
        _try_out(model, pin, "What it was made of is kept.")
        _keep(folder, model, pin)
    finally:
        target.unlink(missing_ok=True)
        shutil.rmtree(checkpoint, ignore_errors=True)
    download.forget(files)


def _place(path: Path, checkpoint: Path, file: RemoteFile) -> None:
    """Have a fetched file stand under its own name, without a copy where links can be made."""
    link = checkpoint / file.name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(path)
    except OSError:
        shutil.copyfile(path, link)


def _try_out(model: Model, pin: Pin, remedy: str) -> None:
    """Open the file that `pin` means, and have it embed or judge something plain."""
    entry = model.model_copy(update={"size": pin.size, "sha256": pin.sha256})
    try:
        if model.kind == "encoder":
            with Encoder.open(entry, path=pin.path) as encoder:
                check_encoder(encoder)
        else:
            with Reranker.open(entry, path=pin.path) as reranker:
                check_reranker(reranker)
    except ModelError as error:
        raise type(error)(f"{error} The model {model.name} is not used. {remedy}") from error


def _kept(folder: Path, model: Model, sha256: str) -> Path:
    """Where the file of a model is kept, under a name that no other content ever has."""
    return folder / f"{model.name}-{sha256[:_SHORT]}.gguf"


def _keep(folder: Path, model: Model, pin: Pin) -> None:
    """Make a checked file the model's own."""
    if folder in pin.path.parents:
        path = _kept(folder, model, pin.sha256)
        pin.path.replace(path)
        pin = pin.model_copy(update={"path": path})
    _pin(folder, model.name, pin)


def _pin(folder: Path, name: str, pin: Pin) -> None:
    """Record what is ready, and delete what was fetched or made before, unless it is in use."""
    before = read_pins(folder).get(name)
    write_pin(folder, name, pin)
    if before is None or not before.repo or before.path.parent != folder:
        return
    if not any(_is_same(before.path, other.path) for other in read_pins(folder).values()):
        with suppress(OSError):  # who still uses it on Windows keeps it
            before.path.unlink(missing_ok=True)


def _is_same(path: Path, other: Path) -> bool:
    """Whether both lead to one file, however they are written."""
    try:
        return path.samefile(other)
    except OSError:
        return False


@contextmanager
def _turn(folder: Path, progress: Progress) -> Iterator[None]:
    """The only pull into `folder` for now. Raises DownloadError for what the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.say("another pull is under way; waiting for its end")
            lock.acquire()
        try:
            for left in folder.glob(f"*{_PARTIAL}"):  # by a pull that was killed
                left.unlink()
            yield
        finally:
            lock.release()
    except OSError as error:
        raise DownloadError(disk_trouble(folder, error)) from error
