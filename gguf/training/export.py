"""Make the model to ship out of a trained one.

    python -m training.export RUN/model BASE CANDIDATE [--base-share 0.2] [--gguf CANDIDATE.gguf]

The weights may be averaged with those that the training began from, which keeps more of what the
model could do before (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file

from training.encoder import Encoder

_ABOUT = {
    "name": "skillrouter-minilm-l6",
    "description": "all-MiniLM-L6-v2 trained to find agent skills",
    "license": "apache-2.0",
    "base_model.0.repo_url": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
}


def export(trained: Path, base: Path, candidate: Path, base_share: float) -> None:
    """Write the model folder `candidate`, `base_share` of whose weights are the base's."""
    encoder = Encoder(trained)
    weights = encoder.weights()
    old = load_file(base / "model.safetensors")
    encoder.load_weights(
        {
            name: weight.lerp(old[name], base_share) if name in old else weight
            for name, weight in weights.items()
            if weight.is_floating_point()
        }
    )
    encoder.save(candidate)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trained", type=Path, help="model folder that training wrote")
    parser.add_argument("base", type=Path, help="model folder that training began from")
    parser.add_argument("candidate", type=Path, help="model folder to write")
    parser.add_argument("--base-share", type=float, default=0.0, help="default: %(default)s")
    parser.add_argument("--gguf", type=Path, help="write this GGUF file (Q8_0) too")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    export(options.trained, options.base, options.candidate, options.base_share)
    logging.info("%s", options.candidate)
    if options.gguf:
        from skillrouter_gguf.convert import convert

        convert(options.candidate, options.gguf, "Q8_0", _ABOUT)
        logging.info("%s", options.gguf)


if __name__ == "__main__":
    main()
