"""The special tokens of a tokenizer made here, and what each is for."""

from __future__ import annotations

from loresmith.models.chat_template import CHAT_TOKENS
from loresmith.models.fill_in_the_middle import FILL_IN_THE_MIDDLE

END_OF_DOCUMENT = "<|endoftext|>"
"""Follows every document; a model that writes it has finished."""

PAD = "<|pad|>"
"""Fills a batch up; never learnt from."""


def special_tokens(reserved: int) -> tuple[str, ...]:
    """All special tokens in the order of their ids, with `reserved` that later training may give a meaning."""
    free = tuple(f"<|reserved_{number}|>" for number in range(reserved))
    return (END_OF_DOCUMENT, PAD, *CHAT_TOKENS, *FILL_IN_THE_MIDDLE, *free)


def smallest_vocabulary(reserved: int) -> int:
    """The size that holds the special tokens, the 256 bytes, so that nothing is ever unknown, and not one merge."""
    return 256 + len(special_tokens(reserved))
