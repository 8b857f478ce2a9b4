from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.gguf import tiny_models
from tests.gguf.pulling import not_ready, publish, pull, refused

from skillrouter_gguf import ModelStore

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub


def test_a_file_that_goes_between_listing_and_download(hub: LocalHub, store: ModelStore) -> None:
    publish(hub)
    hub.faults.status = 404
    assert "there is no such repo (any more)" in refused(store)


@pytest.mark.parametrize("token", ["", "hf_mine"])
def test_a_repo_that_has_gone(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    said = refused(store)
    assert said.startswith(f"{hub.endpoint}/tiny/encoder: there is no such repo (any more)")
    assert "hf auth login" in said


@pytest.mark.parametrize("token", ["", "hf_mine"])
def test_a_gated_repo(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    repo = publish(hub)
    repo.gated, repo.token = "manual", "hf_other"
    monkeypatch.setenv("HF_TOKEN", token)
    said = refused(store)
    assert "accept their terms" in said
    assert f"{hub.endpoint}/tiny/encoder" in said
    assert "HF_TOKEN" in said


def test_a_token_opens_a_gated_repo_and_is_shown_to_the_hub_alone(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = publish(hub)
    repo.gated, repo.token = "manual", "hf_mine"
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    pull(store)
    shown = {request.path.split("/")[1]: request.authorised for request in hub.requests}
    assert shown == {"api": True, "tiny": True, "store": False}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_hub_that_is_out_of_order(hub: LocalHub, store: ModelStore, status: int) -> None:
    publish(hub)
    hub.faults.status = status
    assert f"the hub answers {status} just now. Try again" in refused(store)


def test_a_hub_that_can_not_be_reached(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    said = refused(store)
    assert said.startswith("http://127.0.0.1:9/tiny/encoder: the connection failed")
    assert "proxy" in said


def test_the_proxy_of_the_environment_is_used(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.example")
    monkeypatch.setenv("HTTP_PROXY", hub.endpoint)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pull(store)
    assert hub.requests[0].path == "/api/models/tiny/encoder"


def test_a_server_that_is_no_hub(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint + "/mirror")
    assert "there is no such repo" in refused(store)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://")
    assert "Check" in refused(store)


_WHOLE = b'"tags": []'


@pytest.mark.parametrize(
    ("told", "instead"),
    [(b"", body) for body in (b"[]", b"null", b'"x"', b"{}", b"<html>", b'{"a":' * 100_000)]
    + [
        (_WHOLE, b'"safetensors": "zzz"'),
        (_WHOLE, b'"transformersInfo": 5'),
        (_WHOLE, b'"lastModified": "zzz"'),
    ]
    + [(b'"siblings": [', b'"siblings": [%s, ' % sibling) for sibling in (b'"x"', b"{}", b"5")]
    + [
        (b'"lfs": {', b'"lfs": "a", "before": {'),
        (b'"lfs": {', b'"lfs": 5, "before": {'),
        (b'"sha256": "', b'"sha256": 5, "before": "'),
        (b'"size": ', b'"size": "1", "before": '),
        (b'"size": ', b'"size": 1.5, "before": '),
        (b'"size": ', b'"size": true, "before": '),
        (b'"size": ', b'"size": -1, "before": '),
        (b'"rfilename": "', b'"rfilename": 5, "before": "'),
        (b'"rfilename": "', b'"rfilename": null, "before": "'),
        (b'"sha": "', b'"sha": 5, "before": "'),
        (b'"sha": "', b'"sha": "main", "before": "'),
    ],
)
def test_answers_that_no_hub_gives(
    hub: LocalHub, store: ModelStore, told: bytes, instead: bytes
) -> None:
    publish(hub)
    hub.faults.listing = lambda body: body.replace(told, instead) if told else instead
    said = refused(store)
    assert said.startswith(f"{hub.endpoint}/tiny/encoder: ")
    assert "HF_ENDPOINT" in said


def test_a_password_in_the_address_of_the_hub_is_not_told(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = hub.endpoint.replace("//", "//user:secret@")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    assert refused(store).startswith(f"{hub.endpoint}/tiny/encoder: there is no such repo")
    publish(hub)
    hub.faults.listing = lambda _: b"{}"
    assert "secret" not in refused(store)
    for odd in ("http://user:secret@127.0.0.1:9", "http://user:secret@[", "zz://user:secret@x"):
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", odd)
        assert "secret" not in refused(store)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    hub.faults.listing = bytes
    assert "secret" not in str(pull(store).said)


def test_certificates_that_are_not_there(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish(hub)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    said = refused(store)
    assert "the certificates can't be read (No such file or directory)" in said
    assert "SSL_CERT_FILE" in said
    assert "models: can't be" not in said


def test_offline_nothing_is_asked_for(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    said = refused(store)
    assert "HF_HUB_OFFLINE forbids to fetch it" in said
    assert not hub.requests


@pytest.mark.parametrize("offline", [True, False])
def test_a_file_in_the_cache_of_the_hub_is_used_where_it_lies(
    hub: LocalHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    from huggingface_hub import hf_hub_download

    publish(hub)
    cached = Path(hf_hub_download("tiny/encoder", "tiny.gguf", endpoint=hub.endpoint, token=False))
    sent = hub.sent()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    pull(store)
    assert hub.sent() == sent
    assert store.path(store.ready("tiny")) == cached
    cached.resolve().unlink()
    assert "can't be found any more" in not_ready(store)


def test_a_damaged_file_in_the_cache_of_the_hub_is_passed_over(
    hub: LocalHub, store: ModelStore
) -> None:
    from huggingface_hub import hf_hub_download

    publish(hub)
    cached = Path(hf_hub_download("tiny/encoder", "tiny.gguf", endpoint=hub.endpoint, token=False))
    cached.resolve().write_bytes(bytes(len(tiny_models.encoder())))
    pull(store)
    assert store.path(store.ready("tiny")).parent == store.folder
    assert cached.exists()


@pytest.mark.parametrize("name", ["a\x1b[2J.gguf", "../../b.gguf", "a\u202eb.gguf", "..\\b.gguf"])
def test_names_that_could_harm_are_no_files(hub: LocalHub, store: ModelStore, name: str) -> None:
    publish(hub, {name: b"GGUF"})
    assert refused(store) == "tiny/encoder has no GGUF file."
