"""Whether a model can be trained in bfloat16 on the CPU, found by trying.

Some families mix types in their own code: a router or a state that they take for fp32 is multiplied with what is in
bfloat16 by then, and torch refuses in the midst of a step. Which ones do so is in their code and not in their names.
So a few tokens are sent through the model, forward and backward, with its weights rounded as they will be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from loresmith.errors import UserError
from loresmith.training.device import choose_precision
from loresmith.training.objective import MicroBatch
from loresmith.training.predictor import Predictor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOKENS = 8


def settle_precision(
    precision: str, model: PreTrainedModel, device: torch.device, log: Callable[[str], None]
) -> torch.dtype:
    """The type that a model is to compute in: float32 where that is left open and it does not compute in bfloat16.

    Args:
        precision: as a recipe has it.
        model: as it will be trained, in fp32 on the CPU; it is left so.
        device: where it will be trained.
        log: told of a change.

    Raises:
        UserError: bfloat16 was asked for, and the model does not compute in it.
    """
    chosen = choose_precision(precision, device)
    refusal = _refusal(model, chosen) if device.type == "cpu" and chosen == torch.bfloat16 else None
    if refusal is None:
        return chosen
    what = f"{type(model).__name__} cannot be computed in bfloat16 on the CPU ({refusal})"
    if precision == "bfloat16":
        raise UserError(what, where="precision", hint="leave it out, or say `precision: float32`")
    log(f"{what}; it is trained in float32")
    return torch.float32


def _refusal(model: PreTrainedModel, dtype: torch.dtype) -> str | None:
    """What torch says against computing in a type; None where it computes."""
    predictor = Predictor(model)
    embedding: Any = model.get_input_embeddings()
    ids_T = torch.arange(TOKENS + 1) % len(embedding.weight)
    trial = MicroBatch(ids_T[None, :-1], ids_T[None, 1:], torch.ones(1, TOKENS))
    kept = {parameter: parameter.data for parameter in model.parameters() if parameter.is_floating_point()}
    for parameter in kept:
        parameter.data = parameter.data.to(dtype)
    try:
        loss, _ = predictor.predict(trial).cross_entropy(trial.targets.flatten(), trial.weights.flatten())
        torch.autograd.grad(loss, embedding.weight)
    except RuntimeError as error:
        return str(error).partition("\n")[0]
    finally:
        for parameter, data in kept.items():
            parameter.data = data
    return None
