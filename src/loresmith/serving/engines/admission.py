"""What an engine can never carry out is refused before it waits."""

from __future__ import annotations

from collections.abc import Container

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.serving.engines.generation import EngineFacts, Generation


def require_possible(generation: Generation, facts: EngineFacts, taken: Container[str]) -> None:
    """Raise UserError for a request that an engine can never carry out.

    Args:
        taken: ids of the requests that it has already.
    """
    if any(not 0 <= token < facts.vocabulary_size for token in generation.prompt):
        raise UserError(f"the prompt has token ids outside the vocabulary of {facts.vocabulary_size}")
    if len(generation.prompt) >= facts.window:
        raise UserError(
            f"the prompt has {len(generation.prompt)} tokens, and the window is {facts.window}",
            hint="shorten the prompt: it and the answer share the window",
        )
    if generation.adapter is not None and generation.adapter not in facts.adapters:
        raise UserError(unknown_name("adapter", generation.adapter, facts.adapters))
    if any(not 0 <= token < facts.vocabulary_size for token in generation.sampling.logit_bias):
        raise UserError(f"logit_bias names a token outside the vocabulary of {facts.vocabulary_size}")
    if generation.id in taken:
        raise UserError(f"there is a request {generation.id} already")
