"""Tokenizers: which kind a checkpoint has, and what all kinds share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

import gguf
from skillrouter_gguf.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skillrouter_gguf.convert.checkpoint import Checkpoint

FILE = "tokenizer.json"


class AddedToken(BaseModel):
    """A token that stands beside the model's own vocabulary, or marks one of it as special."""

    id: int
    content: str
    special: bool
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False


class Frame(NamedTuple):
    """The special tokens around a text, None where there is none."""

    opening: str | None
    closing: str | None


class _Model(BaseModel):
    type: str


class _Kind(BaseModel):
    model: _Model
    post_processor: dict[str, Any] | None = None


def kind_of_tokenizer(checkpoint: Checkpoint) -> str:
    """`WordPiece`, `Unigram`, `BPE` or whatever else the checkpoint's tokenizer calls itself."""
    return checkpoint.read(FILE, _Kind).model.type


def read_frame(checkpoint: Checkpoint) -> Frame:
    """The special tokens that the tokenizer puts around a text.

    Raises:
        ConversionError: if it does anything else than putting at most one token at each end.
    """
    processor = checkpoint.read(FILE, _Kind).post_processor
    try:
        return _frame(_template(processor, "single"))
    except (KeyError, TypeError, ValueError, IndexError, StopIteration):
        raise ConversionError(
            f"{checkpoint.folder / FILE}: a text is not put between one opening and one closing "
            "token."
        ) from None


def check_pair(checkpoint: Checkpoint, joints: int) -> None:
    """Check that of two texts the tokenizer makes `opening A closing·joints B closing`.

    Raises:
        ConversionError: if it makes something else.
    """
    opening, closing = read_frame(checkpoint)
    processor = checkpoint.read(FILE, _Kind).post_processor or {}
    if processor.get("type") == "BertProcessing":
        found: list[Any] = [opening, "A", closing, "B", closing]
    elif processor.get("type") == "RobertaProcessing":
        found = [opening, "A", closing, closing, "B", closing]
    else:
        found = [_name(part) for part in _template(processor, "pair")]
    if found != [opening, "A", *[closing] * joints, "B", closing]:
        raise ConversionError(
            f"{checkpoint.folder / FILE}: a request and a text are joined as {found}, which is "
            "not how llama.cpp's models of this kind read them."
        )


def padded(
    tokens: Sequence[str], kinds: Sequence[gguf.TokenType], size: int
) -> tuple[list[str], list[gguf.TokenType]]:
    """Tokens for the rows of the embeddings that no token of the tokenizer stands for."""
    padding = range(len(tokens), size)
    return (
        [*tokens, *(f"[PAD{number}]" for number in padding)],
        [*kinds, *[gguf.TokenType.UNUSED] * len(padding)],
    )


def _template(processor: dict[str, Any] | None, kind: str) -> list[Any]:
    """The parts of a `TemplateProcessing`, also where it is one of a sequence."""
    if processor is not None and processor["type"] == "Sequence":
        steps = [step for step in processor["processors"] if step["type"] != "ByteLevel"]
        if len(steps) > 1:
            raise ValueError
        processor = steps[0] if steps else None
    if processor is None or processor["type"] == "ByteLevel":
        return [{"Sequence": {"id": "A"}}]
    if processor["type"] == "TemplateProcessing":
        parts: list[Any] = processor[kind]
        return parts
    if processor["type"] in {"BertProcessing", "RobertaProcessing"}:
        tokens = processor["cls"][0], processor["sep"][0]
        opening, closing = ({"SpecialToken": {"id": token}} for token in tokens)
        return [opening, {"Sequence": {"id": "A"}}, closing]
    raise ValueError


def _frame(parts: list[Any]) -> Frame:
    names = [_name(part) for part in parts]
    place = next(number for number, part in enumerate(parts) if "Sequence" in part)
    before, after = names[:place], names[place + 1 :]
    if len(before) > 1 or len(after) > 1 or any("Sequence" in part for part in parts[place + 1 :]):
        raise ValueError
    return Frame(before[0] if before else None, after[0] if after else None)


def _name(part: dict[str, Any]) -> str:
    """`A` or `B` for a text, or a special token."""
    (content,) = part.values()
    name: str = content["id"]
    return name
