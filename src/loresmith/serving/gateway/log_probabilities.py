"""Tokens with their log-probabilities, as OpenAI's protocol tells them."""

from __future__ import annotations

from typing import Any

from loresmith.serving.engines.generation import Chosen
from loresmith.serving.gateway.served_model import ServedModel


def told_token(model: ServedModel, token: Chosen) -> dict[str, Any]:
    """A token that was chosen, with those that could have been."""
    return {
        **_spelled(model, token.id, token.log_probability or 0.0),
        "top_logprobs": [_spelled(model, id_, value) for id_, value in token.alternatives],
    }


def _spelled(model: ServedModel, id_: int, log_probability: float) -> dict[str, Any]:
    text = str(model.tokenizer.decode([id_]))
    spelled = model.token_bytes(id_)
    return {"token": text, "logprob": log_probability, "bytes": None if spelled is None else list(spelled)}
