"""A router in another process: the owner's, started where there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from skillrouter_mcp.errors import SkillRouterError
from skillrouter_mcp.sharing.channel import Channel, ChannelClosedError, Message, connect
from skillrouter_mcp.sharing.messages import (
    OwnerError,
    pack_roots,
    unpack_account,
    unpack_answer,
)
from skillrouter_mcp.sharing.spawning import LOG_FILE, Spawner, UnfitError

if TYPE_CHECKING:
    from pathlib import Path

    from skillrouter_mcp.index.account import Account
    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.index.store import Location
    from skillrouter_mcp.index.synchroniser import Changes
    from skillrouter_mcp.routing.answer import Answer
    from skillrouter_mcp.routing.router import IndexProgress, Router
    from skillrouter_mcp.settings import Settings

_T = TypeVar("_T")

_CONNECT_SECONDS = 30.0
_GREETING_SECONDS = 20.0
_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 60.0
_WORK_SECONDS = 600.0  # between two messages of an owner that brings the index in step
_ATTEMPTS = 12  # owners that may end over a request before it is given up
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between owners that end at once
_NAP_SECONDS = 2.0  # that an owner must last not to count as one that ended at once
_SILENT = "the process that holds the models does not answer"


class AloneError(SkillRouterError):
    """There is no owner that could be asked; says why.

    Attributes:
        about: what the owner said of itself that could not be asked, None where there is none.
    """

    def __init__(self, reason: str, about: Message | None = None) -> None:
        super().__init__(reason)
        self.about = about


class RemoteRouter:
    """Has the owner find skills; a request that it leaves unanswered goes to the next owner.

    To be used from any thread. As long as it is open there is an owner.
    """

    def __init__(
        self,
        settings: Settings,
        spawner: Spawner | None = None,
        *,
        start: bool = True,
        any_profile: bool = False,
    ) -> None:
        """Connects to the owner of the index of these settings.

        Args:
            spawner: who has started an owner ahead, perhaps of another home.
            start: whether to start an owner where there is none, now or later.
            any_profile: whether one with another profile will do.

        Raises:
            AloneError: there is none and none can be started, or it is of another version.
        """
        self._home = settings.home
        self._profile = settings.profile
        self._roots = settings.search_roots()
        self._start = start
        self._any_profile = any_profile
        self._lock = threading.Lock()
        self._idle: list[Channel] = []
        self._connecting = threading.Lock()
        if spawner is None or spawner.home != self._home:
            spawner = Spawner(self._home)
        self._spawner = spawner
        self._closed = threading.Event()
        channel = self._connect()
        if start:
            self._presence = channel
            threading.Thread(target=self._stay, name="presence", daemon=True).start()
        else:
            self._idle.append(channel)

    def find(self, query: str, limit: int = 5, roots: Roots | None = None) -> Answer:
        """As `Router.find`."""
        reply = self._ask("find", roots, query=query, limit=limit)
        return unpack_answer(reply["answer"])

    def rank(self, query: str, limit: int, roots: Roots | None = None) -> Answer:
        """As `Router.rank`."""
        reply = self._ask("rank", roots, query=query, limit=limit)
        return unpack_answer(reply["answer"])

    def skills_after(self, path: str, count: int, roots: Roots | None = None) -> Sequence[Location]:
        """As `Router.skills_after`."""
        from skillrouter_mcp.index.store import Location

        reply = self._ask("skills after", roots, path=path, count=count)
        return [Location(*skill) for skill in reply["skills"]]

    def skill_at(self, place: str, name: str, roots: Roots | None = None) -> Location | None:
        """As `Router.skill_at`."""
        from skillrouter_mcp.index.store import Location

        skill = self._ask("skill at", roots, place=place, name=name)["skill"]
        return None if skill is None else Location(*skill)

    def bring_in_step(
        self,
        progress: IndexProgress | None = None,
        *,
        rebuild: bool = False,
        patience: float | None = None,
        roots: Roots | None = None,
    ) -> Changes | None:
        """As `Router.bring_in_step`."""
        from skillrouter_mcp.index.synchroniser import Changes

        reply = self._ask(
            "bring in step", roots, progress=progress, rebuild=rebuild, patience=patience
        )
        counts = reply["changes"]
        return None if counts is None else Changes(**counts)

    def account(self, roots: Roots | None = None) -> Account:
        """As `Router.account`."""
        return unpack_account(self._ask("account", roots)["account"])

    def use(self, profile: str) -> str:
        """As `Succession.use`."""
        sentence: str = self._ask("use", None, profile=profile)["use"]
        return sentence

    def status(self) -> Message:
        """What the owner says of itself: `Router.status`, and how many connections it has."""
        status: Message = self._ask("status", None)["status"]
        return status

    def close(self) -> None:
        """Leaves the owner, which ends some time after the last one has left."""
        self._closed.set()
        if self._start:
            self._presence.close()
        self._close_idle()

    def __enter__(self) -> RemoteRouter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, what: str, roots: Roots | None, progress: IndexProgress | None = None, **more: Any
    ) -> Message:
        message = {"ask": what, "roots": pack_roots(self._roots if roots is None else roots)}
        patience = _ANSWER_SECONDS if progress is None else _WORK_SECONDS
        for _ in range(_ATTEMPTS):
            channel = self._channel()
            try:
                reply = _exchange(channel, message | more, progress, patience)
            except ChannelClosedError:
                channel.close()
                self._close_idle()  # they led to the same owner
                continue
            except TimeoutError:
                channel.close()
                raise OwnerError(
                    f"the process that searches the index has not answered for "
                    f"{patience:.0f} s (see {self._home / LOG_FILE})"
                ) from None
            except BaseException:
                channel.close()
                raise
            with self._lock:
                kept = not self._closed.is_set()
                if kept:
                    self._idle.append(channel)
            if not kept:
                channel.close()
            return _unless_error(reply)
        raise OwnerError(
            f"the process that searches the index has ended {_ATTEMPTS} times over this request"
        )

    def _close_idle(self) -> None:
        with self._lock:
            channels, self._idle = self._idle, []
        for channel in channels:
            channel.close()

    def _channel(self) -> Channel:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _stay(self) -> None:
        """Keeps a connection open, by which the owner knows of this process and its roots; if it
        breaks, sees to it that there is another owner."""
        pause = _FIRST_PAUSE
        while not self._closed.is_set():
            began = time.monotonic()
            with suppress(ChannelClosedError):
                self._presence.send({"ask": "attend", "roots": pack_roots(self._roots)})
                while True:
                    self._presence.receive()
            self._presence.close()
            if time.monotonic() - began > _NAP_SECONDS:
                pause = _FIRST_PAUSE
            else:
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            while not self._closed.is_set():
                try:
                    self._presence = self._connect()
                    break
                except AloneError:
                    self._closed.wait(_LONGEST_PAUSE)
        self._presence.close()

    def _connect(self) -> Channel:
        deadline = time.monotonic() + _CONNECT_SECONDS
        with self._connecting, self._spawner:
            while not self._closed.is_set():
                with suppress(ChannelClosedError):
                    return self._greeted(self._reached())
                if not self._start:
                    raise AloneError("no process holds the models")
                try:
                    self._spawner.see_to_it()
                except UnfitError as error:
                    raise AloneError(str(error)) from error
                if time.monotonic() > deadline:
                    raise AloneError(
                        f"the process that holds the models has not answered for "
                        f"{_CONNECT_SECONDS:.0f} s (see {self._home / LOG_FILE})"
                    )
                self._closed.wait(_POLL_SECONDS)
        raise AloneError("the router has been closed")

    def _reached(self) -> Channel:
        try:
            return connect(self._home)
        except TimeoutError:
            raise AloneError(_SILENT, {}) from None

    def _greeted(self, channel: Channel) -> Channel:
        try:
            about = channel.receive(_GREETING_SECONDS)
        except TimeoutError:
            channel.close()
            raise AloneError(_SILENT, {}) from None
        except ChannelClosedError:
            channel.close()
            raise
        if about.get("profile") != self._profile:
            self._profile = _profile_in_force(self._home, self._profile)
        expected = {"version": version("skillrouter-mcp"), "profile": self._profile}
        if self._any_profile:
            del expected["profile"]
        for key, mine in expected.items():
            if about.get(key) != mine:
                channel.close()
                raise AloneError(
                    f"the process that holds the models ({about.get('pid')}) has {key} "
                    f"{about.get(key)}, this one {mine}",
                    about,
                )
        return channel


def _profile_in_force(home: Path, known: str) -> str:
    """The profile that is set now: it may have changed since this process has begun."""
    from skillrouter_mcp.settings import SettingsError, load_settings

    try:
        return load_settings(home=home).profile
    except SettingsError:
        return known


@contextmanager
def running_owner(settings: Settings) -> Iterator[RemoteRouter | None]:
    """The owner of the index of these settings, None where none runs that could be asked."""
    try:
        owner = RemoteRouter(settings, start=False)
    except AloneError:
        yield None
        return
    with owner:
        yield owner


def ask_owner_or_open(
    settings: Settings,
    ask: Callable[[Router | RemoteRouter], _T],
    open_router: Callable[[Settings], Router],
) -> _T:
    """What the owner answers, or a router that is opened for it where there is no owner, or it
    ends meanwhile."""
    with running_owner(settings) as owner:
        if owner is not None:
            with suppress(AloneError):
                return ask(owner)
    with open_router(settings) as router:
        return ask(router)


def tell_owner_to_use(settings: Settings, profile: str) -> str:
    """Has a running owner go over to a profile.

    Returns: what happens now, as a sentence.

    Raises:
        OwnerError: it cannot use the profile; says why.
    """
    try:
        owner = RemoteRouter(settings, start=False, any_profile=True)
    except AloneError as error:
        if error.about is None:
            return "The next server embeds the skills for it; `skillrouter-mcp index` does so now."
        return f"The servers that run are not told of it: {error}; restart the clients."
    with owner:
        return owner.use(profile)


def _exchange(
    channel: Channel, message: Message, progress: IndexProgress | None, patience: float
) -> Message:
    channel.send(message)
    while True:
        reply = channel.receive(patience)
        if "reading" in reply and progress is not None:
            progress.reading(*reply["reading"])
        if "embedding" in reply and progress is not None:
            progress.embedding(*reply["embedding"])
        if not reply.keys() & {"reading", "embedding"}:
            return reply


def _unless_error(reply: Message) -> Message:
    if "model_error" in reply:
        from skillrouter_gguf import ModelError

        raise ModelError(reply["model_error"])
    if "error" in reply:
        raise OwnerError(reply["error"])
    return reply
