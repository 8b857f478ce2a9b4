"""What loading and running a model does to its process: each test has a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPEN = """
from skillrouter_gguf import Encoder, load_catalogue
model = load_catalogue().model("skillrouter-minilm-l6")
encoder = Encoder.open(model, threads=2)
"""


def _run(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "GOMP_", "GGML_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_importing_the_package_loads_no_engine_and_no_numpy() -> None:
    code = """
import sys
import skillrouter_gguf
skillrouter_gguf.load_catalogue().profile("embedded")
heavy = {"numpy", "llama_cpp", "gguf", "safetensors", "concurrent.futures"}
print(sorted(heavy & {*sys.modules}))
from skillrouter_gguf import Encoder, check_encoder
print("numpy" in sys.modules, "llama_cpp" in sys.modules)
"""
    assert _run(code).stdout == "[]\nTrue False\n"


def test_every_public_name_is_there() -> None:
    code = """
import skillrouter_gguf
print([name for name in skillrouter_gguf.__all__ if not hasattr(skillrouter_gguf, name)])
print(hasattr(skillrouter_gguf, "zz"))
"""
    assert _run(code).stdout == "[]\nFalse\n"


def test_a_file_that_is_refused_costs_no_loading(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from skillrouter_gguf import Encoder, ModelFileError, load_catalogue
try:
    Encoder.open(load_catalogue().model("skillrouter-minilm-l6"), path=Path(sys.argv[1]))
except ModelFileError:
    print("llama_cpp" in sys.modules)
"""
    assert _run(code, str(tmp_path / "zz.gguf")).stdout == "False\n"


@pytest.mark.parametrize(("given", "soon"), [("", True), ("active", False)])
def test_threads_that_wait_soon_sleep_unless_told_otherwise(given: str, soon: bool) -> None:
    code = "import skillrouter_gguf, os; skillrouter_gguf.system_info(); print(os.environ[NAME])"
    name = "OMP_WAIT_POLICY"
    settings = {"OMP_DISPLAY_ENV": "verbose", **({name: given} if given else {})}
    done = _run(code.replace("NAME", repr(name)), **settings)
    assert done.stdout == f"{given or 'passive'}\n"
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("llama.cpp was not built with the OpenMP that tells how long it spins")
    assert ("GOMP_SPINCOUNT = '1000'" in done.stderr) == soon


def test_nothing_is_written_by_llama(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(b"GGUF" + bytes(1_000))
    code = f"""
import sys
from pathlib import Path
from skillrouter_gguf import EngineError
from skillrouter_gguf.llama import LlamaModel
{OPEN}
encoder.encode_queries(["merge", ""])
encoder.encode_documents(["merge " * 1_000, "pages"])
encoder.close()
try:
    LlamaModel(Path(sys.argv[1]))
except EngineError as error:
    print(str(error).startswith(sys.argv[1]))
"""
    done = _run(code, str(path))
    assert done.stdout == "True\n"
    assert done.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_a_model_is_refused_instead_of_hanging() -> None:
    code = f"""
import os, warnings
from skillrouter_gguf import EngineError
{OPEN}
encoder.encode_documents(["pages", "numbers"])
warnings.simplefilter("ignore")
child = os.fork()
if not child:
    for attempt in (
        lambda: encoder.encode_queries(["pages"]),
        lambda: encoder.encode_documents(["pages", "numbers"]),
        lambda: Encoder.open(model),
    ):
        try:
            attempt()
        except EngineError as error:
            print(error, flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], encoder.encode_queries(["pages"]).shape)
"""
    *refusals, last = _run(code).stdout.splitlines()
    assert refusals == ["a model can't be used after a fork; start processes by spawning."] * 3
    assert last == "0 (1, 384)"


def test_a_model_left_open_does_not_trouble_the_end_of_a_process() -> None:
    done = _run(f"{OPEN}\nencoder.encode_documents(['pages'] * 3)\nprint('done')")
    assert (done.stdout, done.stderr) == ("done\n", "")
