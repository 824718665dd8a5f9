"""The step `merge`: an adapter and its base, made into one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from loresmith.factory.step import Check, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


class MergeConfig(StepConfig):
    """How the merged weights are written."""

    precision: Literal["stored", "bfloat16", "float32"] = Field(
        default="stored",
        description="Type of the merged weights; `stored` is the base's. bfloat16 rounds the sums anew, and a small "
        "update can get lost in it: the step measures that and refuses, and float32 keeps everything.",
    )


def _merge(context: StepContext, config: MergeConfig, inputs: Mapping[str, InputAsset]) -> Result:
    import torch

    from loresmith.errors import Failure
    from loresmith.models.adapter_merge import merge_directories

    torch.set_num_threads(context.threads)
    base, adapter = inputs["base"], inputs["adapter"]
    directory = context.output("model")
    merged = merge_directories(base.directory, base.digest, adapter.directory, directory, config.precision)
    parity = merged.parity
    if parity.exact and parity.lost_in_rounding:
        raise Failure(
            f"saved in {parity.precision}, the merged model loses too much of what the adapter learnt: its logits are "
            f"off by {parity.saved_error:.3g}, where the adapter changes them by {parity.effect:.3g}",
            hint="write them with `precision: float32`",
        )
    entry = Entry(disposition="merged", reason="into the base's matrices", count=merged.merged_tensors)
    return Result(
        outputs={"model": Made(directory, merged.facts)},
        books=Books(accounts=(Account(unit="adapter tensors", entered=merged.stored_tensors, left=(entry,)),)),
        checks=(Check("model", "merge-parity", parity.passed, parity.evidence()),),
    )


MERGE = Step(
    name="merge",
    version=1,
    summary="Merge an adapter into its base, and compare the two with what comes of them, logit by logit.",
    config=MergeConfig,
    inputs={
        "base": Input("model", "The model that the adapter was trained on."),
        "adapter": Input("adapter", "A LoRA, DoRA or rsLoRA adapter."),
    },
    outputs={"model": Output("model", "A Hugging Face model directory with the adapter's tokenizer, or the base's.")},
    run=_merge,
    packages=("torch", "transformers", "safetensors", "peft"),
)
