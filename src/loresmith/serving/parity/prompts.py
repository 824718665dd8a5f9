"""The fixed prompts on which engines are compared with the reference: `prompts.json` beside this file.

They are of several kinds, since engines go wrong in different places: one token and several hundred, other scripts,
code, a conversation as the model's own template renders it, and tokens that follow one another nowhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FILE = Path(__file__).with_name("prompts.json")


@dataclass(frozen=True)
class ParityPrompt:
    """One prompt, in a model's tokens."""

    name: str
    ids: tuple[int, ...]


@cache
def prompt_set_digest() -> str:
    """Names the set of prompts."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()


def parity_prompts(
    tokenizer: PreTrainedTokenizerBase, vocabulary_size: int, longest: int
) -> tuple[list[ParityPrompt], dict[str, str]]:
    """The prompts of the set in a model's tokens.

    Args:
        vocabulary_size: tokens of the random prompt are below it.
        longest: tokens that a prompt may have.

    Returns:
        The prompts, and of those that are left out, why.
    """
    found, left_out = [], {}
    for written in json.loads(_FILE.read_text(encoding="utf-8")):
        name = written["name"]
        try:
            ids = _ids(written, tokenizer, vocabulary_size)
        except UserError as error:
            left_out[name] = error.what
            continue
        if not ids:
            left_out[name] = "the tokenizer makes no tokens of it"
        elif len(ids) > longest:
            left_out[name] = f"it has {len(ids)} tokens, and {longest} fit into the window"
        else:
            found.append(ParityPrompt(name, tuple(ids)))
    return found, left_out


def _ids(written: dict[str, Any], tokenizer: PreTrainedTokenizerBase, vocabulary_size: int) -> Sequence[int]:
    if written["kind"] == "text":
        ids: list[int] = tokenizer(written["text"], add_special_tokens=False)["input_ids"]
        return ids
    if written["kind"] == "chat":
        from loresmith.models.conversation import ConversationRenderer

        return [int(id_) for id_ in ConversationRenderer(tokenizer).prompt(written["messages"])]
    highest = min(vocabulary_size, len(tokenizer))
    return [_number(place) % highest for place in range(written["tokens"])]


def _number(place: int) -> int:
    """A number that is the same everywhere and follows no rule."""
    return int.from_bytes(hashlib.sha256(f"loresmith parity {place}".encode()).digest()[:8])
