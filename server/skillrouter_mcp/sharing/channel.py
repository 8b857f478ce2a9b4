"""The channel between the owner of an index and the other processes of the same user.

JSON messages over a Unix socket, or a named pipe on Windows. Both sides prove that they can read
the key in the index's home, which nobody but its user can.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import (
    Client,
    Connection,
    Listener,
    answer_challenge,
    deliver_challenge,
)
from pathlib import Path
from typing import Any

Message = dict[str, Any]

_KEY_FILE = "owner.key"
_SOCKET_FILE = "owner.sock"
_KEY_BYTES = 32
_LONGEST_SOCKET_PATH = 100  # bytes; macOS takes 103, Linux 107
_MOST_BYTES = 64_000_000  # of a message
_WAITING = 64  # connections that nobody has accepted yet


class ChannelClosedError(Exception):
    """The process at the other end has ended, or there is none."""


class Channel:
    """One connection; one thread sends at a time, and one receives."""

    def __init__(self, connection: Connection[bytes, bytes]) -> None:
        self._connection = connection

    def send(self, message: Message) -> None:
        """
        Raises:
            ChannelClosedError: nobody is there to receive it.
        """
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except (OSError, ValueError) as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self, timeout: float | None = None) -> Message:
        """The next message.

        Args:
            timeout: seconds to wait for it, None for any time.

        Raises:
            ChannelClosedError: there will be none, or what came is no message.
            TimeoutError: none came in time.
        """
        try:
            if timeout is not None and not self._connection.poll(timeout):
                raise TimeoutError
            message = json.loads(self._connection.recv_bytes(_MOST_BYTES))
        except TimeoutError:
            raise
        except (EOFError, OSError, ValueError) as error:
            raise ChannelClosedError(str(error)) from error
        if not isinstance(message, dict):
            raise ChannelClosedError("what came is no message")
        return message

    def close(self) -> None:
        with suppress(OSError):
            self._connection.close()


class Doorway:
    """Where the owner waits for others."""

    def __init__(self, home: Path) -> None:
        """Only to be made by the owner: it takes the place of an earlier one's.

        Raises:
            OSError: there can be no channel here.
        """
        self._key = _make_key(home)
        self._address = _address(home)
        if os.name != "nt":
            Path(self._address).unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._listener = Listener(self._address, "AF_UNIX", backlog=_WAITING)
            finally:
                os.umask(before)
        else:
            self._listener = Listener(self._address, "AF_PIPE", backlog=_WAITING)

    def accept(self) -> Connection[bytes, bytes]:
        """Waits for somebody, who has yet to be let in.

        Raises:
            OSError: the doorway was closed.
        """
        return self._listener.accept()

    def let_in(self, connection: Connection[bytes, bytes]) -> Channel:
        """
        Raises:
            ChannelClosedError: the other side has gone, or may not come in.
        """
        try:
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
        except (AuthenticationError, EOFError, OSError) as error:
            connection.close()
            raise ChannelClosedError(str(error)) from error
        return Channel(connection)

    def close(self) -> None:
        """Nobody comes in any more; channels that are open stay so."""
        self._listener.close()


def connect(home: Path) -> Channel:
    """A channel to the owner of the index in this home.

    Raises:
        ChannelClosedError: it has none at the moment.
    """
    try:
        key = (home / _KEY_FILE).read_bytes()
        return Channel(Client(_address(home), authkey=key))
    except (AuthenticationError, EOFError, OSError) as error:
        raise ChannelClosedError(str(error)) from error


def _address(home: Path) -> str:
    digest = hashlib.sha256(os.fsencode(os.path.realpath(home))).hexdigest()[:32]
    if os.name == "nt":
        return rf"\\.\pipe\skillrouter-{digest}"
    inside = str(home / _SOCKET_FILE)
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
        return inside
    from platformdirs import user_runtime_path

    folder = user_runtime_path("skillrouter", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is open to others")
    return str(folder / digest)


def _make_key(home: Path) -> bytes:
    path = home / _KEY_FILE
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == _KEY_BYTES:
            return key
        path.unlink()
    key = secrets.token_bytes(_KEY_BYTES)
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
    return key
