from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from skillrouter_gguf import Encoder, EngineError, SelfCheckError, check_encoder, load_catalogue
from skillrouter_gguf.self_check import SENTENCE

MODEL = load_catalogue().model("skillrouter-minilm-l6")


def _opened(**changes: object) -> Iterator[Encoder]:
    with Encoder.open(MODEL.model_copy(update=changes), threads=1) as encoder:
        yield encoder


@pytest.fixture
def other_answer() -> Iterator[Encoder]:
    """The embedded model, of which a slightly different vector is known."""
    turned = (-MODEL.known_vector[0], *MODEL.known_vector[1:-1], -MODEL.known_vector[-1])
    yield from _opened(known_vector=turned)


@pytest.fixture
def no_answer() -> Iterator[Encoder]:
    yield from _opened(known_vector=())


def test_the_embedded_model_is_right(encoder: Encoder) -> None:
    check_encoder(encoder)


def test_the_known_vector_is_of_the_sentence(encoder: Encoder) -> None:
    (vector,) = encoder.encode_documents([SENTENCE])
    known = np.array(MODEL.known_vector)
    assert len(known) >= 16
    assert np.abs(vector[: len(known)] - known).max() < 0.005


def test_a_model_without_a_known_vector_is_checked_by_meaning(no_answer: Encoder) -> None:
    check_encoder(no_answer)


def test_another_vector_than_known(other_answer: Encoder) -> None:
    with pytest.raises(SelfCheckError, match=r"minilm-l6 embeds a known sentence to anoth"):
        check_encoder(other_answer)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[1, 0], [0, 1], [1, 0]], "an unrelated sentence nearer (1.000) than a paraphrase (0.0"),
        ([[1, 0], [1, 0], [1, 0]], "an unrelated sentence nearer (1.000) than a paraphrase (1.0"),
        ([[np.nan] * 2] * 3, "vectors that are not finite"),
    ],
)
def test_vectors_without_meaning(
    no_answer: Encoder, monkeypatch: pytest.MonkeyPatch, rows: list[list[float]], said: str
) -> None:
    monkeypatch.setattr(no_answer, "encode_documents", lambda _: np.array(rows, dtype=np.float32))
    with pytest.raises(SelfCheckError) as caught:
        check_encoder(no_answer)
    assert said in str(caught.value)


def test_a_model_that_cannot_embed(no_answer: Encoder) -> None:
    no_answer.close()
    with pytest.raises(EngineError, match="has been closed"):
        check_encoder(no_answer)
