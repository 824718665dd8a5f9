"""How a text is laid out whose middle comes last, so that a causal model can write it knowing both sides.

Bavarian et al., Efficient Training of Language Models to Fill in the Middle (2022, https://arxiv.org/abs/2207.14255),
section 3. With <PRE>, <SUF> and <MID> the sentinels and <EOT> the end of a document, the orders are

    PSM     <PRE> prefix <SUF> suffix <MID> middle <EOT>
    SPM     <PRE> <SUF> suffix <MID> prefix middle <EOT>

SPM is the second variant of the paper's appendix on its encoding: it is PSM with an empty prefix and the middle
`prefix middle`, so that what is learnt in one order helps in the other, and a model may be trained on both at once. The
three parts are encoded each by itself. <EOT> says that the middle has come to where the suffix begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from loresmith.errors import UserError

Order = Literal["psm", "spm"]

FILL_IN_THE_MIDDLE = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")
"""The sentinels <PRE>, <MID> and <SUF> of tokenizers made here, and of Qwen's and CodeGemma's."""

SENTINELS = (
    FILL_IN_THE_MIDDLE,
    ("<fim_prefix>", "<fim_middle>", "<fim_suffix>"),  # StarCoder
    ("<fim-prefix>", "<fim-middle>", "<fim-suffix>"),  # SantaCoder
    ("<｜fim▁begin｜>", "<｜fim▁end｜>", "<｜fim▁hole｜>"),  # DeepSeek-Coder
)
"""The sentinels of families whose layout is the one above, in the order prefix, middle, suffix."""


@dataclass(frozen=True)
class Sentinels:
    """The ids of the tokens that stand before each part."""

    prefix: int
    middle: int
    suffix: int

    @classmethod
    def of(cls, token_to_id: Callable[[str], int | None], where: str) -> Sentinels:
        """Those that a tokenizer has.

        Args:
            token_to_id: the id of a token, or None if there is no such token.
            where: what messages call the tokenizer.

        Raises:
            UserError: it has none of `SENTINELS`.
        """
        for names in SENTINELS:
            prefix, middle, suffix = map(token_to_id, names)
            if prefix is not None and middle is not None and suffix is not None:
                return cls(prefix, middle, suffix)
        raise UserError(
            f"the tokenizer has no tokens for filling in the middle: neither {', '.join(FILL_IN_THE_MIDDLE)} nor those "
            "of StarCoder, SantaCoder or DeepSeek-Coder",
            where=where,
            hint="tokenizers made by `train-tokenizer` have them",
        )

    def prompt(self, order: Order, prefix: Sequence[int], suffix: Sequence[int]) -> list[int]:
        """The ids after which the middle follows."""
        if order == "psm":
            return [self.prefix, *prefix, self.suffix, *suffix, self.middle]
        return [self.prefix, self.suffix, *suffix, self.middle, *prefix]
