"""The families that a recipe names: which are mixtures of experts, and how transformers calls their geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from loresmith.models.architecture import Architecture

DenseFamily = Literal["qwen3", "llama", "mistral", "ministral3"]
MoEFamily = Literal["qwen3_moe", "mixtral", "olmoe"]
Family = Literal["qwen3", "llama", "mistral", "ministral3", "qwen3_moe", "mixtral", "olmoe"]
"""A family's name is its `model_type` in transformers."""

DENSE: tuple[str, ...] = get_args(DenseFamily)
MOE: tuple[str, ...] = get_args(MoEFamily)

NORMS_EACH_HEAD = ("qwen3", "qwen3_moe")
"""Families that normalise every head of the queries and keys, all with the same weights."""
NORMS_ALL_HEADS = ("olmoe",)
"""Families that normalise all heads of the queries, and of the keys, as one vector."""


def transformers_keys(shape: Architecture, positions: int) -> dict[str, Any]:
    """A family's geometry under the names of its transformers config.

    - `qwen3_moe`: `norm_topk_prob` is set, as in every published model and against the class's default: without it
      llama.cpp computes something else. All layers route; `intermediate_size`, of layers that do not, is unused.
    - `olmoe` has no `head_dim`: it is width / heads. Its routing weights do not sum to one, as published.
    - `mistral` attends to all positions, as all published versions but the first.
    - `ministral3` scales the attention of positions beyond the window that it was made for, which is `positions`.
    """
    keys: dict[str, Any] = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.width,
        "num_attention_heads": shape.query_heads,
        "num_key_value_heads": shape.key_value_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.inner_width,
        "tie_word_embeddings": shape.tied_embeddings,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.rope_theta},
    }
    match shape.family:
        case "mistral":
            keys["sliding_window"] = None
        case "ministral3":
            keys["rope_parameters"] |= {
                "llama_4_scaling_beta": 0.1,
                "original_max_position_embeddings": positions,
            }
        case "qwen3_moe":
            keys |= _routing(shape, "num_experts")
            keys |= {"moe_intermediate_size": shape.width_of_expert, "norm_topk_prob": True}
        case "mixtral":
            keys |= _routing(shape, "num_local_experts")
            keys |= {"intermediate_size": shape.width_of_expert, "sliding_window": None}
        case "olmoe":
            keys |= _routing(shape, "num_experts")
            keys |= {"intermediate_size": shape.width_of_expert, "norm_topk_prob": False}
            del keys["head_dim"]
    return keys


def _routing(shape: Architecture, experts: str) -> dict[str, Any]:
    return {
        experts: shape.expert_count,
        "num_experts_per_tok": shape.active_experts,
        "router_aux_loss_coef": shape.balance_coefficient,
    }


class Parameters(NamedTuple):
    """How many parameters a model has, and how many of them a token meets (its own experts only)."""

    total: int
    active: int


def count(shape: Architecture, vocabulary_size: int) -> Parameters:
    """Parameters of a family's model, tied ones once, by arithmetic alone.

    With width D, query width A, key-value width K, inner width F, E experts of width F of which a token meets k:

        D V (1 or 2) + layers * (2 D A + 2 D K + feed-forward + norms) + D

    where the feed-forward has 3 D F weights, or E (3 D F + D) with its router.
    """
    width, head = shape.width, shape.head_dim
    queries, keys = shape.query_heads * head, shape.key_value_heads * head
    norms = 2 * width
    if shape.family in NORMS_EACH_HEAD:
        norms += 2 * head
    if shape.family in NORMS_ALL_HEADS:
        norms += queries + keys
    shared = 2 * width * (queries + keys) + norms
    around = vocabulary_size * width * (1 if shape.tied_embeddings else 2) + width
    if shape.family not in MOE:
        total = around + shape.layers * (shared + 3 * width * shape.inner_width)
        return Parameters(total, total)
    expert, router = 3 * width * shape.width_of_expert, shape.expert_count * width
    total = around + shape.layers * (shared + router + shape.expert_count * expert)
    return Parameters(total, total - shape.layers * (shape.expert_count - shape.active_experts) * expert)
