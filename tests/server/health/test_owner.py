from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skillrouter_mcp.health.owner import check_owner, check_quarantine
from skillrouter_mcp.index.quarantine import Quarantine
from skillrouter_mcp.routing.models import encoder_of, engine_key
from skillrouter_mcp.routing.router import Router
from skillrouter_mcp.routing.succession import Succession
from skillrouter_mcp.settings import Settings
from skillrouter_mcp.sharing import owner as owner_module
from skillrouter_mcp.sharing.channel import Doorway
from skillrouter_mcp.sharing.owner import Owner


@contextmanager
def _owner(settings: Settings) -> Iterator[None]:
    """An owner of the index in a thread of this process."""
    owner = Owner(
        Doorway(settings.home),
        lambda: Succession(settings),
        settings.profile,
        linger=0,
    )
    thread = threading.Thread(target=owner.serve)
    thread.start()
    try:
        yield
    finally:
        list(check_owner(settings))  # the last visit, after which it ends
        thread.join()


def test_no_owner_is_fine(settings: Settings) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    (finding,) = check_owner(settings)
    assert finding.status == "ok"
    assert finding.text == "no server runs at the moment"


def test_the_owner_is_told_with_its_connections(settings: Settings) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    with _owner(settings):
        (finding,) = check_owner(settings)
    assert finding.status == "ok"
    assert finding.text.endswith("owns it, with 0 open connections of servers")


def test_a_profile_that_is_to_follow_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    status = Succession.status
    told = {"profile": "embedded", "follower": "profile r3 answers once 7 more", "refused": ""}
    monkeypatch.setattr(Succession, "status", lambda self: status(self) | told)
    with _owner(settings):
        _, finding = check_owner(settings)
        assert (finding.check, finding.status) == ("profile-follows", "note")
        assert finding.text.endswith("once 7 more; until then profile embedded does")
    told |= {"follower": "", "refused": "profile r3 cannot be used: no such file"}
    with _owner(settings):
        _, finding = check_owner(settings)
    assert (finding.check, finding.status) == ("profile-refused", "problem")
    assert finding.text.endswith("no such file; profile embedded answers instead")


def test_an_owner_of_another_version_is_a_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(owner_module, "version", lambda _: "0.0.1")
    with _owner(settings):
        (finding,) = check_owner(settings)
    assert finding.check == "owner-differs"
    assert "version 0.0.1, this one" in finding.text
    assert "restart the clients" in finding.remedy


def test_skills_that_ended_the_engine_are_named(settings: Settings, write_skill: Any) -> None:
    path = write_skill("stare", body="Look into the eyes of a basilisk.\n")
    write_skill("other")
    with Router.open(settings, keep=False) as router:
        router.bring_in_step()
    assert list(check_quarantine(settings)) == []
    digests = _digests(settings.home, path)
    key = engine_key(encoder_of(settings))
    quarantine = {key: {"suspects": [], "held": digests}}
    (settings.home / "quarantine.json").write_text(json.dumps(quarantine), encoding="utf-8")
    (finding,) = check_quarantine(settings)
    assert finding.section == "models"
    assert finding.places == (str(path),)
    assert Quarantine(settings.home, key).held()


def _digests(home: Path, path: Path) -> dict[str, float]:
    """Of the texts of a skill that were embedded."""
    import apsw

    connection = apsw.Connection(str(home / "index.db"))
    try:
        rows = connection.execute(
            "SELECT hex(p.digest) FROM passage p JOIN view v ON v.passage_id = p.id "
            "JOIN skill s ON s.document_id = v.document_id WHERE s.path = ?",
            (str(path),),
        ).fetchall()
    finally:
        connection.close()
    return {str(digest).lower(): 1.0 for (digest,) in rows}
