"""Whether the model that was saved is the model that was trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.models.adapter_storage import base_of, load_adapter
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2**-5}
"""Largest difference of two logits computed in a type, relative to the largest (or to one, if that is smaller)."""


@dataclass(frozen=True)
class Parity:
    """What the comparison showed."""

    largest_difference: float
    largest_logit: float
    tokens: int
    dtype: torch.dtype = torch.float32

    @property
    def passed(self) -> bool:
        return self.largest_difference <= TOLERANCE[self.dtype] * max(1.0, self.largest_logit)

    def evidence(self) -> dict[str, Any]:
        return {
            "largest_difference": self.largest_difference,
            "largest_logit": self.largest_logit,
            "tokens": self.tokens,
            "tolerance": TOLERANCE[self.dtype],
            "loaded_with": f"transformers.AutoModelForCausalLM, eager attention, {str(self.dtype).split('.')[1]}",
        }


@torch.no_grad()
def measure_parity(
    model: PreTrainedModel, directory: Path, ids_BT: Tensor, base: Path | None = None, quantised: bool = False
) -> Parity:
    """Compare a trained model, with the fast parts it was trained with, to its directory loaded plainly, both in fp32.

    A base in 4 bits has no fp32 form: the plain one is quantised too, and both compute in bfloat16.

    Args:
        model: left in eval mode, and in fp32 unless it is quantised.
        directory: as `save_model` wrote it, or `save_adapter`.
        ids_BT: what both are shown.
        base: of an adapter, the model that it adapts.
        quantised: whether the adapter was trained on that base in 4 bits.
    """
    computed = torch.float32 if base is None else next(model.parameters()).dtype
    plain = transformers.AutoModelForCausalLM.from_pretrained(
        str(base or directory), dtype=computed, attn_implementation="eager", local_files_only=True
    )
    if quantised:
        from loresmith.models.adapter_quantisation import quantise

        quantise(plain, model.device)
        nn.Module.to(plain, model.device)
    if base is not None:
        load_adapter(plain, directory, base_of(directory))
    if not quantised:
        plain.float()  # a base was rounded to the type that its adapter was trained in
        for parameter in model.parameters():
            parameter.data = parameter.data.float()
    plain.train(False)
    model.train(False)
    trained_BTV = model(input_ids=ids_BT.to(model.device), use_cache=False).logits.cpu().float()
    loaded_BTV = plain(input_ids=ids_BT.to(plain.device), use_cache=False).logits.cpu().float()
    return Parity(
        largest_difference=float((trained_BTV - loaded_BTV).abs().max()),
        largest_logit=float(loaded_BTV.abs().max()),
        tokens=ids_BT.numel(),
        dtype=torch.bfloat16 if quantised else torch.float32,
    )
