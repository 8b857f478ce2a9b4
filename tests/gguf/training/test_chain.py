"""The whole recipe on fifty made-up skills and a tiny encoder."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.gguf.tiny_bert import TinyBert

_NEEDED = ("torch", "transformers", "bm25s", "safetensors", "tokenizers", "gguf")
if missing := [name for name in _NEEDED if find_spec(name) is None]:
    pytest.skip(
        f"the `train` extra is not installed: no {', '.join(missing)}", allow_module_level=True
    )

from training import corpus, evaluate, export, negatives, pairs, train  # noqa: E402
from training.encoder import Encoder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

_THINGS = ("valve", "pump", "tank", "filter", "hose", "gauge", "boiler", "sink", "drain", "meter")
_DEEDS = ("clean", "mend", "order", "paint", "weigh")


@pytest.fixture
def library(tmp_path: Path) -> tuple[Path, Path]:
    """Fifty skills, and a short request for every other one."""
    skills, requests = tmp_path / "skills.jsonl", tmp_path / "requests.jsonl"
    rows = [(deed, thing) for thing in _THINGS for deed in _DEEDS]
    with skills.open("w", encoding="utf-8") as file:
        for number, (deed, thing) in enumerate(rows):
            skill = {
                "skill_id": f"s{number}",
                "name": f"{deed}-{thing}",
                "description": f"How to {deed} a {thing}. Use when a {thing} is bad, to {deed} it.",
                "body": f"Take the {thing} and {deed} it with care.\n" * 12,
            }
            file.write(json.dumps(skill) + "\n")
    with requests.open("w", encoding="utf-8") as file:
        for number, (deed, thing) in list(enumerate(rows))[::2]:
            request = {
                "id": f"r{number}",
                "query": f"please {deed} my old {thing}",
                "relevant": [f"s{number}"],
                "lang": "en",
                "kind": "short",
            }
            file.write(json.dumps(request) + "\n")
    return skills, requests


def test_from_skills_to_a_model_that_llama_cpp_reads(
    library: tuple[Path, Path],
    tiny_bert: TinyBert,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    skills, requests = map(str, library)
    base = tiny_bert.write()
    examples, neighbours = tmp_path / "examples.jsonl", tmp_path / "neighbours.jsonl"
    run, candidate, file = tmp_path / "run", tmp_path / "candidate", tmp_path / "candidate.gguf"

    pairs.main([skills, requests, str(examples), "--held-out", "0.2"])
    negatives.main([str(examples), str(base), str(neighbours), "--threads", "1"])
    training = [
        *(str(examples), str(neighbours), str(base), str(run), "--threads", "1"),
        *("--written", "4", "--with-neighbour", "4", "--natural", "2", "--save-every", "2"),
        *("--copied", "1", "--full-texts"),
    ]
    train.main([*training, "--steps", "2"])
    train.main([*training, "--steps", "4"])
    export.main(
        [str(run / "model"), str(base), str(candidate), "--base-share", "0.2", "--gguf", str(file)]
    )
    capsys.readouterr()
    evaluate.main(
        [
            *(str(candidate), skills, requests, str(tmp_path / "scratch"), "--threads", "1"),
            *("--validation", str(examples), str(neighbours), "--views", *evaluate.VIEWS),
        ]
    )

    report = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["view"] for line in report] == ["label", "window", "both", "full"]
    assert {line["requests"] for line in report} == {5}
    log = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    assert [line["step"] for line in log] == [0, 1, 2, 3]
    texts = ["mend the pump", "the page number of a pdf file"]
    with tiny_bert.open(file) as served:
        cosines = (served.encode_queries(texts) * Encoder(candidate).encode(texts)).sum(axis=1)
    assert np.all(cosines > 0.99)


def test_near_copies_are_held_out_skills_with_the_others_of_their_description() -> None:
    skills = [
        corpus.Skill(str(n), f"skill-{n}", description, f"body {n}")
        for n, description in enumerate(["Sends letters.", "sends\nletters.", "Mends.", "", ""])
    ]
    assert evaluate.near_copies(skills, {"0", "2", "3"}) == ({"0"}, {"0", "1"})


def test_neighbours_are_like_the_skill_and_not_the_same(
    library: tuple[Path, Path], tiny_bert: TinyBert, tmp_path: Path
) -> None:
    skills, requests = library
    examples = pairs.make_examples(
        corpus.read_skills(skills), corpus.read_requests(requests), 0.2, 1
    )

    found = negatives.find_neighbours(examples, Encoder(tiny_bert.write()), 1)

    assert len(found) == 25
    for each in found:
        assert each.skill_id not in each.near
        assert not set(each.near) & set(each.same)


def test_batches_are_drawn_again_the_same_and_hold_no_skill_twice(
    library: tuple[Path, Path],
) -> None:
    skills, requests = library
    examples = pairs.make_examples(
        corpus.read_skills(skills), corpus.read_requests(requests), 0.2, 1
    )
    shares = train.Shares(written=6, neighbours=6, natural=4, copied=2)
    near = [corpus.Neighbours(e.skill_id, [o.skill_id for o in examples], []) for e in examples]
    held_out = {example.skill_id for example in examples if example.split == "validation"}
    batches, again = (train.Batches(examples, near, shares, 1) for _ in range(2))

    for step in (3, 0):
        rows = batches.batch(step)
        assert rows == again.batch(step)
        assert len({row.skill_id for row in rows}) == len(rows) >= 12
        assert not held_out & {row.skill_id for row in rows}


def _copied(number: int, body: str) -> corpus.Example:
    name, label = f"sender-{number}", f"sender {number}. Sends letters."
    request = corpus.Wish(f"send letter {number}", label)
    return corpus.Example(str(number), name, "train", label, [f"{name}\n{body}"], [request])


def test_near_copies_come_along_to_be_told_apart_by_their_bodies() -> None:
    bodies = ["by post with a stamp on it", "by mail from the desk today", "of another matter"]
    skills = [_copied(n, body) for n, body in enumerate([*bodies, bodies[0]])]
    stranger = corpus.Example("9", "mender", "train", "mender. Mends.", ["mender\nMend it."])
    shares = train.Shares(written=1, neighbours=0, natural=0, copied=1)
    batches = train.Batches([*skills, stranger], [], shares, 1)

    rows = {row.skill_id: row for step in range(20) for row in batches.batch(step)}

    assert sorted(rows) == ["0", "1", "2", "3"]
    assert batches.are_near_copies(rows["0"], rows["1"])
    assert not batches.are_near_copies(rows["0"], rows["3"]), "they have one body"
    assert all(len(batches.batch(step)) >= 3 for step in range(20))
    alone = train.Shares(written=1, neighbours=0, natural=0, copied=0)
    assert len(train.Batches(skills, [], alone, 1).batch(0)) == 1


def test_every_other_body_is_the_full_text(library: tuple[Path, Path]) -> None:
    skills, requests = library
    examples = pairs.make_examples(
        corpus.read_skills(skills), corpus.read_requests(requests), 0.2, 1
    )
    shares = train.Shares(written=2, neighbours=0, natural=0, copied=0)
    batches = train.Batches(examples, [], shares, 1, full_texts=True)

    for row in batches.batch(1):
        assert row.body.startswith(f"{row.label}\nTake the")
    assert not any(row.label in row.body for row in batches.batch(2))
