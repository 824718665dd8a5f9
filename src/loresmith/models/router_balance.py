"""The loss that keeps the experts of a mixture evenly used.

Fedus et al., Switch Transformers (2021), section 2.2, equations 4 to 6, after Shazeer et al. (2017), for k experts of a
token as in GShard and Mixtral. In each layer, over the tokens that count,

    f_e = choices of expert e / tokens        P_e = mean probability of expert e        loss = E sum_e f_e P_e

which is k where all experts are used alike, and E k where always the same k are. Only P has a gradient. The loss of a
model is the mean over its layers. transformers takes f and P over all layers together: one layer that always uses
expert 1 and another that always uses expert 2 are balanced there, and here they are not. On a single layer both agree.

Legend: B rows of a batch, T positions, N = B T, E experts, k experts of a token, L layers with experts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from loresmith.models.mixture import experts_per_token

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHT_KEYS = ("router_aux_loss_coef", "aux_loss_coef")
"""What configs call the weight of the loss; the second is JetMoE's."""


@torch.no_grad()
def routes(model: PreTrainedModel) -> bool:
    """Whether the model's family trains with this loss, its config gives it a weight, and it has routers at all.

    Such a model is called with `output_router_logits=True`. Families that keep their experts even by other means, as
    DeepSeek-V3 does with offsets, do not; some have models without a router (Doge), or with other ones (DeepSeek-V4).
    """
    family = sys.modules[type(model).__module__]
    recorded = getattr(model.base_model, "_can_record_outputs", None) or {}
    if not hasattr(family, "load_balancing_loss_func") or "router_logits" not in recorded or _weight(model) <= 0:
        return False
    ids_BT = torch.zeros(1, 2, dtype=torch.int64, device=model.device)
    output = model.base_model(input_ids=ids_BT, use_cache=False, output_router_logits=True)
    return bool(getattr(output, "router_logits", None))


def balance_loss(model: PreTrainedModel, output: Any, counted_BT: Tensor | None = None) -> Tensor:
    """The balance loss of a forward pass times the weight that the model's config gives it, an fp32 scalar.

    Args:
        model: one that `routes`.
        output: what the model or its backbone (`model.base_model`) returned, called with `output_router_logits=True`.
        counted_BT: true where a token counts; all of them when None. Where none does, the loss is zero.
    """
    config = _config(model)
    loss = load_balance(router_logits_of(output), experts_per_token(config), counted_BT)
    return _weight(model) * loss


def router_logits_of(output: Any) -> tuple[Tensor, ...]:
    """The router logits (N, E) of each layer that has experts.

    Raises:
        ValueError: there are none: the model has no experts, or was called without `output_router_logits=True`.
    """
    logits = getattr(output, "router_logits", None)
    if not logits:
        raise ValueError("the output has no router logits; call the model with output_router_logits=True")
    return tuple(layer.flatten(0, -2) for layer in logits)


def load_balance(logits_LNE: Sequence[Tensor], active: int, counted_BT: Tensor | None = None) -> Tensor:
    """E sum_e f_e P_e, mean over the layers; an fp32 scalar.

    Args:
        logits_LNE: router logits of each layer, (N, E).
        active: k.
        counted_BT: N numbers in any shape, true where a token counts.
    """
    counted_N1 = torch.ones_like(logits_LNE[0][:, :1], dtype=torch.float32)
    if counted_BT is not None:
        counted_N1 = counted_BT.reshape(-1, 1).to(logits_LNE[0].device, torch.float32)
    tokens = counted_N1.sum().clamp_min(1.0)
    losses = []
    for logits_NE in logits_LNE:
        probabilities_NE = torch.softmax(logits_NE, dim=-1, dtype=torch.float32)
        chosen_Nk = probabilities_NE.detach().topk(active, dim=-1).indices
        choices_NE = torch.zeros_like(probabilities_NE).scatter_(1, chosen_Nk, 1.0)
        f_E = (choices_NE * counted_N1).sum(0) / tokens
        p_E = (probabilities_NE * counted_N1).sum(0) / tokens
        losses.append((f_E * p_E).sum() * logits_NE.shape[-1])
    return torch.stack(losses).mean()


def _weight(model: PreTrainedModel) -> float:
    """What the model's config gives the loss; 0 where it says nothing."""
    config = _config(model)
    return next((float(weight) for key in WEIGHT_KEYS if (weight := getattr(config, key, None)) is not None), 0.0)


def _config(model: PreTrainedModel) -> Any:
    return model.config.get_text_config(decoder=True)
