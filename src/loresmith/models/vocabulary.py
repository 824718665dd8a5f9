"""A model's vocabulary with new tokens after the old ones: the tokenizer's merges, and rows of the embeddings.

What the model knew stays as it was, to the bit: new rows come below the old ones, and new merges after the old.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from loresmith.errors import UserError
from loresmith.models.base_directory import LICENCE_TEXTS
from loresmith.models.base_parity import expected_logits
from loresmith.models.base_settings import read_json
from loresmith.models.base_tokenizer import require_read_alike, take_tokenizer
from loresmith.models.storage import embedding_rows, load_weights, require_fit, save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NewMerge = tuple[int, int, int]
"""Ids of the left and the right token, and of the new one that they become."""


def spelling_of(tokenizer: Path) -> dict[int, str]:
    """The text of every token as tokenizer.json has it (bytes as characters), by id, special ones included.

    Raises:
        UserError: it is not byte-level byte-pair encoding, the one kind to which merges can be added such that every
            text still comes back as it was.
    """
    file = tokenizer / "tokenizer.json"
    described = read_json(file)
    model = described.get("model") or {}
    parts = [described.get("pre_tokenizer") or {}]
    parts += parts[0].get("pretokenizers", [])
    byte_level = any(part.get("type") == "ByteLevel" for part in parts)
    odd = [key for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model.get(key)]
    if model.get("type") != "BPE" or not byte_level or odd:
        kind = f"{model.get('type', 'unknown')}{'' if byte_level else ', not byte-level'}"
        raise UserError(
            f"only byte-level byte-pair tokenizers can be extended, and this one is {kind}"
            f"{f' with {odd[0]}' if odd else ''}",
            where=str(file),
        )
    return {
        **{int(number): text for text, number in model["vocab"].items()},
        **{int(token["id"]): token["content"] for token in described["added_tokens"]},
    }


def extend_tokenizer(source: Path, target: Path, merges: Iterable[NewMerge]) -> None:
    """Write tokenizer.json with merges after those it has.

    Args:
        source, target: folders; only tokenizer.json is read and written.
        merges: in the order in which they apply.
    """
    from tokenizers import Tokenizer

    described = read_json(source / "tokenizer.json")
    spelling = spelling_of(source)
    vocabulary, rules = described["model"]["vocab"], described["model"]["merges"]
    # The library counts added tokens from the end of the vocabulary unless they stand in it.
    for token in described["added_tokens"]:
        vocabulary.setdefault(token["content"], token["id"])
    written_as_text = bool(rules) and isinstance(rules[0], str)
    for left, right, new in merges:
        pair = [spelling[left], spelling[right]]
        spelling[new] = "".join(pair)
        vocabulary[spelling[new]] = new
        rules.append(" ".join(pair) if written_as_text else pair)
    Tokenizer.from_str(json.dumps(described)).save(str(target / "tokenizer.json"))


def pieces_of(merges: Iterable[NewMerge]) -> dict[int, tuple[int, ...]]:
    """The old tokens that each new one is made of, by the new one's id."""
    pieces: dict[int, tuple[int, ...]] = {}
    for left, right, new in merges:
        pieces[new] = (*pieces.get(left, (left,)), *pieces.get(right, (right,)))
    return pieces


@torch.no_grad()
def extend_embeddings(model: PreTrainedModel, pieces: Mapping[int, Sequence[int]]) -> None:
    """Give a model a row for each new token, in place: the mean of the rows of its old pieces.

    It is so in the input and in the output embedding, whether they are tied or not, and in the output's bias. So the
    logit of a new token begins as the mean of those of its pieces; the logits of old tokens do not change. Rows that an
    embedding had to spare, as padding to a round number, are used first.

    Args:
        pieces: the old tokens that each new one is made of, by the new one's id.
    """
    rows = embedding_rows(model)
    needed = max(pieces, default=-1) + 1
    if needed > rows:
        model.resize_token_embeddings(needed, mean_resizing=False)
    for weight in _by_token(model):
        for new, old in pieces.items():
            weight[new] = weight[list(old)].float().mean(dim=0).to(weight.dtype)


def extend_model(base: Path, model: Path, tokenizer: Path, merges: Sequence[NewMerge]) -> dict[str, Any]:
    """Write a base with new tokens as a model, and its tokenizer alone.

    Args:
        base: a model with its tokenizer.
        model, tokenizer: empty folders.
        merges: in the order in which they apply.

    Returns:
        The evidence that the logits of old tokens on old text are what they were.

    Raises:
        UserError: the base is no whole model, or its tokenizer does not fit or cannot be extended.
    """
    taken = take_tokenizer(base, tokenizer, None)
    extend_tokenizer(tokenizer, tokenizer, merges)
    require_read_alike(tokenizer, base)
    extended = load_weights(base)
    require_fit(extended, taken.highest_token, base)
    before = expected_logits(extended, taken.highest_token + 1)
    extend_embeddings(extended, pieces_of(merges))
    evidence = before.compare(extended, "the base before it was extended")
    save_model(extended, model, tokenizer)
    for file in sorted(base.iterdir()):
        if LICENCE_TEXTS.fullmatch(file.name):
            shutil.copyfile(file, model / file.name)
    return evidence


def _by_token(model: PreTrainedModel) -> list[torch.Tensor]:
    """The parameters that have a row for each token, tied ones once."""
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    found = [embedding.weight]
    if isinstance(head, nn.Linear):
        found += [head.weight] if head.weight is not embedding.weight else []
        found += [head.bias] if head.bias is not None else []
    return found
