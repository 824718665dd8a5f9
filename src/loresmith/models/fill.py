"""The middle of a text, from a model that was trained to write it knowing both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.models.fill_in_the_middle import Order, Sentinels
from loresmith.models.generate import Sampling, window_of, write

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def fill(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix: str,
    suffix: str,
    *,
    order: Order = "psm",
    max_new_tokens: int = 64,
    min_new_tokens: int = 0,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[str]:
    """Write what stands between two texts (Bavarian et al. 2022; see `loresmith.models.fill_in_the_middle`).

    Sides that are longer than the model's window are cut where they are farthest from the gap, each to half of it where
    both are long. Text that spells a special token is the characters that it is.

    Args:
        prefix, suffix: what stands before and after; either may be empty.
        order: how they are shown to the model. One trained on both orders takes either.
        max_new_tokens: of the middle at most, and never more than half the window.
        min_new_tokens: before the middle may end; 1 where something is known to be missing.
        temperature, top_p, seed: as for `loresmith.models.generate.complete`.

    Yields:
        The middle, in pieces; whole characters only.

    Raises:
        UserError: the tokenizer has no sentinels for this, the window has no room, or a setting is out of its range.
    """
    sentinels = Sentinels.of(tokenizer.get_vocab().get, str(tokenizer.name_or_path))
    window = window_of(model)
    sampling = Sampling.checked(min(max_new_tokens, window // 2), temperature, top_p, seed)
    sampling = replace(sampling, min_new_tokens=min_new_tokens)
    begin = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    before, after = (
        list(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        for text in (prefix, suffix)
    )
    most = window - sampling.max_new_tokens - len(begin) - 3
    if most < 2:
        raise UserError(f"the model's window of {window} tokens has no room for a text with a gap")
    kept_after = min(len(after), max(most // 2, most - len(before)))
    kept_before = min(len(before), most - kept_after)
    prompt = [*begin, *sentinels.prompt(order, before[len(before) - kept_before :], after[:kept_after])]
    ends = frozenset((sentinels.prefix, sentinels.middle, sentinels.suffix))
    return write(model, tokenizer, prompt, sampling, ends)
