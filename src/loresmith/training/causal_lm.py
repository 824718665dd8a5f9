"""Causal language modelling: predict each token from those before it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from loresmith.training.cross_entropy import linear_cross_entropy
from loresmith.training.objective import MicroBatch


class CausalLM:
    """- sum_t w_t log p(x_t | x_<t).

    Where the logits are a linear map of the backbone's last hidden states, which is nearly everywhere, the loss comes
    from a chunked cross-entropy; families that cap or scale their logits are told by trying and get the plain one.

    Args:
        model: a transformers causal language model, as it will be trained.
        z_loss: weight of the squared log-normaliser; keeps logits from drifting in long bf16 runs.
    """

    def __init__(self, model: nn.Module, z_loss: float = 0.0) -> None:
        self.z_loss = z_loss
        self.linear_head = _linear_head(model)

    def weight(self, micro_batch: MicroBatch) -> float:
        return float(micro_batch.weights.sum())

    def loss(self, model: nn.Module, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        causal_lm: Any = model
        targets_N, weights_N = micro_batch.targets.flatten(), micro_batch.weights.flatten()
        if self.linear_head:
            hidden_BTD = causal_lm.base_model(input_ids=micro_batch.inputs, use_cache=False).last_hidden_state
            weight_VD = causal_lm.get_output_embeddings().weight
            return linear_cross_entropy(hidden_BTD.flatten(0, 1), weight_VD, targets_N, weights_N, self.z_loss)
        logits_NV = causal_lm(input_ids=micro_batch.inputs, use_cache=False).logits.flatten(0, 1).float()
        nll_N = nn.functional.cross_entropy(logits_NV, targets_N, reduction="none")
        nll = (nll_N * weights_N).sum()
        loss = nll + self.z_loss * (logits_NV.logsumexp(-1).square() * weights_N).sum() if self.z_loss else nll
        return loss, nll.detach()


@torch.no_grad()
def _linear_head(model: Any) -> bool:
    """Whether the output embedding's matrix, applied to the backbone's output, gives the model's own logits."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None or model.base_model is model:
        return False
    ids_1T = torch.arange(min(8, head.out_features), device=head.weight.device)[None]
    hidden_1TD = getattr(model.base_model(input_ids=ids_1T, use_cache=False), "last_hidden_state", None)
    own_1TV = model(input_ids=ids_1T, use_cache=False).logits
    # A head of zeros gives zeros with or without a cap: a stand-in tells them apart.
    if hidden_1TD is not None and not bool(head.weight.any()):
        kept = head.weight.clone()
        head.weight.normal_(generator=torch.Generator(head.weight.device).manual_seed(0))
        same = _linear_head(model)
        head.weight.copy_(kept)
        return same
    return hidden_1TD is not None and torch.equal(head(hidden_1TD), own_1TV)
