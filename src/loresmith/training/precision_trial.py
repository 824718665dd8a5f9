"""Whether a model can be trained in bfloat16 on the CPU, found by trying.

Some families mix types in their own code: a router or a state that they take for fp32 is multiplied with what is in
bfloat16 by then, and torch refuses in the midst of a step. Which ones do so is in their code and not in their names.
So a few tokens are sent through the model, forward and backward, with its weights rounded as they will be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from loresmith.errors import UserError
from loresmith.models.cpu_training import use_fast_parts
from loresmith.training.device import choose_device, choose_precision
from loresmith.training.objective import MicroBatch
from loresmith.training.predictor import Predictor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.training.loop_settings import LoopSettings

Settings = TypeVar("Settings", bound="LoopSettings")

TOKENS = 8


def settle_precision(config: Settings, model: PreTrainedModel, log: Callable[[str], None]) -> Settings:
    """The settings, in float32 where they leave the precision open and the model does not compute in bfloat16.

    Args:
        config: of the training.
        model: as it will be trained, in fp32 on the CPU; it is left so, with its fast parts in place.
        log: told of a change.

    Raises:
        UserError: they ask for bfloat16, and the model does not compute in it.
    """
    device = choose_device()
    if device.type != "cpu" or choose_precision(config.precision, device) != torch.bfloat16:
        return config
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so few tokens cost less than waiting for one another
    try:
        use_fast_parts(model)
        refusal = _refusal(model, torch.bfloat16)
    finally:
        torch.set_num_threads(threads)
    if refusal is None:
        return config
    what = f"{type(model).__name__} cannot be computed in bfloat16 on the CPU ({refusal})"
    if config.precision == "bfloat16":
        raise UserError(what, where="precision", hint="leave it out, or say `precision: float32`")
    log(f"{what}; it is trained in float32")
    return config.model_copy(update={"precision": "float32"})


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
