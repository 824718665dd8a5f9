"""What a model says of a micro-batch, in the form in which objectives ask for it.

Where the logits are a linear map of the backbone's last hidden states, which is nearly everywhere, only the hidden
states are kept, and the logits are made a few rows at a time where an objective needs them; families that cap or scale
their logits are told by trying and give them whole.

Legend: B rows of a batch, T positions, N = B T, D width, V vocabulary, C rows of N in a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from loresmith.models.isolation import isolating_mask, position_ids
from loresmith.models.router_balance import balance_loss, routes
from loresmith.training.cross_entropy import LOGITS_AT_MOST, linear_cross_entropy
from loresmith.training.divided import whole
from loresmith.training.row_dropout import RowDropout, drops_out

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loresmith.training.objective import MicroBatch


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for the N positions of a micro-batch.

    Attributes:
        hidden_ND, weight_VD: last hidden states and output embedding, whose product the logits are; or
        logits_NV: the logits, where they are not that product.
        auxiliary: what the model itself wants minimised besides, per unit of weight (a router's balance), or None.
    """

    hidden_ND: Tensor | None
    weight_VD: Tensor | None
    logits_NV: Tensor | None
    auxiliary: Tensor | None = None

    def cross_entropy(self, targets_N: Tensor, weights_N: Tensor, z_loss: float = 0.0) -> tuple[Tensor, Tensor]:
        """sum_n w_n (-log p(target_n) + z lse_n^2), and the same without the z-loss for the record; fp32 scalars."""
        if self.hidden_ND is not None and self.weight_VD is not None:
            return linear_cross_entropy(self.hidden_ND, self.weight_VD, targets_N, weights_N, z_loss)
        logits_NV = self._whole()
        nll = (nn.functional.cross_entropy(logits_NV, targets_N, reduction="none") * weights_N).sum()
        squares = (logits_NV.logsumexp(-1).square() * weights_N).sum() if z_loss else 0.0
        return nll + z_loss * squares, nll.detach()

    def in_chunks(self, of_logits: Callable[[Tensor, slice], Tensor]) -> list[Tensor]:
        """Apply a function to the logits, fp32 (C, V), of a few rows at a time; differentiable.

        Args:
            of_logits: called with logits and the rows of N they belong to, in the backward pass once more, so that no
                chunk's logits are kept.
        """
        if self.hidden_ND is None or self.weight_VD is None:
            return [of_logits(self._whole(), slice(None))]
        hidden_ND, weight_VD = self.hidden_ND, self.weight_VD
        rows = max(1, LOGITS_AT_MOST // weight_VD.shape[0])

        def of_rows(hidden_CD: Tensor, chunk: slice) -> Tensor:
            return of_logits((hidden_CD @ weight_VD.t()).float(), chunk)

        chunks = [slice(start, min(start + rows, len(hidden_ND))) for start in range(0, len(hidden_ND), rows)]
        return [checkpoint(of_rows, hidden_ND[chunk], chunk, use_reentrant=False) for chunk in chunks]

    def log_probabilities(self, targets_N: Tensor) -> Tensor:
        """log p(target_n), fp32 (N,), differentiable."""

        def of_targets(logits_CV: Tensor, chunk: slice) -> Tensor:
            return -nn.functional.cross_entropy(logits_CV, targets_N[chunk], reduction="none")

        return torch.cat(self.in_chunks(of_targets))

    def _whole(self) -> Tensor:
        assert self.logits_NV is not None
        return self.logits_NV.float()


class Predictor(nn.Module):
    """A causal language model as the loop drives it.

    Documents that share a row are kept apart by an explicit block-diagonal mask and positions that begin anew; see
    `loresmith.models.isolation`. No cache is ever used.

    Args:
        model: a transformers causal language model, as it will be trained.

    Attributes:
        computes_in: type that it computes in, where that is not the type of its weights.
        undo: takes back what dividing its layers among processes changed in them; None where they are as they were.
        dropout: how it drops out while it trains; None where it does not.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        model.train(False)  # with dropout on, two ways to the same logits would differ
        self.linear_head = _linear_head(model)
        self.routes = routes(model)
        self.computes_in: torch.dtype | None = None
        self.undo: Callable[[], None] | None = None
        self.dropout = RowDropout() if drops_out(model) else None

    def forward(self, inputs_BT: Tensor, **kwargs: Any) -> tuple[Tensor, Tensor | None, Any]:
        """Last hidden states and output embedding, or logits and None; and the backbone's or model's own output."""
        if self.routes:
            kwargs["output_router_logits"] = True
        model: Any = self.model
        if not self.linear_head:
            output = model(input_ids=inputs_BT, use_cache=False, **kwargs)
            return output.logits, None, output
        output = model.base_model(input_ids=inputs_BT, use_cache=False, **kwargs)
        weight_VD = whole(model.get_output_embeddings().weight)
        # A residual stream in fp32 over weights in bf16 (Mamba): the model's own head takes it in their type too.
        return output.last_hidden_state.to(weight_VD.dtype), weight_VD, output

    def checkpoint_activations(self) -> None:
        """Keep no activations inside a layer, and compute them again in the backward pass."""
        how: dict[str, Any] = {"use_reentrant": False}
        if self.dropout is not None:
            how["context_fn"] = self.dropout.again
        self.model.activation_checkpointing_enable(how)

    def predict(self, micro_batch: MicroBatch, seed: int = 0) -> Predictions:
        """The model's predictions of a micro-batch's targets.

        Args:
            seed: of what drops out, the same for all micro-batches of a step.
        """
        if self.dropout is not None and self.training:
            with self.dropout.of(micro_batch, seed):
                return self._predict(micro_batch)
        return self._predict(micro_batch)

    def _predict(self, micro_batch: MicroBatch) -> Predictions:
        kwargs: dict[str, Any] = {}
        documents_BT = micro_batch.documents
        if documents_BT is not None:
            kwargs["position_ids"] = position_ids(documents_BT)
            kwargs["attention_mask"] = isolating_mask(self.model, documents_BT, self.computes_in)
        said, weight_VD, output = self(micro_batch.inputs, **kwargs)
        auxiliary = balance_loss(self.model, output, micro_batch.weights > 0) if self.routes else None
        flat = said.flatten(0, 1)
        if weight_VD is None:
            return Predictions(None, None, flat, auxiliary)
        return Predictions(flat, weight_VD, None, auxiliary)


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
    return hidden_1TD is not None and torch.equal(head(hidden_1TD.to(head.weight.dtype)), own_1TV.to(head.weight.dtype))
