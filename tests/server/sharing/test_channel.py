from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from skillrouter_mcp.sharing import channel as module
from skillrouter_mcp.sharing.channel import Channel, ChannelClosedError, Doorway, connect

PATIENCE = 60.0
unix = pytest.mark.skipif(sys.platform == "win32", reason="has named pipes")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def doorway(home: Path) -> Iterator[Doorway]:
    doorway = Doorway(home)
    yield doorway
    doorway.close()


@contextmanager
def _let_in(doorway: Doorway, then: Callable[[Channel], None]) -> Iterator[list[Exception]]:
    """Lets one in who comes meanwhile; gives what went wrong in the end."""
    errors: list[Exception] = []

    def serve() -> None:
        try:
            with closing(doorway.let_in(doorway.accept())) as channel:
                then(channel)
        except ChannelClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    yield errors
    thread.join(PATIENCE)
    assert not thread.is_alive()


def _echo(channel: Channel) -> None:
    while True:
        channel.send(channel.receive())


def test_messages_of_any_size_pass_both_ways(home: Path, doorway: Doorway) -> None:
    with _let_in(doorway, _echo), closing(connect(home)) as channel:
        for message in ({}, {"query": "\ud800 \0 差旅 🧰", "n": 0.1}, {"long": "x" * 3_000_000}):
            channel.send(message)
            assert channel.receive(PATIENCE) == message


def test_without_an_owner_nobody_is_reached(home: Path) -> None:
    with pytest.raises(ChannelClosedError):
        connect(home)
    Doorway(home).close()
    with pytest.raises(ChannelClosedError):
        connect(home)


@unix
def test_a_socket_that_a_killed_owner_has_left_is_taken_the_place_of(home: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(home / "owner.sock"))
    left.close()
    with pytest.raises(ChannelClosedError):
        connect(home)
    with (
        closing(Doorway(home)) as doorway,
        _let_in(doorway, _echo),
        closing(connect(home)) as channel,
    ):
        channel.send({"still": "there"})
        assert channel.receive(PATIENCE) == {"still": "there"}


def test_who_has_another_key_comes_in_nowhere(home: Path, doorway: Doorway) -> None:
    (home / "owner.key").unlink()
    (home / "owner.key").write_bytes(b"x" * 32)
    with _let_in(doorway, _echo) as errors, pytest.raises(ChannelClosedError):
        connect(home)
    assert len(errors) == 1


def test_the_next_owner_has_the_same_key_unless_that_is_spoilt(
    home: Path, doorway: Doorway
) -> None:
    key = (home / "owner.key").read_bytes()
    Doorway(home).close()
    assert (home / "owner.key").read_bytes() == key
    (home / "owner.key").write_bytes(b"cut short")
    Doorway(home).close()
    assert len((home / "owner.key").read_bytes()) == 32


@unix
def test_socket_and_key_are_for_their_user_alone(home: Path, doorway: Doorway) -> None:
    for name in ("owner.sock", "owner.key"):
        assert (home / name).stat().st_mode & 0o777 == 0o600


@unix
@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root is others too")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_another_user_can_neither_connect_nor_read_the_key(home: Path, doorway: Doorway) -> None:
    home.chmod(0o755)
    script = (
        "import socket, sys\n"
        "for act in (lambda: socket.socket(socket.AF_UNIX).connect(sys.argv[1] + '/owner.sock'),\n"
        "            lambda: open(sys.argv[1] + '/owner.key')):\n"
        "    try: act()\n"
        "    except PermissionError: print('refused')\n"
    )
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    if subprocess.run([*other, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip("another user cannot run this Python")
    done = subprocess.run(
        [*other, sys.executable, "-W", "ignore", "-c", script, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "refused\nrefused\n"


@unix
@pytest.mark.parametrize(
    "garbage", [b"", b"GET / HTTP/1.1\r\n\r\n" * 99, b"\xff" * 4096, b"\0\0\0\x01{"]
)
def test_garbage_is_not_let_in_and_harms_nobody(
    home: Path, doorway: Doorway, garbage: bytes
) -> None:
    with _let_in(doorway, _echo) as errors, socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(home / "owner.sock"))
        stranger.sendall(garbage)
    assert len(errors) == 1
    with _let_in(doorway, _echo), closing(connect(home)) as channel:
        channel.send({"well": "met"})
        assert channel.receive(PATIENCE) == {"well": "met"}


@unix
def test_who_says_nothing_is_waited_for_a_while(
    home: Path, doorway: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HANDSHAKE_SECONDS", 1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(home / "owner.sock"))
        with _let_in(doorway, _echo) as errors:
            pass
    assert len(errors) == 1


@unix
def test_an_owner_that_says_nothing_is_waited_for_a_while(
    home: Path, doorway: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HANDSHAKE_SECONDS", 1)
    with pytest.raises(TimeoutError):
        connect(home)


@unix
def test_who_takes_nothing_is_waited_for_a_while(
    home: Path, doorway: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEND_SECONDS", 1)
    done = threading.Event()

    def take_nothing(_: Channel) -> None:
        done.wait(PATIENCE)

    with _let_in(doorway, take_nothing):
        channel = connect(home)
        with closing(channel), pytest.raises(ChannelClosedError):
            channel.send({"long": "x" * 10_000_000})
        done.set()


def test_waiting_for_a_message_ends_in_time(home: Path, doorway: Doorway) -> None:
    with _let_in(doorway, _echo), closing(connect(home)) as channel, pytest.raises(TimeoutError):
        channel.receive(0.01)


@pytest.mark.parametrize("bytes_", [b"no JSON", b"\xff\xfe", b'["no message"]', b"1"])
def test_what_is_no_message_ends_the_channel(home: Path, doorway: Doorway, bytes_: bytes) -> None:
    with (
        _let_in(doorway, lambda channel: channel._connection.send_bytes(bytes_)),
        closing(connect(home)) as channel,
        pytest.raises(ChannelClosedError),
    ):
        channel.receive(PATIENCE)


def test_the_end_of_one_side_is_told_to_the_other(home: Path, doorway: Doorway) -> None:
    with (
        _let_in(doorway, lambda _: None),
        closing(connect(home)) as channel,
        pytest.raises(ChannelClosedError),
    ):
        channel.receive(PATIENCE)


@unix
def test_closing_wakes_the_thread_that_waits_for_a_message(home: Path, doorway: Doorway) -> None:
    with _let_in(doorway, _echo) as errors:
        channel = connect(home)
        woken = threading.Event()

        def wait() -> None:
            with pytest.raises(ChannelClosedError):
                channel.receive()
            woken.set()

        threading.Thread(target=wait).start()
        assert not woken.wait(0.1)
        channel.close()
        assert woken.wait(PATIENCE)
        channel.close()
    assert len(errors) == 1


@unix
def test_a_doorway_whose_socket_was_deleted_or_replaced_is_lost(home: Path) -> None:
    with closing(Doorway(home)) as doorway:
        assert not doorway.is_lost()
        with closing(Doorway(home)) as other:
            assert doorway.is_lost()
            assert not other.is_lost()
            (home / "owner.sock").unlink()
            assert other.is_lost()


@unix
@pytest.mark.parametrize("name", ["short", "long" * 40])
def test_a_home_is_one_by_whatever_path(
    tmp_path: Path, home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    (home / name).mkdir()
    (home / "link").symlink_to(home / name)
    for there, here in ((home / name, home / "link"), (home / "link", home / name)):
        with closing(Doorway(there)) as doorway:
            with _let_in(doorway, _echo), closing(connect(here)) as channel:
                channel.send({})
                assert channel.receive(PATIENCE) == {}
            inside = (home / name / "owner.sock").exists()
            assert inside == (name == "short")


@unix
def test_no_socket_is_made_where_others_may_write(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    (home / "skillrouter").mkdir()
    (home / "skillrouter").chmod(0o777)
    (home / ("long" * 40)).mkdir()
    with pytest.raises(PermissionError, match="open to others"):
        Doorway(home / ("long" * 40))
