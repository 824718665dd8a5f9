"""Answers of a given form: JSON by a schema, a regular expression, a grammar, by masks over the vocabulary.

The masks come from llguidance, which follows the grammar byte by byte, whatever tokens the bytes come in.

Legend: V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Constraint
from loresmith.serving.engines.grammar import grammar_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Constraints:
    """Makes the constraints of one tokenizer.

    Args:
        vocabulary_size: V, the width of the model's logits.
        ends: the token ids that end an answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary_size: int, ends: tuple[int, ...]) -> None:
        self._tokenizer = tokenizer
        self._size = vocabulary_size
        self._ends = list(ends)
        self._known: Any = None

    def make(self, constraint: Constraint) -> Constrained:
        """The state of one answer.

        Raises:
            UserError: the schema, the expression or the grammar cannot be followed.
        """
        import llguidance

        grammar = grammar_of(constraint)
        matcher = llguidance.LLMatcher(self._vocabulary(), grammar, log_level=0)
        if matcher.is_error():
            said = str(matcher.get_error()).partition("\n")[0]
            raise UserError(f"this {constraint.kind.replace('_', ' ')} cannot be followed: {said}")
        return Constrained(matcher, self._size)

    def _vocabulary(self) -> Any:
        """The tokenizer in llguidance's form, made once."""
        if self._known is None:
            import llguidance.hf

            tokenizer: Any = self._tokenizer
            self._known = llguidance.hf.from_tokenizer(tokenizer, n_vocab=self._size, eos_token=self._ends or None)
        return self._known


class Constrained:
    """How far an answer has come in its form."""

    def __init__(self, matcher: Any, vocabulary_size: int) -> None:
        self._matcher = matcher
        self._size = vocabulary_size

    def mask(self) -> Tensor:
        """Bool (V,): the tokens that may come next; those that end the answer where it is complete."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        mask_V = np.unpackbits(bits, bitorder="little")[: self._size].astype(bool)
        return torch.from_numpy(mask_V)

    def take(self, token: int) -> None:
        """Go on by a token that the mask allowed."""
        self._matcher.consume_token(token)

    @property
    def complete(self) -> bool:
        """Whether nothing can follow any more."""
        return bool(self._matcher.is_stopped())
