"""The owner of an index: a process that holds its models, writes it, and watches the folders.

    python -m skillrouter_mcp.sharing.owner HOME

Servers start it where there is none and ask it through a channel. It ends when there is another
one, or some time after the last of them has gone.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from skillrouter_mcp.logs import log_to_stderr
from skillrouter_mcp.sharing.channel import Channel, ChannelClosedError, Doorway, Message

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from skillrouter_mcp.index.attendance import Roots
    from skillrouter_mcp.routing.succession import Succession
    from skillrouter_mcp.settings import Settings

_LOG = logging.getLogger(__name__)
_LOCK_FILE = "owner.lock"
_FIRST_SESSION_SECONDS = 10.0  # for who started it to come
_LOOK_SECONDS = 2.0  # between two looks whether others can still find the doorway
_END_SECONDS = 1.0  # for the index to be closed
_BREATH_SECONDS = 0.1  # after somebody could not be let in
_ROUNDS = 1_000  # of garbage collection between two of all objects, which take 20 to 40 ms
_SWITCH_SECONDS = 0.001  # for which a thread keeps the interpreter while a request waits for it
UNFIT = 78
"""Its exit status where there can be no owner here."""


class Owner:
    """Answers what comes through the doorway, until nobody has been there for a while or can
    come any more."""

    def __init__(
        self, doorway: Doorway, open_router: Callable[[], Succession], profile: str, linger: float
    ) -> None:
        """
        Args:
            profile: which the router is opened with.
            linger: seconds to stay after the last one has gone.
        """
        from skillrouter_mcp.sharing.warm_up import WarmUp

        self._doorway = doorway
        self._warm_up: WarmUp[Succession] = WarmUp(open_router)
        self._profile = profile
        self._linger = linger
        self._change = threading.Condition()
        self._channels: set[Channel] = set()
        self._ending = False
        self._idle_since = time.monotonic() + max(0.0, _FIRST_SESSION_SECONDS - linger)

    def serve(self) -> None:
        """Returns once nobody has been there for a while, or the doorway is lost; who is still
        there goes to the next owner."""
        threading.Thread(target=self._accept, name="doorway", daemon=True).start()
        self._warm_up.start()
        with self._change:
            while (left := self._left()) > 0:
                self._change.wait(min(left, _LOOK_SECONDS))
                if self._doorway.is_lost():
                    _LOG.warning("the home was deleted or moved; this owner ends")
                    break
            self._ending = True
        self._doorway.close()
        closing = threading.Thread(target=self._warm_up.close, name="closing", daemon=True)
        closing.start()
        closing.join(_END_SECONDS)  # what is committed stays, whatever is broken off

    def _left(self) -> float:
        """Seconds to stay yet if nobody comes."""
        if self._channels:
            return math.inf
        return self._idle_since + self._linger - time.monotonic()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._doorway.accept()
                threading.Thread(
                    target=self._serve, args=(connection,), name="session", daemon=True
                ).start()
            except (OSError, RuntimeError) as error:  # too many files or threads, or the end
                if self._ending:
                    return
                _LOG.warning("nobody could be let in: %s", error)
                time.sleep(_BREATH_SECONDS)

    def _serve(self, connection: Connection[bytes, bytes]) -> None:
        try:
            channel = self._doorway.let_in(connection)
        except ChannelClosedError:
            return
        session = _Session(channel, self)
        try:
            with self._present(channel):
                channel.send(about(self._profile))
                session.run()
        except ChannelClosedError:
            pass
        finally:
            session.end()
            channel.close()

    def router(self) -> Succession:
        """The router, once it is open.

        Raises:
            ChannelClosedError: this owner ends; the next one is to be asked.
        """
        self.go_on()
        return self._warm_up.router()

    def use(self, profile: str, asking: Channel) -> str:
        """Goes over to a profile; raises and returns as `Succession.use` does.

        All but who asks have to come in anew, since some may be set to another profile.
        """
        sentence = self.router().use(profile)
        with self._change:
            changed = profile != self._profile
            self._profile = profile
            others = self._channels - {asking} if changed else set()
        for channel in others:
            channel.close()
        return sentence

    def status(self) -> Message:
        """What this process and its router say of themselves."""
        return {**self.router().status(), "pid": os.getpid(), "sessions": len(self._channels)}

    def go_on(self) -> None:
        """
        Raises:
            ChannelClosedError: this owner ends; the next one is to be asked.
        """
        if self._ending:
            raise ChannelClosedError

    @contextmanager
    def _present(self, channel: Channel) -> Iterator[None]:
        with self._change:
            if self._ending:
                raise ChannelClosedError
            self._channels.add(channel)
        try:
            yield
        finally:
            with self._change:
                self._channels.discard(channel)
                self._idle_since = time.monotonic()
                self._change.notify_all()


class _Session:
    """One connection: its roots are kept in step for as long as it lasts."""

    def __init__(self, channel: Channel, owner: Owner) -> None:
        self._channel = channel
        self._owner = owner
        self._attended: tuple[Succession, Roots] | None = None

    def run(self) -> None:
        from skillrouter_gguf import ModelError
        from skillrouter_mcp.errors import SkillRouterError

        while True:
            message = self._channel.receive()
            try:
                reply = self._reply(message)
            except ModelError as error:
                reply = {"model_error": str(error)}
            except SkillRouterError as error:
                reply = {"error": str(error)}
            except ChannelClosedError:
                raise
            except Exception as error:
                _LOG.exception("a request failed")
                reply = {"error": f"{type(error).__name__} in the owner of the index: {error}"}
            if not reply.keys().isdisjoint(("error", "model_error")):
                self._owner.go_on()  # what fails since this owner ends is for the next one
            self._channel.send(reply)

    def _reply(self, message: Message) -> Message:
        from skillrouter_mcp.sharing.messages import pack_answer, pack_location, unpack_roots

        router = self._owner.router()
        roots = unpack_roots(message["roots"])
        self._attend(router, roots)
        match message["ask"]:
            case "attend":
                return {}
            case "status":
                return {"status": self._owner.status()}
            case "use":
                return {"use": self._owner.use(message["profile"], self._channel)}
            case "account":
                return {"account": asdict(router.account(roots))}
            case "find":
                answer = router.find(message["query"], message["limit"], roots)
                return {"answer": pack_answer(answer)}
            case "rank":
                answer = router.rank(message["query"], message["limit"], roots)
                return {"answer": pack_answer(answer)}
            case "skills after":
                skills = router.skills_after(message["path"], message["count"], roots)
                return {"skills": [pack_location(skill) for skill in skills]}
            case "skill at":
                skill = router.skill_at(message["place"], message["name"], roots)
                return {"skill": None if skill is None else pack_location(skill)}
            case "bring in step":
                changes = router.bring_in_step(
                    self,
                    rebuild=message["rebuild"],
                    patience=message["patience"],
                    roots=roots,
                )
                return {"changes": None if changes is None else changes.counts()}
        return {"error": "the owner of the index does not know this request"}

    def _attend(self, router: Succession, roots: Roots) -> None:
        if self._attended is not None and self._attended[1] == roots:
            return
        router.attend(roots)
        self.end()
        self._attended = router, roots

    def reading(self, done: int, total: int) -> None:
        """Passes on how many of the changed files were read."""
        self._tell(reading=[done, total])

    def embedding(self, done: int, total: int) -> None:
        """Passes on how many skills were embedded."""
        self._tell(embedding=[done, total])

    def _tell(self, **progress: Any) -> None:
        with suppress(ChannelClosedError):  # nobody wants to know it any more
            self._channel.send(progress)

    def end(self) -> None:
        if self._attended is not None:
            router, roots = self._attended
            router.leave(roots)
            self._attended = None


def about(profile: str) -> Message:
    """What the two sides of a channel must agree in, and which process this is."""
    return {"version": version("skillrouter-mcp"), "profile": profile, "pid": os.getpid()}


def own(settings: Settings, doorway: Doorway) -> None:
    """Owns the index of these settings until nobody needs it."""
    without_roots = settings.model_copy(update={"roots": (), "project": None})

    def open_router() -> Succession:
        from skillrouter_mcp.routing.succession import Succession

        try:
            router = Succession(without_roots)
        finally:
            gc.freeze()
            gc.enable()
        threading.Thread(target=_load_model, args=(router,), name="model", daemon=True).start()
        return router

    Owner(doorway, open_router, settings.profile, settings.linger).serve()


def _load_engine() -> None:
    """Beside the opening of the index, as both take their time; who asks is told of trouble."""
    from skillrouter_gguf import ModelError, system_info

    with suppress(ModelError):
        system_info()


def _load_model(router: Succession) -> None:
    from skillrouter_gguf import ModelError
    from skillrouter_mcp.errors import SkillRouterError

    with suppress(ModelError, SkillRouterError):
        router.prepare()


def main(home: Path) -> int:
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.disable()  # what imports and opening make stays for good, and is many objects to look at
    gc.set_threshold(*gc.get_threshold()[:2], _ROUNDS)
    log_to_stderr(f"%(asctime)s {os.getpid()} %(message)s")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # meant for who started it
    lock = FileLock(home / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return 0
    except (OSError, NotImplementedError) as error:
        _LOG.error("%s cannot be locked: %s", home / _LOCK_FILE, error)
        return UNFIT
    try:
        doorway = Doorway(home)
    except OSError as error:
        _LOG.error("there can be no channel to others: %s", error)
        return UNFIT
    threading.Thread(target=_load_engine, name="engine", daemon=True).start()
    from skillrouter_mcp.settings import SettingsError, load_settings

    try:
        settings = load_settings(home=home)
    except SettingsError as error:
        _LOG.error("%s", error)
        doorway.close()
        return UNFIT
    own(settings, doorway)
    return 0


if __name__ == "__main__":
    os._exit(main(Path(sys.argv[1])))  # waits for no thread that still computes
