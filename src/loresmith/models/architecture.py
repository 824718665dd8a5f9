"""What a recipe says about a model's shape, and the transformers config that follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from loresmith.errors import UserError
from loresmith.models import families
from loresmith.models.families import Family
from loresmith.models.presets import PRESETS
from loresmith.nearest import unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

EXPERT_FIELDS = ("experts", "experts_per_token", "expert_width", "router_balance")
GEOMETRY = (
    *("layers", "width", "heads", "kv_heads", "head_dim", "ffn_width", "tied_embeddings", "rope_theta"),
    *EXPERT_FIELDS,
)
"""The fields of a family; with `model_type` the same things are said in `overrides`, by that model's own names."""


def _known_preset(name: str | None) -> str | None:
    if name is not None and name not in PRESETS:
        raise ValueError(unknown_name("preset", name, PRESETS))
    return name


class Architecture(BaseModel):
    """A decoder's shape: a family with its geometry, or any causal language model of transformers by `model_type`.

    `layers` and `width` are enough: the rest follows from them. So is a `preset`, which is replaced by the keys that
    it stands for: a recipe that spells them out has the same architecture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Annotated[str | None, AfterValidator(_known_preset)] = Field(
        default=None,
        description="A named size, such as qwen3-12m; the other keys override it. `loresmith models presets` has all.",
    )
    family: Family = Field(
        default="qwen3",
        description="Decoders that transformers, vLLM and llama.cpp load: dense ones, and the mixtures of experts "
        "qwen3_moe, mixtral and olmoe. qwen3 and qwen3_moe normalise queries and keys, which keeps small models stable "
        "at high learning rates.",
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
        description="Inner size of the gated feed-forward of a dense family; when not given 8/3 of the width, to a "
        "multiple of 64.",
    )
    experts: int | None = Field(
        default=None, ge=2, description="Experts in each layer of a mixture of experts; 8 when not given."
    )
    experts_per_token: int | None = Field(
        default=None, ge=1, description="Experts that a token is sent to, of a mixture of experts; 2 when not given."
    )
    expert_width: int | None = Field(
        default=None,
        ge=8,
        multiple_of=8,
        description="Inner size of one expert, for grouped matrix products a multiple of 8; when not given, a token's "
        "experts are together as wide as the feed-forward of a dense family.",
    )
    router_balance: float | None = Field(
        default=None,
        ge=0,
        description="Weight of the loss that keeps the experts of a mixture evenly used (Fedus et al. 2021, equation "
        "4); 0.01 when not given, as there.",
    )
    tied_embeddings: bool = Field(
        default=False, description="Whether the output embedding is the input embedding. Saves vocabulary x width."
    )
    rope_theta: float = Field(default=10_000.0, gt=1, description="Base of the rotary embedding's wavelengths.")
    model_type: str | None = Field(
        default=None,
        description="Any causal language model of transformers by its `model_type`, such as olmo3, or of an installed "
        "package; it takes the place of `family`, and its geometry goes into `overrides`.",
    )
    provided_by: str | None = Field(
        default=None,
        description="The package and version that a model type comes from, where that is not transformers; filled in, "
        "so that another version is another model.",
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of the transformers config, by its own names, set last: `{hidden_act: gelu}`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _spell_out_preset(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("preset") not in PRESETS:
            return data
        if data.get("model_type") is not None:
            raise ValueError("a preset is the size of a family; leave out the preset, or the model_type")
        said = {key: value for key, value in data.items() if key != "preset"}
        return {**PRESETS[data["preset"]].geometry, **said}

    @model_validator(mode="before")
    @classmethod
    def _name_provider(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("model_type"), str):
            return data
        from loresmith.models.model_types import provider

        installed, said = provider(data["model_type"]), data.get("provided_by")
        if said is not None and said != installed:
            raise ValueError(f"{data['model_type']} of {said} was meant, and {installed or 'transformers'} provides it")
        return {**data, "provided_by": installed}

    @model_validator(mode="after")
    def _geometry_fits(self) -> Self:
        if self.model_type is not None:
            if said := self._beyond_defaults(("family", *GEOMETRY)):
                raise ValueError(f"with model_type, say {', '.join(said)} in overrides, by the names of that config")
            return self
        if self.heads is None and self.width % self.head_dim:
            raise ValueError(
                f"width {self.width} is not a multiple of head_dim {self.head_dim}; "
                "choose another head_dim or give `heads`"
            )
        if self.query_heads % self.key_value_heads:
            raise ValueError(f"{self.query_heads} heads cannot share {self.key_value_heads} kv_heads evenly")
        if self.mixes_experts:
            self._experts_fit()
        elif said := self._beyond_defaults(EXPERT_FIELDS):
            raise ValueError(f"{self.family} is dense and has no {', '.join(said)}; see {', '.join(families.MOE)}")
        return self

    def _experts_fit(self) -> None:
        if self.ffn_width is not None:
            raise ValueError(f"{self.family} is a mixture of experts: say expert_width, not ffn_width")
        if self.active_experts > self.expert_count:
            raise ValueError(f"experts_per_token {self.active_experts} is more than the {self.expert_count} experts")
        if self.width % 8:
            raise ValueError(f"width {self.width} of a mixture of experts is not a multiple of 8")
        if self.family == "olmoe" and self.query_heads * self.head_dim != self.width:
            raise ValueError(f"olmoe's heads fill the width: {self.query_heads} x {self.head_dim} is not {self.width}")

    @model_validator(mode="after")
    def _transformers_accepts(self) -> Self:
        """transformers is asked only where its own names are used: importing it takes seconds."""
        if self.model_type is not None or self.overrides:
            refused = [
                InitErrorDetails(type=PydanticCustomError("value_error", "{what}", {"what": what}), loc=at, input=None)
                for at, what in self._refusals()
            ]
            if refused:
                raise ValidationError.from_exception_data("Architecture", refused)
        return self

    def _refusals(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """What transformers has against this architecture, and the keys that it is about."""
        from loresmith.models.model_types import default_config, known_keys

        model_type = self.model_type or self.family
        try:
            known = known_keys(default_config(model_type))
        except UserError as error:
            yield ("model_type",), error.what
            return
        unknown = [key for key in self.overrides if key not in known]
        for key in unknown:
            yield ("overrides", key), unknown_name("key", key, known, inside=f"the config of {model_type}")
        if not unknown:
            try:
                transformers_config(self, vocabulary_size=2**20, positions=2**20)
            except UserError as error:
                yield ("overrides",), error.what

    def _beyond_defaults(self, fields: tuple[str, ...]) -> list[str]:
        """Those of the fields that say something: a config that was written out whole says all of its defaults."""
        return [name for name in fields if getattr(self, name) != type(self).model_fields[name].default]

    @property
    def mixes_experts(self) -> bool:
        """Whether the family is a mixture of experts; of a `model_type` only transformers knows."""
        return self.family in families.MOE

    @property
    def query_heads(self) -> int:
        return self.heads or self.width // self.head_dim

    @property
    def key_value_heads(self) -> int:
        return self.kv_heads or self.query_heads

    @property
    def inner_width(self) -> int:
        return self.ffn_width or max(64, round(self.width * 8 / 3 / 64) * 64)

    @property
    def expert_count(self) -> int:
        return self.experts or 8

    @property
    def active_experts(self) -> int:
        return self.experts_per_token or 2

    @property
    def width_of_expert(self) -> int:
        return self.expert_width or max(8, self.inner_width // self.active_experts // 8 * 8)

    @property
    def balance_coefficient(self) -> float:
        return 0.01 if self.router_balance is None else self.router_balance


def transformers_config(
    architecture: Architecture, *, vocabulary_size: int, positions: int, end_of_document: int | None = None
) -> PreTrainedConfig:
    """The transformers config of an architecture.

    Args:
        vocabulary_size: rows of the embedding.
        positions: the longest sequence that the model is made for.
        end_of_document: the token that ends generation.

    Raises:
        UserError: transformers does not accept an override.
    """
    from huggingface_hub.errors import StrictDataclassError

    from loresmith.models.model_types import default_config, known_keys
    from loresmith.models.offline import transformers

    model_type = architecture.model_type or architecture.family
    settings = {} if architecture.model_type else families.transformers_keys(architecture, positions)
    settings |= {"vocab_size": vocabulary_size}
    settings |= {"bos_token_id": None, "eos_token_id": end_of_document, "pad_token_id": None}
    if "max_position_embeddings" in known_keys(default_config(model_type)):
        settings["max_position_embeddings"] = positions
    settings |= architecture.overrides
    try:
        config: PreTrainedConfig = transformers.AutoConfig.for_model(model_type, **settings)
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise UserError(f"transformers refuses this {model_type} config: {error}", where="architecture") from error
    return config
