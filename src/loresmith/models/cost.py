"""What a model costs to train: parameters, operations per token, and how many tokens are worth it.

Everything is read off the model built on the meta device: names, shapes and no memory.

Legend: T positions of a sequence, H query heads, d size of a head, E experts, k experts of a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

TOKENS_PER_PARAMETER = 20
"""Hoffmann et al., Training Compute-Optimal Large Language Models (2022), table 3, near all sizes there."""

ATTENDING = ("full_attention", "sliding_attention", "chunked_attention")
"""Layer types that attend; others, such as linear attention, are counted by their matrices alone."""


class Cost(BaseModel):
    """What a model costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int = Field(description="All parameters, tied ones once.")
    active_parameters: int = Field(description="Those that a token meets: all but the experts that it is not sent to.")
    embedding_parameters: int = Field(description="Those of them that are looked up, or make logits: the embeddings.")
    forward_flops_per_token: int = Field(
        description="Floating-point operations of a forward pass, per token, at this sequence length."
    )
    attention_flops_per_token: int = Field(
        description="Those of them that compare tokens with one another: the part that grows with the length."
    )
    training_flops_per_token: int = Field(
        description="Operations of a training step, per token: three times those of a forward pass."
    )
    chinchilla_tokens: int = Field(
        description="Tokens at which a model of this size is the best for its training's cost: 20 per active parameter."
    )


def on_meta(config: PreTrainedConfig) -> PreTrainedModel:
    """A causal language model without its numbers."""
    import torch

    from loresmith.models.offline import transformers

    with torch.device("meta"):
        model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config)
    return model


def cost_of(model: PreTrainedModel, sequence_length: int) -> Cost:
    """Count.

    Operations, a multiplication and an addition being two, are those that the mathematics needs (Chowdhery et al.,
    PaLM, 2022, appendix B, but for the causal half): nothing that is computed in vain or once more.

        forward  = 2 * active matrices + attention        training = 3 * forward
        attention = sum over layers of 2 H (d_queries + d_values) * (mean number of positions that one attends to)

    - Active matrices are all weights of two dimensions or more; of experts k / E. The input embedding is looked up
      and costs nothing; the output embedding counts, tied or not. Norms and activation functions are left out.
    - A position attends to itself and those before it: (T + 1) / 2 on average, fewer in a sliding window of less
      than T. Layers of other kinds than attention count by their matrices alone.
    - The backward pass computes two products for each one of the forward pass (Kaplan et al., Scaling Laws for Neural
      Language Models, 2020, section 2.1).

    Hoffmann's N is all parameters, embeddings too (Pearce and Song, Reconciling Kaplan and Chinchilla Scaling Laws,
    2024). For mixtures of experts there is no settled law; the parameters that a token meets are taken for N.

    Args:
        model: on any device, such as `on_meta`.
        sequence_length: T.
    """
    from torch import nn

    from loresmith.models.mixture import Mixture

    mixture = Mixture.of(model)
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    total = active = looked_up = matrices = 0
    for name, parameter in model.named_parameters():
        size, bias = parameter.numel(), parameter.ndim < 2
        total += size
        if mixture is not None and name in mixture.experts:
            size, bias = size * mixture.active // mixture.count, mixture.experts[name].fan_in is None
        active += size
        if id(parameter) in embeddings or (head is not None and parameter is head.weight):
            looked_up += size
        elif not bias:
            matrices += size
    if head is not None:
        matrices += head.weight.numel()
    attention = round(_attention(model.config.get_text_config(decoder=True), sequence_length))
    forward = 2 * matrices + attention
    return Cost(
        parameters=total,
        active_parameters=active,
        embedding_parameters=looked_up,
        forward_flops_per_token=forward,
        attention_flops_per_token=attention,
        training_flops_per_token=3 * forward,
        chinchilla_tokens=TOKENS_PER_PARAMETER * active,
    )


def _attention(config: Any, length: int) -> float:
    """Operations of all layers' attention, per token."""
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int):
        return 0.0
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    queries = getattr(config, "qk_head_dim", None) or size
    values = getattr(config, "v_head_dim", None) or size
    attended = sum(_attended(config, kind, length) for kind in layer_kinds(config))
    return 2.0 * heads * float(queries + values) * attended


def layer_kinds(config: Any) -> list[str]:
    """What each layer does, as configs say it; those that do not say attend to everything, or to their window."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return list(kinds)
    windowed = getattr(config, "sliding_window", None) is not None
    return ["sliding_attention" if windowed else "full_attention"] * config.num_hidden_layers


def _attended(config: Any, kind: str, length: int) -> float:
    """How many positions one attends to, on average over a sequence."""
    if kind not in ATTENDING:
        return 0.0
    key = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}.get(kind)
    window = min(length, int((getattr(config, key, None) if key else None) or length))
    if kind == "chunked_attention":
        return (window + 1) / 2
    return window - window * (window - 1) / (2 * length)
