from __future__ import annotations

from pathlib import Path

import pytest

from skillrouter_mcp.index.passages import LABEL, WINDOW, passages
from skillrouter_mcp.index.store import Document
from skillrouter_mcp.index.words import WordIndex
from skillrouter_mcp.routing.request import read_request
from training import views

_LONG = "\n".join(f"Step {n} turns the valve by {n} degrees and waits." for n in range(90))
_CODE = "turn --valve\n" * 60
_BODIES = {
    "long": _LONG,
    "short": "Turn the valve.\n",
    "empty": "",
    "one line": "Turn the valve and wait. " * 200,
    "mostly code": f"# Valve\n\n```sh\n{_CODE}```\n",
    "code between": f"{_LONG}\n```sh\nturn\n```\n{_LONG}",
    "marks": f"| a | b |\n|---|---|\n<!-- no -->\n[valve](http://x.invalid/y)\n{_LONG[:700]}",
}


@pytest.mark.parametrize("body", _BODIES.values(), ids=_BODIES)
def test_texts_are_cut_as_the_router_cuts_them(body: str) -> None:
    name, description = "turn-the_valve", "Turns valves. " * 100
    expected = passages(Document(1, name, description, body), ["en"])

    assert [views.label(name, description)] == [p.text for p in expected if p.view == LABEL]
    assert views.windows(name, body) == [p.text for p in expected if p.view == WINDOW]


@pytest.mark.parametrize("count", [1, 12, 50])
def test_a_request_is_cut_as_the_router_cuts_it(tmp_path: Path, count: int) -> None:
    text = "It's the valve's turn - and it'll wait for an X-ray of this 2.5 m pipe. " * 2
    text += " ".join(f"the part{n}" for n in range(count))

    cut = views.request(text)

    assert cut == read_request(text, WordIndex(tmp_path), ["en"]).gist
    assert len(cut) < len(text)


def test_a_short_request_is_read_as_it_is() -> None:
    assert views.request("turn the valve") == "turn the valve"
