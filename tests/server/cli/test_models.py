from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tomlkit
from tests.gguf import tiny_models

from skillrouter_gguf import describe_file
from skillrouter_mcp.skills.sanitise import is_plain

if TYPE_CHECKING:
    from tests.gguf.local_hub import LocalHub
    from tests.server.cli.conftest import Run, RunJson

COMMAND = str(Path(sys.executable).with_name("skillrouter-mcp"))
PATIENCE = 120.0
ENTRY = {**tiny_models.ENCODER, "title": "Tiny", "repo": "tiny/encoder"}


def _own(home: Path, entry: dict[str, Any] | None = None, **profile: object) -> None:
    """Write models.toml with the model `tiny` and the profile `mine`."""
    document = tomlkit.document()
    document["models"] = {"tiny": entry or ENTRY}
    document["profiles"] = {"mine": {"title": "Mine", "encoder": "tiny", **profile}}
    home.mkdir(exist_ok=True)
    (home / "models.toml").write_text(tomlkit.dumps(document), encoding="utf-8")


@pytest.fixture
def published(hub: LocalHub, fresh: Path) -> LocalHub:
    """A hub that has the user's own entry."""
    _own(fresh)
    hub.add("tiny/encoder", {"tiny.gguf": tiny_models.encoder()})
    return hub


def _listed(run_json: RunJson, name: str) -> dict[str, Any]:
    models = {model["name"]: model for model in run_json("models", "list")["models"]}
    model: dict[str, Any] = models[name]
    return model


def test_lists_models_and_profiles(run: Run, run_json: RunJson, fresh: Path) -> None:
    listed = run_json("models", "list")
    assert listed["profile"] == "embedded"
    assert listed["profiles"]["embedded"]["encoder"] == "skillrouter-minilm-l6"
    assert listed["profiles"]["embedded"]["ready"]
    assert listed["profiles"]["r3"]["reranker"] == "r3-reranker-0_6b"
    assert not listed["profiles"]["r3"]["ready"]
    models = {model["name"]: model for model in listed["models"]}
    assert models["skillrouter-minilm-l6"]["dimensions"] == 384
    assert models["skillrouter-minilm-l6"]["ready"]
    assert "is not here yet" in models["r3-reranker-0_6b"]["reason"]
    assert not fresh.exists()


def test_the_list_says_what_is_in_use_and_what_to_run(run: Run, fresh: Path) -> None:
    told = run("models", "list").stdout
    assert "* embedded: Works everywhere" in told
    assert "* skillrouter-minilm-l6: " in told
    assert "    encoder, 25 MB, 384 dimensions, 512 tokens, en, licence Apache-2.0\n" in told
    assert "  r3: " in told
    assert "to get it: skillrouter-mcp models pull r3\n" in told
    assert "licence Gemma (not a free one: you are asked)" in told


def test_a_profile_in_use_that_is_none_is_told(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLROUTER_PROFILE", "zz")
    assert "in use: zz, which is no profile" in run("models", "list").stderr


def test_an_entry_of_ones_own_that_is_wrong_is_told_and_left_out(
    run: Run, run_json: RunJson, fresh: Path
) -> None:
    _own(fresh, {**ENTRY, "pooling": "max\x1b[2J"})
    done = run("models", "list")
    problem = f"{fresh / 'models.toml'}: models.tiny.pooling: Input should be"
    assert f"left out: {problem}" in done.stderr
    assert run_json("models", "list")["problems"][0].startswith(problem)
    assert "* embedded" in done.stdout
    refused = run("models", "pull", "mine", status=1).stderr
    assert "there is no model 'mine'" in refused
    assert problem in refused


def test_pulls_a_profile(run: Run, run_json: RunJson, fresh: Path, published: LocalHub) -> None:
    assert _listed(run_json, "tiny")["pinned"] is None
    done = run("models", "pull", "mine")
    assert done.stdout.startswith(f"tiny is ready: 0 MB, {fresh / 'models'}")
    assert done.stdout.endswith("To use it: skillrouter-mcp models use mine\n")
    assert "fetching tiny.gguf 1 of 1 MB" in done.stderr
    pinned = _listed(run_json, "tiny")["pinned"]
    assert pinned["on_first_use"]
    assert pinned["file"] == "tiny.gguf"
    told = run("models", "list").stdout
    commit = published.repos["tiny/encoder"].commit[:12]
    assert f"ready: tiny.gguf, commit {commit} of tiny/encoder, pinned on first use" in told
    assert "  mine: Mine (tiny)\n" in told


def test_pulls_one_model(run: Run, published: LocalHub) -> None:
    done = run("models", "pull", "tiny")
    assert "To use it: skillrouter-mcp models use mine" in done.stdout
    assert "is ready" in run("models", "pull", "tiny").stdout
    assert sum(request.path.startswith("/api/") for request in published.requests) == 1


def test_looks_for_the_newest(run: Run, run_json: RunJson, published: LocalHub) -> None:
    run("models", "pull", "tiny")
    published.repos["tiny/encoder"].change("README.md", b"news")
    run("models", "pull", "tiny", "--newest")
    commit = published.repos["tiny/encoder"].commit
    assert _listed(run_json, "tiny")["pinned"]["revision"] == commit


def test_what_can_not_be_pulled_is_told(run: Run, published: LocalHub) -> None:
    assert (
        "there is no model 'zz'; known are: all-minilm"
        in run("models", "pull", "zz", status=1).stderr
    )
    published.repos.clear()
    done = run("models", "pull", "mine", status=1)
    assert f"Error: {published.endpoint}/tiny/encoder: there is no such repo" in done.stderr
    assert done.stdout == ""


def test_a_licence_that_is_not_free_is_asked_for(
    run: Run, fresh: Path, published: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _own(fresh, {**ENTRY, "licence": "Strange", "free": False, "source": "https://example.org"})
    refused = run("models", "pull", "mine", status=1).stderr
    assert "tiny comes under the licence 'Strange', which is not a free one" in refused
    assert "read it at https://example.org, and give --yes" in refused
    assert not published.requests
    monkeypatch.setattr("skillrouter_mcp.model_commands._at_a_terminal", lambda: True)
    assert "Do you accept it?" in run("models", "pull", "mine", input="n\n", status=1).stderr
    assert not published.requests
    run("models", "pull", "mine", input="y\n")
    run("models", "pull", "mine")


def test_what_is_asked_of_a_licence_can_do_nothing_to_a_terminal(
    run: Run, fresh: Path, published: LocalHub
) -> None:
    odd = {"licence": "x\x1b[31m\x9b\u202e", "source": "\x9d0;t\x9c\u202e"}
    _own(fresh, {**ENTRY, "free": False, **odd})
    refused = run("models", "pull", "mine", status=1).stderr
    assert r"the licence 'x\x1b[31m\x9b\u202e', which" in refused
    assert r"read it at \x9d0;t\x9c\u202e, and" in refused


def test_a_licence_that_is_not_free_is_accepted_beforehand(
    run: Run, fresh: Path, published: LocalHub
) -> None:
    _own(fresh, {**ENTRY, "licence": "Strange", "free": False})
    assert "tiny is ready" in run("models", "pull", "mine", "--yes").stdout


def _use(run: Run, name: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    told: list[str] = []

    def tell(settings: object, profile: str) -> str:
        told.append(profile)
        return "Told."

    monkeypatch.setattr("skillrouter_mcp.sharing.remote.tell_owner_to_use", tell)
    done = run("models", "use", name, **options)
    assert told == ([name] if done.exit_code == 0 else [])
    return done


def test_a_profile_is_used_from_now_on(
    run: Run, run_json: RunJson, fresh: Path, published: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = fresh / "config.toml"
    config.write_text('# mine\nthreads = 2  # of four\nprofile = "embedded"\n', encoding="utf-8")
    run("models", "pull", "mine")
    done = _use(run, "mine", monkeypatch)
    assert done.stdout == f'profile = "mine" stands in {config}\nTold.\n'
    assert config.read_text("utf-8") == '# mine\nthreads = 2  # of four\nprofile = "mine"\n'
    assert run_json("models", "list")["profile"] == "mine"


def test_the_first_setting_makes_the_file(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(run, "embedded", monkeypatch)
    assert (fresh / "config.toml").read_text("utf-8") == 'profile = "embedded"\n'


def test_a_profile_that_is_not_ready_is_not_used(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = _use(run, "r3", monkeypatch, status=1)
    assert "the model r3-embedding-0_6b is not here yet" in done.stderr
    assert "For the whole profile: skillrouter-mcp models pull r3" in done.stderr
    assert not fresh.exists()
    assert "there is no profile 'zz'" in _use(run, "zz", monkeypatch, status=1).stderr


def test_a_variable_that_goes_first_is_told(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLROUTER_PROFILE", "r3")
    done = _use(run, "embedded", monkeypatch)
    assert "SKILLROUTER_PROFILE=r3 is set here and goes first" in done.stderr


def test_a_config_that_can_not_be_written_is_told(
    run: Run, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh.write_bytes(b"in the way")
    done = _use(run, "embedded", monkeypatch, status=2)
    assert "config.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_ones_own_is_described_as_an_entry(
    run: Run, run_json: RunJson, fresh: Path, tmp_path: Path
) -> None:
    own = tmp_path / "My Model.Q8.gguf"
    own.write_bytes(tiny_models.encoder())
    fresh.mkdir()
    (fresh / "models.toml").write_text(run("models", "describe", str(own)).stdout, "utf-8")
    listed = run_json("models", "list")
    assert listed["problems"] == []
    assert listed["profiles"]["own-my-model-q8"]["encoder"] == "my-model-q8"
    assert str(own) in run("models", "pull", "own-my-model-q8").stdout
    assert f"ready: {own}" in run("models", "list").stdout


def test_what_a_file_says_of_itself_can_do_nothing_to_a_terminal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(tiny_models.encoder())
    odd = {"title": "\x1b]0;t\x07\x9b31mred", "licence": "x\u202e", "source": "\x9d0;t\x9c"}
    model = describe_file(own).model_copy(update=odd)
    monkeypatch.setattr("skillrouter_mcp.model_choice.describe_file", lambda _: model)
    told = run("models", "describe", str(own)).stdout
    assert is_plain("".join(told.splitlines()))
    entry = tomlkit.parse(told).unwrap()["models"]["own"]
    assert entry["title"] == r"\x1b]0;t\x07\x9b31mred"
    assert (entry["licence"], entry["source"]) == (r"x\u202e", r"\x9d0;t\x9c")


def test_what_is_no_model_is_not_described(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert (
        "x.gguf: not a whole GGUF file"
        in run("models", "describe", str(tmp_path / "x.gguf"), status=1).stderr
    )


def test_a_checkpoint_is_converted(run: Run, tmp_path: Path) -> None:
    from tests.gguf.tiny_bert import TinyBert

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    TinyBert(folder).write()
    target = tmp_path / "tiny.gguf"
    told = run("models", "convert", str(folder), str(target), "--weights", "F32").stdout
    assert told.startswith(f"{target}: encoder, ")
    assert describe_file(target).dimensions == 64


def test_a_template_that_is_not_text_is_told(run: Run, tmp_path: Path) -> None:
    template = tmp_path / "template.txt"
    template.write_bytes(b"{query} \xff {document}")
    arguments = (str(tmp_path), str(tmp_path / "x.gguf"), "--template", str(template))
    done = run("models", "convert", *arguments, status=1)
    assert f"{template}: not UTF-8" in done.stderr


def test_a_checkpoint_that_may_be_either_is_told_how_to_say_which(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from tests.gguf.tiny_qwen3 import TinyQwen3

    folder = TinyQwen3(tmp_path / "checkpoint", closes=True).write()
    done = run("models", "convert", str(folder), str(tmp_path / "x.gguf"), status=1)
    assert "Say which with `--kind encoder|reranker`." in done.stderr


def test_what_cannot_be_converted_is_refused_with_a_reason(run: Run, tmp_path: Path) -> None:
    done = run("models", "convert", str(tmp_path), str(tmp_path / "x.gguf"), status=1)
    assert "model.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.gguf").exists()


@pytest.fixture
def environment(fresh: Path, published: LocalHub, tmp_path: Path) -> dict[str, str]:
    """What a shell would set for this hub."""
    hub = {"HF_ENDPOINT": published.endpoint, "HF_HOME": str(tmp_path / "hf")}
    return {**os.environ, **hub, "NO_PROXY": "127.0.0.1"}


def test_a_killed_pull_goes_on_where_it_was(
    fresh: Path, published: LocalHub, environment: dict[str, str]
) -> None:
    content = tiny_models.encoder()
    published.faults.stall_after = 200_000
    command = [COMMAND, "models", "pull", "mine"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        part = fresh / "models" / "parts"
        process.stderr.readline()  # the hub is asked
        while not any(path.stat().st_size == 200_000 for path in part.glob("*.part")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    published.faults.stall_after = None
    published.faults.released.set()
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    assert b"tiny is ready" in ended.stdout
    assert published.sent() == len(content)
    asked = [request.path.split("/")[1] for request in published.requests]
    assert asked == ["api", "tiny", "store"] * 2  # and nothing beside the model


def test_offline_is_told_without_a_traceback(
    published: LocalHub, environment: dict[str, str]
) -> None:
    offline = {**environment, "HF_HUB_OFFLINE": "1"}
    command = [COMMAND, "models", "pull", "mine"]
    ended = subprocess.run(command, env=offline, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1
    assert "HF_HUB_OFFLINE forbids to fetch it" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not published.requests
