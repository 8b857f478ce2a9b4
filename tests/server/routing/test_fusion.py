from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from skillrouter_gguf import Model, load_catalogue
from skillrouter_mcp.routing.fusion import Weights, load_weights, weights_file, weights_of
from skillrouter_mcp.routing.signals import LEXICAL, SIGNALS, Candidates
from skillrouter_mcp.settings import SettingsError

WORDS, DENSE = slice(len(LEXICAL)), slice(len(LEXICAL), None)
WEIGHTS = load_weights()
RELATIVE = WEIGHTS.model_copy(update={"relative": True})


def _candidates(
    rows: Sequence[Sequence[float]], embedded: Sequence[bool], readable: float = 1.0
) -> Candidates:
    return Candidates(
        np.arange(len(rows)),
        np.array(rows, np.float32).reshape(len(rows), len(SIGNALS)),
        np.array(embedded, np.bool_),
        readable,
    )


def _row(words: float, dense: float) -> list[float]:
    return [words] * len(LEXICAL) + [dense] * (len(SIGNALS) - len(LEXICAL))


def test_shipped_weights_are_whole_and_say_where_they_came_from() -> None:
    assert set(WEIGHTS.weights) == set(SIGNALS)
    assert set(WEIGHTS.typical) == set(WEIGHTS.spread) == set(SIGNALS[DENSE])
    assert 0 < WEIGHTS.verdict.weak < WEIGHTS.verdict.match < 1
    assert WEIGHTS.provenance.startswith("python -m ")


def test_each_signal_contributes_by_its_weight() -> None:
    parts = WEIGHTS.parts(_candidates([_row(0.5, 0.5), _row(0.0, 0.0)], [True, True]))
    assert parts[0] == pytest.approx([WEIGHTS.weights[name] / 2 for name in SIGNALS])
    assert not parts[1].any()


def test_document_without_vectors_is_neither_favoured_nor_punished() -> None:
    rows = [_row(0.3, 0.2), _row(0.3, 0.6), _row(0.3, 0.0)]
    parts = WEIGHTS.parts(_candidates(rows, [True, True, False]))
    assert parts[2] == pytest.approx(parts[:2].mean(axis=0))


def test_documents_without_vectors_stand_by_their_words() -> None:
    rows = [_row(0.1, 0.4), _row(0.2, 0.0), _row(0.3, 0.0)]
    totals = WEIGHTS.parts(_candidates(rows, [True, False, False])).sum(axis=1)
    assert totals[0] < totals[1] < totals[2]


def test_where_nothing_is_embedded_all_are_as_near_as_usual() -> None:
    rows = [_row(0.1, 0.0), _row(0.3, 0.0)]
    parts = WEIGHTS.parts(_candidates(rows, [False, False]))
    assert parts[0, DENSE].tolist() == parts[1, DENSE].tolist()
    assert parts[0, DENSE].sum() == pytest.approx(WEIGHTS.floor)
    assert (parts[0, WORDS] <= parts[1, WORDS]).all()


def test_where_nothing_is_embedded_nor_readable_words_are_all() -> None:
    parts = WEIGHTS.parts(_candidates([_row(0.1, 0.0)], [False], readable=0.0))
    assert not parts[:, DENSE].any()


def test_signals_stay_as_they_were() -> None:
    candidates = _candidates([_row(0.3, 0.2), _row(0.3, 0.0)], [True, False])
    before = candidates.signals.copy()
    WEIGHTS.parts(candidates)
    assert (candidates.signals == before).all()


@pytest.fixture
def model() -> Model:
    """An encoder for which no weights come with the package."""
    embedded = load_catalogue().model("skillrouter-minilm-l6")
    return embedded.model_copy(update={"name": "other", "sha256": "1" * 64})


def _write(home: Path, model: Model, **changes: object) -> Weights:
    weights = WEIGHTS.model_copy(update={"provenance": "ours", "encoder": model.sha256, **changes})
    path = weights_file(home, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(weights.model_dump_json(), encoding="utf-8")
    return weights


def test_the_shipped_weights_are_those_of_the_embedded_model(tmp_path: Path) -> None:
    model = load_catalogue().model("skillrouter-minilm-l6")
    assert weights_of(model, tmp_path) is WEIGHTS
    assert not WEIGHTS.relative


def test_another_encoder_s_cosines_count_as_they_compare(tmp_path: Path, model: Model) -> None:
    assert weights_of(model, tmp_path) == RELATIVE


def test_weights_fitted_on_this_machine_come_first(tmp_path: Path, model: Model) -> None:
    for encoder in (model, load_catalogue().model("skillrouter-minilm-l6")):
        written = _write(tmp_path, encoder)
        assert weights_of(encoder, tmp_path) == written


def test_weights_fitted_for_another_file_of_that_name_are_not_used(
    tmp_path: Path, model: Model
) -> None:
    _write(tmp_path, model, encoder="2" * 64)
    assert weights_of(model, tmp_path) == RELATIVE


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"weights": 3}'])
def test_a_damaged_file_is_told_with_its_path(tmp_path: Path, model: Model, content: str) -> None:
    path = weights_file(tmp_path, model)
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"other\.json: these weights cannot be used; remove"):
        weights_of(model, tmp_path)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.1, 0.8), (5.0, -3.0)])
def test_the_scale_of_an_encoder_does_not_matter(scale: float, shift: float) -> None:
    dense = np.array([0.1, 0.5, 0.3, 0.2])
    rows = [_row(0.1 * n, scale * cosine + shift) for n, cosine in enumerate(dense)]
    parts = RELATIVE.parts(_candidates(rows, [True] * 4))
    plain = RELATIVE.parts(_candidates([_row(0.1 * n, c) for n, c in enumerate(dense)], [True] * 4))
    assert parts == pytest.approx(plain, abs=1e-3)
    assert parts[:, DENSE].sum(axis=1).mean() == pytest.approx(WEIGHTS.floor, abs=1e-3)
    assert (parts[:, DENSE].sum(axis=1).argsort() == dense.argsort()).all()


def test_without_differences_all_are_as_near_as_usual() -> None:
    for rows in ([_row(0.1, 0.7)], [_row(0.1, 0.7), _row(0.2, 0.7)]):
        parts = RELATIVE.parts(_candidates(rows, [True] * len(rows)))
        assert parts[:, DENSE].sum(axis=1) == pytest.approx(WEIGHTS.floor)


def test_relative_cosines_of_some_say_nothing_of_those_without_vectors() -> None:
    rows = [_row(0.3, 0.2), _row(0.3, 0.6), _row(0.3, 0.0)]
    parts = RELATIVE.parts(_candidates(rows, [True, True, False]))
    assert parts[2] == pytest.approx(parts[:2].mean(axis=0))


def test_relative_cosines_of_an_unreadable_request_say_nothing() -> None:
    parts = RELATIVE.parts(_candidates([_row(0.1, 0.0)] * 2, [True, True], readable=0.0))
    assert not parts[:, DENSE].any()
