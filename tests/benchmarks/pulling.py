"""Pulls a model of real size from a hub on this machine: time and memory of each step.

    python -m tests.benchmarks.pulling [--layers 28] [--cuts 10]

The model has Qwen3-Reranker-0.6B's shape and random weights (1.2 GB of safetensors, 4 GB of disk
meanwhile). Its download is cut at random places, and goes on. Then `models pull` converts it to
Q8_0 and tries it out, and a process of its own opens it with its whole context and reads a pair.

Needs the `dev` extra. Prints a line of JSON: seconds, bytes sent beyond the file's own (0 if
nothing was fetched twice), peak memory of the pull and memory of the loaded reranker, in MB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from tests.benchmarks.machine import describe
from tests.benchmarks.reranking import make_model
from tests.gguf.local_hub import LocalHub, sha256

from skillrouter_gguf import Model, Reranker, SelfCheckError, check_reranker

_FILES = ("config.json", "tokenizer.json", "model.safetensors")
_CONTEXT = 4096
_ENTRY = """
[models.random-0_6b]
kind = "reranker"
repo = "random/reranker"
convert = "Q8_0"
context = {context}
pooling = "rank"
"""
_LOADED = """
import psutil
from skillrouter_gguf import Reranker
from skillrouter_mcp import load_settings
from skillrouter_mcp.routing.models import model_store
store = model_store(load_settings())
model = store.ready("random-0_6b")
with Reranker.open(model, path=store.path(model)) as reranker:
    reranker.score("merge pdf files", ["page numbers"])
    print(psutil.Process().memory_info().rss)
"""


def measure(folder: Path, layers: int, cuts: int) -> dict[str, Any]:
    """One pull, and one load."""
    source = folder / "checkpoint"
    source.mkdir()
    files = _sane(make_model(source, layers), source)
    hub = LocalHub()
    hub.add("random/reranker", files)
    sha256(files["model.safetensors"])  # the hub keeps it, and is then quick to answer
    size = (source / "model.safetensors").stat().st_size
    draw = random.Random(5)
    hub.faults.cuts = [draw.randrange(2 * size // (cuts + 1)) for _ in range(cuts)]
    home = folder / "home"
    home.mkdir()
    (home / "models.toml").write_text(_ENTRY.format(context=_CONTEXT))
    environment = {
        **os.environ,
        "SKILLROUTER_HOME": str(home),
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(folder / "hf"),
        "NO_PROXY": "127.0.0.1",
    }
    began = time.perf_counter()
    program = str(Path(sys.executable).with_name("skillrouter-mcp"))
    command = [program, "models", "pull", "random-0_6b"]
    told: list[tuple[float, str]] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        peak: list[int] = [0]
        watch = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peak))
        watch.start()
        for line in process.stderr:
            told.append((time.perf_counter() - began, line.strip()))
    whole = time.perf_counter() - began
    watch.join()
    sent = hub.sent()
    hub.close()
    converting = next((at for at, line in told if "converting" in line), whole)
    if process.returncode:
        print("\n".join(line for _, line in told[-3:]), file=sys.stderr)
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED], env=environment, capture_output=True, text=True
    )
    return {
        "status": process.returncode,
        "fetched MB": round(size / 1e6),
        "seconds to fetch": round(converting, 1),
        "seconds to convert and try out": round(whole - converting, 1),
        "bytes sent beyond the file": sent - size,
        "peak MB of the pull": round(peak[0] / 1e6),
        "MB of the loaded reranker": round(int(loaded.stdout or 0) / 1e6),
        "machine": describe(),
    }


def _watch(process: psutil.Process, peak: list[int]) -> None:
    """Keep the most memory that a process has until it ends."""
    with suppress(psutil.Error):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            peak[0] = max(peak[0], process.memory_info().rss)
            time.sleep(0.2)


def _sane(model: Model, folder: Path) -> dict[str, bytes]:
    """The files to publish: yes and no are such that a paraphrase scores above something else."""
    files = {name: (folder / name).read_bytes() for name in _FILES}
    try:
        with Reranker.open(model, path=folder / "model.gguf") as reranker:
            check_reranker(reranker)
    except SelfCheckError:
        vocabulary = json.loads(files["tokenizer.json"])["model"]["vocab"]
        answers = {"true_token_id": vocabulary["no"], "false_token_id": vocabulary["yes"]}
        modules = [{"type": "sentence_transformers.models.LogitScore", "path": "1_LogitScore"}]
        files["modules.json"] = json.dumps(modules).encode()
        files["1_LogitScore/config.json"] = json.dumps(answers).encode()
    return files


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m tests.benchmarks.pulling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--cuts", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(Path(scratch), options.layers, options.cuts)
    print(json.dumps(report))
    return int(report["status"] != 0 or report["bytes sent beyond the file"] != 0)


if __name__ == "__main__":
    sys.exit(main())
