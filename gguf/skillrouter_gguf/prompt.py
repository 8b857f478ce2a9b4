"""How a reranker is shown a request and a text: as the tokens that it was trained to judge.

Only the end of the text is ever cut. A request may take up to half of the room; what is left
belongs to the text, so what must be read of it has to stand at its beginning.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from skillrouter_gguf.errors import EngineError
from skillrouter_gguf.header import SECOND_SEGMENT

if TYPE_CHECKING:
    from skillrouter_gguf.llama import IntArray, LlamaModel

_QUERY, _DOCUMENT = "{query}", "{document}"


class Prompt(ABC):
    """A request and texts as tokens, at most `limit` of them for a pair."""

    def __init__(self, model: LlamaModel, limit: int) -> None:
        self._model = model
        self._limit = limit

    @abstractmethod
    def pairs(self, query: str, documents: list[str]) -> list[IntArray]:
        """The token ids of each pair, int32."""

    def _require_room(self, markup: int) -> int:
        """How many tokens request and text may have together, besides `markup`."""
        if (room := self._limit - markup) < 2:
            raise EngineError(
                f"a context of {self._limit} tokens is too small: {markup} are the prompt's own."
            )
        return room


class ChatPrompt(Prompt):
    """A template with `{query}` and `{document}`, as causal rerankers are asked.

    What stands between the template's special tokens around both is tokenised in one piece, as in
    training; special tokens written out in request or text stay text.

    Raises:
        EngineError: if the template holds anything else than one of each, in this order.
    """

    def __init__(self, model: LlamaModel, limit: int, template: str) -> None:
        super().__init__(model, limit)
        head, query, rest = template.partition(_QUERY)
        self._between, document, tail = rest.partition(_DOCUMENT)
        if not (query and document) or any(
            place in part for place in (_QUERY, _DOCUMENT) for part in (head, self._between, tail)
        ):
            raise EngineError(
                "a reranker's template must hold {query} and, behind it, {document}, each once."
            )
        self._lead = model.after_markup(head)
        self._opening = model.tokenise_markup(head[: len(head) - len(self._lead)])
        self._closing = model.tokenise_markup(tail)

    def pairs(self, query: str, documents: list[str]) -> list[IntArray]:
        room = self._require_room(len(self._opening) + len(self._closing))
        part = self._model.tokenise_part
        asked = part(self._lead + query, room)
        most = max(1, room // 2)
        if len(asked) <= most:
            head = self._lead + query + self._between
            bodies = [part(head + document, room) for document in documents]
        else:
            rest = room - most
            bodies = [
                np.concatenate([asked[:most], part(self._between + document, rest)])
                for document in documents
            ]
        return [np.concatenate([self._opening, body, self._closing]) for body in bodies]


class SegmentPrompt(Prompt):
    """`[CLS] request [SEP] text [SEP]`, as BERT reads a pair; XLM-RoBERTa separates by two."""

    def __init__(self, model: LlamaModel, limit: int) -> None:
        super().__init__(model, limit)
        self._opening, self._closing = model.frame()
        # Of BERT, whose tokens differ between the segments, and with which one token separates.
        self._second = int(model.metadata(SECOND_SEGMENT) or 0)
        doubled = model.metadata("tokenizer.ggml.model") == "t5"
        self._joint = np.concatenate([self._closing] * (2 if doubled else 1))

    def pairs(self, query: str, documents: list[str]) -> list[IntArray]:
        room = self._require_room(len(self._opening) + len(self._joint) + len(self._closing))
        asked = self._model.tokenise_part(query, max(1, room // 2))
        head = np.concatenate([self._opening, asked, self._joint])
        rest = room - len(asked)
        return [
            np.concatenate([head, self._in_second(self._model.tokenise_part(document, rest))])
            for document in documents
        ]

    def _in_second(self, document: IntArray) -> IntArray:
        shifted: IntArray = np.concatenate([document, self._closing]) + np.int32(self._second)
        return shifted
