"""How much memory a training takes: weights, gradients, the optimiser's state, and activations.

Legend: L layers, T positions of a sequence, D width, A = query heads x head size, K = key-value heads x head size,
H query heads, F inner width of the feed-forward, k experts of a token.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FP32 = 4

NF4 = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes of a weight in 4 bits: 64 share a constant of 8 bits, and 256 such constants one of 32 (Dettmers et al., QLoRA,
2023, section 3)."""


class Memory(BaseModel):
    """Bytes that a training holds at its fullest, at the end of a backward pass."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: int = Field(
        description="The weights in the type that computes, and their fp32 masters where it is another."
    )
    gradients: int = Field(description="Of one micro-batch in the type that computes, and their fp32 sums.")
    optimiser: int = Field(description="Muon's one moment on matrices, AdamW's two on the rest, in fp32.")
    average: int = Field(description="The moving average of the weights in fp32, where one is kept.")
    teacher: int = Field(description="A teacher's weights in the type that computes, where one reads beside.")
    activations: int | None = Field(
        description="What the forward pass of a micro-batch keeps for the backward pass; null where the model is no "
        "decoder of attention and gated feed-forwards, for which the formula holds."
    )
    total: int = Field(description="All of it, but for one chunk of logits and for the program itself.")


def memory_of(
    model: PreTrainedModel,
    *,
    single_moment: Collection[str],
    compute_bytes: int,
    micro_batch_tokens: int,
    sequence_length: int,
    average: bool = False,
    recompute: bool = False,
    keep_probabilities: bool = True,
    four_bit: int = 0,
    teacher: int = 0,
) -> Memory:
    """Bytes of a training by the loop's own rules.

    With P parameters, Q of them trained (an adapter trains few), of c bytes where they compute, and N frozen in 4 bits:

    - weights: c (P - N) and 0.52 N, and fp32 masters of 4 Q where c is not 4.
    - gradients: the same of Q alone.
    - optimiser: 4 bytes for each trained weight that Muon steps, 8 for each that AdamW does.
    - activations: c for each number that `activations_per_token` counts.

    Args:
        model: on any device, such as the meta device; parameters that do not require a gradient are not trained.
        single_moment: names of the parameters that Muon steps.
        compute_bytes: c, 2 for bfloat16.
        average: whether a moving average of the trained weights is kept.
        recompute: whether layers keep nothing inside and compute it again.
        keep_probabilities: whether attention keeps its probabilities, as ours on the CPU does, or not, as flash
            attention.
        four_bit: N, weights of the base that are kept in 4 bits.
        teacher: parameters of a teacher that only reads.
    """
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}
    total, trained = sum(parameter.numel() for parameter in model.parameters()), sum(sizes.values())
    master = 0 if compute_bytes == FP32 else FP32
    moments = sum(size * (1 if name in single_moment else 2) for name, size in sizes.items())
    kept = activations_per_token(
        model,
        sequence_length,
        recompute=recompute,
        keep_probabilities=keep_probabilities,
        at_once=micro_batch_tokens,
    )
    parts = {
        "weights": (total - four_bit) * compute_bytes + round(four_bit * NF4) + trained * master,
        "gradients": trained * (compute_bytes + master),
        "optimiser": FP32 * moments,
        "average": FP32 * trained if average else 0,
        "teacher": teacher * compute_bytes,
    }
    activations = None if kept is None else round(kept * compute_bytes * micro_batch_tokens)
    return Memory(**parts, activations=activations, total=sum(parts.values()) + (activations or 0))


def activations_per_token(
    model: PreTrainedModel,
    sequence_length: int,
    *,
    recompute: bool = False,
    keep_probabilities: bool = True,
    at_once: int | None = None,
) -> float | None:
    """How many numbers the backbone keeps for the backward pass, per token; after Korthikanti et al. (2022), section 4.

    A layer keeps what its products and norms are differentiated by:

        4 D                     two RMSNorms, each its input over its root mean square, and its output
        2 A + 2 K               queries, keys, values, and attention's output
        A + K                   queries and keys before their own norms, where the family has those
        H (T + BLOCK) / 2       attention's probabilities, in blocks of queries; none where it keeps none
        3 F                     gate, up and their product, of a gated feed-forward
        k (4 F + 2 D)           the same of a mixture of experts, with its copies of the input and of the output of
                                each expert of a token, and silu(gate); k is more by the rows with which those of
                                each expert are filled up, which are half a block on average

    and the last norm keeps 2 D. Numbers that are a few per token and layer, such as roots of mean squares and routes,
    are left out: together less than 4 % at a width of 64, and less above. Where layers are recomputed, each keeps its
    input, D, and one of them at a time all of the above. Where only an adapter is trained, this is more than is kept.

    Args:
        at_once: tokens that go through the model together, over which the rows that fill up are spread; None for so
            many that these do not count.
    """
    from loresmith.models import expert_groups
    from loresmith.models.mixture import Mixture

    config: Any = model.config.get_text_config(decoder=True)
    heads, inner = getattr(config, "num_attention_heads", None), getattr(config, "intermediate_size", None)
    names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if not isinstance(heads, int) or not isinstance(inner, int) or not {"o_proj", "q_proj"} <= names:
        return None
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    width, queries = config.hidden_size, heads * size
    keys = (getattr(config, "num_key_value_heads", None) or heads) * size
    shared = 4 * width + 2 * queries + 2 * keys
    if "q_norm" in names:
        shared += queries + keys
    if keep_probabilities:
        shared += heads * _mean_block(sequence_length)
    layers = int(config.num_hidden_layers)
    mixture = Mixture.of(model)
    routed, routing = 0, 0.0
    if mixture is not None:
        downs = [part for name, part in mixture.experts.items() if name.endswith("down_proj")]
        routed = len(downs)
        expert = next((part.fan_in for part in downs if part.fan_in), 0)
        filling = mixture.count * expert_groups.BLOCK / 2 / at_once if at_once else 0.0
        routing = (mixture.active + filling) * (4 * expert + 2 * width)
    kept = [shared + routing] * routed + [shared + 3 * inner] * (layers - routed)
    inside = layers * width + max(kept) if recompute else sum(kept)
    return float(inside + 2 * width)


def _mean_block(length: int) -> float:
    """Probabilities that are kept of each query, on average: those of the keys up to the end of its block."""
    from loresmith.models.attention import BLOCK

    ends = [min(start + BLOCK, length) for start in range(0, length, BLOCK)]
    return sum(end * (end - start) for start, end in zip([0, *ends], ends, strict=False)) / length
