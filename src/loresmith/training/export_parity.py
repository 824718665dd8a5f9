"""Whether the model that was saved is the model that was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from loresmith.models.adapter_storage import base_of, load_adapter
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-4
"""Largest difference of two logits in fp32, relative to the largest logit (or to one, if that is smaller)."""


@dataclass(frozen=True)
class Parity:
    """What the comparison showed."""

    largest_difference: float
    largest_logit: float
    tokens: int

    @property
    def passed(self) -> bool:
        return self.largest_difference <= TOLERANCE * max(1.0, self.largest_logit)

    def evidence(self) -> dict[str, Any]:
        return {
            "largest_difference": self.largest_difference,
            "largest_logit": self.largest_logit,
            "tokens": self.tokens,
            "tolerance": TOLERANCE,
            "loaded_with": "transformers.AutoModelForCausalLM, eager attention, fp32",
        }


@torch.no_grad()
def measure_parity(model: PreTrainedModel, directory: Path, ids_BT: Tensor, base: Path | None = None) -> Parity:
    """Compare a trained model, with the fast parts it was trained with, to its directory loaded plainly, both in fp32.

    Args:
        model: left in fp32 and in eval mode.
        directory: as `save_model` wrote it, or `save_adapter`.
        ids_BT: what both are shown.
        base: of an adapter, the model that it adapts.
    """
    computed = torch.float32 if base is None else next(model.parameters()).dtype
    plain = transformers.AutoModelForCausalLM.from_pretrained(
        str(base or directory), dtype=computed, attn_implementation="eager", local_files_only=True
    )
    if base is not None:
        load_adapter(plain, directory, base_of(directory))
    plain.float().eval()  # a base was rounded to the type that its adapter was trained in
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    model.train(False)
    device = next(model.parameters()).device
    trained_BTV = model(input_ids=ids_BT.to(device), use_cache=False).logits.cpu()
    loaded_BTV = plain(input_ids=ids_BT.cpu(), use_cache=False).logits
    return Parity(
        largest_difference=float((trained_BTV - loaded_BTV).abs().max()),
        largest_logit=float(loaded_BTV.abs().max()),
        tokens=ids_BT.numel(),
    )
