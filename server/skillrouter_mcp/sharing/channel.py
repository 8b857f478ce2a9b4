"""The channel between the owner of an index and the other processes of the same user.

JSON messages over a Unix socket, or a named pipe on Windows. Both sides prove that they can read
the key in the index's home, which nobody but its user can.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import socket
import struct
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
_HANDSHAKE_SECONDS = 20.0
_GLANCE_SECONDS = 1.0
_SEND_SECONDS = 60.0


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
        packed = json.dumps(message).encode()
        try:
            self._connection.send_bytes(packed)
        except (OSError, TypeError, ValueError) as error:
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
        except (EOFError, OSError, RecursionError, TypeError, ValueError) as error:
            # A TypeError is what a connection raises that another thread has closed meanwhile.
            raise ChannelClosedError(str(error)) from error
        if not isinstance(message, dict):
            raise ChannelClosedError("what came is no message")
        return message

    def close(self) -> None:
        """Ends the connection; a thread that waits for a message is told so."""
        with suppress(OSError):
            if os.name != "nt":
                with _socket_of(self._connection) as end:
                    end.shutdown(socket.SHUT_RDWR)
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
        self._key_file = home / _KEY_FILE
        self._address = _address(home)
        if os.name == "nt":
            self._listener = Listener(self._address, "AF_PIPE")
            return
        Path(self._address).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            self._socket.bind(self._address)
        except OSError:
            self._socket.close()
            raise
        finally:
            os.umask(before)
        self._socket.listen(_WAITING)
        self._inode = Path(self._address).stat().st_ino

    def is_lost(self) -> bool:
        """Whether nobody can come in any more: a file was deleted, as with the whole home."""
        if not self._key_file.exists():
            return True
        if os.name == "nt":
            return False
        try:
            return Path(self._address).stat().st_ino != self._inode
        except OSError:
            return True

    def accept(self) -> Connection[bytes, bytes]:
        """Waits for somebody, who has yet to be let in.

        Raises:
            OSError: the doorway was closed.
        """
        if os.name == "nt":
            return self._listener.accept()
        return Connection(self._socket.accept()[0].detach())

    def let_in(self, connection: Connection[bytes, bytes]) -> Channel:
        """
        Raises:
            ChannelClosedError: the other side has gone, or may not come in.
        """
        try:
            _be_patient(connection, _HANDSHAKE_SECONDS)
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            _be_patient(connection, None)
        except (AuthenticationError, AssertionError, EOFError, OSError, ValueError) as error:
            connection.close()
            raise ChannelClosedError(str(error)) from error
        return Channel(connection)

    def close(self) -> None:
        """Nobody comes in any more; channels that are open stay so."""
        if os.name == "nt":
            self._listener.close()
            return
        if not self.is_lost():  # else it is another's by now
            Path(self._address).unlink(missing_ok=True)
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who waits in `accept`
        self._socket.close()


def connect(home: Path) -> Channel:
    """A channel to the owner of the index in this home.

    Raises:
        ChannelClosedError: it has none at the moment.
        TimeoutError: it has one that says nothing.
    """
    connection = None
    try:
        key = (home / _KEY_FILE).read_bytes()
        connection = _dial(_address(home), _HANDSHAKE_SECONDS)
        answer_challenge(connection, key)
        deliver_challenge(connection, key)
        _be_patient(connection, None)
        return Channel(connection)
    except (AuthenticationError, AssertionError, EOFError, OSError, ValueError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, BlockingIOError):
            raise TimeoutError from error
        raise ChannelClosedError(str(error)) from error


def is_attended(home: Path) -> bool:
    """Whether somebody waits in the doorway; whoever it is may yet say nothing. Waits a second at
    most."""
    try:
        _dial(_address(home), _GLANCE_SECONDS).close()
    except OSError:
        return False
    return True


def _dial(address: str, patience: float) -> Connection[bytes, bytes]:
    """A connection that has yet to prove that it may come in, for which it has so many seconds."""
    if os.name == "nt":
        return Client(address)
    with socket.socket(socket.AF_UNIX) as dialling:
        _set_patience(dialling, patience)
        dialling.connect(address)
        return Connection(dialling.detach())


def _be_patient(connection: Connection[bytes, bytes], seconds: float | None) -> None:
    """For how long to wait for the other side at a time, None for ever; nobody waits longer than
    a minute for it to take what it is sent."""
    if os.name != "nt":
        with _socket_of(connection) as end:
            _set_patience(end, seconds)


def _set_patience(end: socket.socket, seconds: float | None) -> None:
    # Kept by the system (an OSError tells), and so within a message too.
    for option, limit in (
        (socket.SO_RCVTIMEO, seconds or 0),
        (socket.SO_SNDTIMEO, seconds or _SEND_SECONDS),
    ):
        end.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", math.ceil(limit), 0))


def _socket_of(connection: Connection[bytes, bytes]) -> socket.socket:
    return socket.socket(fileno=os.dup(connection.fileno()))


def _address(home: Path) -> str:
    real = os.path.realpath(home)  # one home has one, by whatever path
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
    if os.name == "nt":
        return rf"\\.\pipe\skillrouter-{digest}"
    inside = os.path.join(real, _SOCKET_FILE)  # noqa: PTH118
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
