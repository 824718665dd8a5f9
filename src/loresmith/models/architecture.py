"""What a recipe says about a model's shape, and the transformers config that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from loresmith.errors import UserError
from loresmith.nearest import unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Family = Literal["qwen3", "llama", "mistral"]

GEOMETRY = ("layers", "width", "heads", "kv_heads", "head_dim", "ffn_width", "tied_embeddings", "rope_theta")
"""The fields of a family; with `model_type` the same things are said in `overrides`, by that model's own names."""


class Architecture(BaseModel):
    """A decoder's shape: a family with its geometry, or any transformers causal language model by `model_type`.

    `layers` and `width` are enough: the rest follows from them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family = Field(
        default="qwen3",
        description="Dense decoders that transformers, vLLM and llama.cpp load. qwen3 normalises queries and keys, "
        "which keeps small models stable at high learning rates.",
    )
    layers: int = Field(default=6, ge=1, description="Decoder layers.")
    width: int = Field(default=256, ge=8, description="Size of the residual stream.")
    heads: int | None = Field(default=None, ge=1, description="Query heads; width / head_dim when not given.")
    kv_heads: int | None = Field(
        default=None, ge=1, description="Key and value heads, a divisor of `heads`; as many as `heads` when not given."
    )
    head_dim: int = Field(default=64, ge=2, multiple_of=2, description="Size of one head; even, for rotary embedding.")
    ffn_width: int | None = Field(
        default=None,
        ge=1,
        description="Inner size of the gated feed-forward; when not given 8/3 of the width, to a multiple of 64.",
    )
    tied_embeddings: bool = Field(
        default=False, description="Whether the output embedding is the input embedding. Saves vocabulary x width."
    )
    rope_theta: float = Field(default=10_000.0, gt=1, description="Base of the rotary embedding's wavelengths.")
    model_type: str | None = Field(
        default=None,
        description="Any causal language model of transformers by its `model_type`, such as olmo3; it takes the "
        "place of `family`, and its geometry goes into `overrides`.",
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of the transformers config, by its own names, set last: `{hidden_act: gelu}`.",
    )

    @model_validator(mode="after")
    def _geometry_fits(self) -> Self:
        if self.model_type is not None:
            said = sorted(self.model_fields_set & {"family", *GEOMETRY})
            if said:
                raise ValueError(f"with model_type, say {', '.join(said)} in overrides, by the names of that config")
            return self
        if self.heads is None and self.width % self.head_dim:
            raise ValueError(
                f"width {self.width} is not a multiple of head_dim {self.head_dim}; "
                "choose another head_dim or give `heads`"
            )
        if self.query_heads % self.key_value_heads:
            raise ValueError(f"{self.query_heads} heads cannot share {self.key_value_heads} kv_heads evenly")
        return self

    @property
    def query_heads(self) -> int:
        return self.heads or self.width // self.head_dim

    @property
    def key_value_heads(self) -> int:
        return self.kv_heads or self.query_heads

    @property
    def inner_width(self) -> int:
        return self.ffn_width or max(64, round(self.width * 8 / 3 / 64) * 64)

    def geometry(self) -> dict[str, Any]:
        """The family's fields under the names that transformers gives them."""
        return {
            "num_hidden_layers": self.layers,
            "hidden_size": self.width,
            "num_attention_heads": self.query_heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.inner_width,
            "tie_word_embeddings": self.tied_embeddings,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            **({"sliding_window": None} if self.family == "mistral" else {}),
        }


def transformers_config(
    architecture: Architecture, *, vocabulary_size: int, positions: int, end_of_document: int | None = None
) -> PreTrainedConfig:
    """The transformers config of an architecture.

    Args:
        vocabulary_size: rows of the embedding.
        positions: the longest sequence that the model is made for.
        end_of_document: the token that ends generation.

    Raises:
        UserError: an unknown `model_type`, one that is no causal language model, or an override that the config does
            not have or does not accept.
    """
    from huggingface_hub.errors import StrictDataclassError

    from loresmith.models.offline import transformers

    causal = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    model_type = architecture.model_type or architecture.family
    if model_type not in causal:
        raise UserError(unknown_name("model_type", model_type, causal), hint="causal language models only")
    defaults = transformers.AutoConfig.for_model(model_type)
    known = {*defaults.to_dict(), *defaults.attribute_map}
    for key in architecture.overrides:
        if key not in known:
            raise UserError(unknown_name("key", key, known, inside="architecture.overrides"))
    settings: dict[str, Any] = {} if architecture.model_type else architecture.geometry()
    settings |= {"vocab_size": vocabulary_size, "max_position_embeddings": positions}
    settings |= {"bos_token_id": None, "eos_token_id": end_of_document, "pad_token_id": None}
    settings |= architecture.overrides
    try:
        config: PreTrainedConfig = transformers.AutoConfig.for_model(model_type, **settings)
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise UserError(f"transformers refuses this {model_type} config: {error}", where="architecture") from error
    return config
