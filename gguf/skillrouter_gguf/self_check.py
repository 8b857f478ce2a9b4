"""Whether a loaded model computes what it should: a text of which the answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skillrouter_gguf.errors import SelfCheckError

if TYPE_CHECKING:
    from skillrouter_gguf.encoder import Encoder
    from skillrouter_gguf.reranker import Reranker

SENTENCE = "Merge several PDF files into one and number its pages."
_PARAPHRASE = "Combine PDF documents in a single file with page numbers."
_UNRELATED = "Knead the dough and let it rise overnight."
# Processors round differently; the same weights always stay above this.
_CLOSE = 0.995


def check_encoder(encoder: Encoder) -> None:
    """Embed known sentences.

    Raises:
        SelfCheckError: if a vector is not finite, a paraphrase is not nearer than an unrelated
            sentence, or the catalogue knows the first components of the vector and they differ.
        EngineError: if the model can't embed at all.
    """
    sentence, paraphrase, unrelated = encoder.encode_documents([SENTENCE, _PARAPHRASE, _UNRELATED])
    model = encoder.model
    if not np.isfinite([sentence, paraphrase, unrelated]).all():
        raise SelfCheckError(
            f"{model.name} gives vectors that are not finite: its file is damaged."
        )
    near, far = float(sentence @ paraphrase), float(sentence @ unrelated)
    if not near > far:
        raise SelfCheckError(
            f"{model.name} finds an unrelated sentence nearer ({far:.3f}) than a paraphrase "
            f"({near:.3f}): its file, pooling or prefixes are wrong, or llama.cpp is broken here."
        )
    if model.known_vector:
        known = np.array(model.known_vector, dtype=np.float32)
        found = sentence[: len(known)]
        cosine = float(found @ known / (np.linalg.norm(found) * np.linalg.norm(known)))
        if not cosine > _CLOSE:
            raise SelfCheckError(
                f"{model.name} embeds a known sentence to another vector than it should (cosine "
                f"{cosine:.3f}): llama.cpp computes wrongly on this machine. Reinstall "
                "llama-cpp-python, built here."
            )


def check_reranker(reranker: Reranker) -> None:
    """Judge a plain match and a plain mismatch.

    Raises:
        SelfCheckError: if the match does not score higher.
        EngineError: if the model can't score at all.
    """
    match, mismatch = reranker.score(SENTENCE, [_PARAPHRASE, _UNRELATED])
    if not match > mismatch:
        raise SelfCheckError(
            f"{reranker.model.name} scores an unrelated sentence higher ({mismatch:.3f}) than a "
            f"paraphrase ({match:.3f}): its file, head or template is wrong, or llama.cpp is "
            "broken here."
        )
