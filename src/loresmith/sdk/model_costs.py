"""What the models that a recipe trains would cost, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from loresmith.errors import UserError
from loresmith.factory.plan import make_plan
from loresmith.factory.recipe import Recipe, RecipeStep, produced_by
from loresmith.ledger import Asset, Ledger
from loresmith.models.architecture import Architecture
from loresmith.models.cost import Cost
from loresmith.models.memory import Memory
from loresmith.sdk.call import Answer
from loresmith.training.loop_settings import LoopSettings

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


class ModelCosts(Answer):
    """What one step's model costs."""

    step: str = Field(description="The step's name in the recipe.")
    model_type: str = Field(description="The model's family, by transformers' name.")
    layers: int | None = Field(description="Decoder layers; null where the family does not say.")
    width: int | None = Field(description="Size of the residual stream; null where the family does not say.")
    experts: int | None = Field(description="Experts in a layer; null of a dense model.")
    experts_per_token: int | None = Field(description="Experts that a token is sent to; null of a dense model.")
    shape_from: str = Field(description="Where its shape comes from: the step's `architecture`, or its base.")
    vocabulary_size: int = Field(description="Rows of its embedding.")
    vocabulary_from: str = Field(description="Where that number comes from.")
    sequence_length: int = Field(description="Tokens in a row.")
    micro_batch_tokens: int = Field(description="Tokens that go through the model at once.")
    budget_tokens: int | None = Field(description="Tokens that the recipe trains on; null where it says `epochs`.")
    epochs: float | None = Field(description="How often it goes over its dataset, where it says that instead.")
    training_flops: float | None = Field(
        description="Floating-point operations of the whole training, a teacher's reading among them; null where its "
        "tokens are not known."
    )
    compute_type: str = Field(description="Type of number that the model computes in on this machine.")
    trained_parameters: int = Field(description="Parameters that are trained: all, or those of an adapter.")
    teacher_parameters: int | None = Field(description="All parameters of a teacher that reads beside; null without.")
    teacher_flops_per_token: int | None = Field(description="Operations of its forward pass, per token.")
    cost: Cost = Field(description="Parameters and operations.")
    memory: Memory = Field(description="Bytes at the fullest moment of the training.")


class Unknown(Answer):
    """A step whose model is not known yet."""

    step: str = Field(description="The step's name in the recipe.")
    reason: str = Field(description="What is missing.")


class RecipeModels(Answer):
    """The models that a recipe trains."""

    models: tuple[ModelCosts, ...] = Field(description="Of each step that trains one, in running order.")
    unknown: tuple[Unknown, ...] = Field(description="Steps that train a model of which too little is known.")


class NotYetKnownError(Exception):
    """What a step's model is like depends on something that is yet to be made."""


class _Number(NamedTuple):
    value: int
    source: str


class _Shape(NamedTuple):
    config: PreTrainedConfig
    source: str
    vocabulary: _Number


def describe_models(recipe: Recipe, ledger: Ledger) -> RecipeModels:
    """The cost of each model that a recipe trains, from scratch or from a base.

    Raises:
        UserError: the recipe trains none, or names an asset that is not there or not of the right kind.
    """
    steps = [step for step in recipe.steps.values() if isinstance(step.config, LoopSettings)]
    if not steps:
        raise UserError("this recipe trains no model", where=recipe.written.source)
    models, unknown = [], []
    for step in steps:
        try:
            teacher = _shape_of_input(recipe, step, "teacher", ledger) if "teacher" in step.inputs else None
            models.append(_costs(step, _shape(recipe, step, ledger), teacher))
        except NotYetKnownError as reason:
            unknown.append(Unknown(step=step.name, reason=str(reason)))
    return RecipeModels(models=tuple(models), unknown=tuple(unknown))


def _costs(step: RecipeStep, shape: _Shape, teacher: _Shape | None) -> ModelCosts:
    from loresmith.models.cost import cost_of, on_meta
    from loresmith.models.memory import memory_of
    from loresmith.models.mixture import Mixture
    from loresmith.training.device import choose_device, choose_precision
    from loresmith.training.parameter_groups import group_parameters

    settings = step.config
    assert isinstance(settings, LoopSettings)
    device = choose_device()
    dtype = choose_precision(settings.precision, device)
    model = on_meta(shape.config)
    cost = cost_of(model, settings.sequence_length)
    reads = cost_of(on_meta(teacher.config), settings.sequence_length) if teacher is not None else None
    four_bit = 0
    if settings.adapter is not None:
        from loresmith.models.adapter_quantisation import quantised_maps
        from loresmith.models.adapters import add_adapter

        if settings.adapter.quantise_base:
            four_bit = sum(linear.weight.numel() for linear in quantised_maps(model).values())
        add_adapter(model, settings.adapter, seed=0)
    memory = memory_of(
        model,
        single_moment=group_parameters(model)["matrix"] if settings.optimiser == "muon" else (),
        compute_bytes=dtype.itemsize,
        micro_batch_tokens=settings.micro_batch_tokens,
        sequence_length=settings.sequence_length,
        average=settings.average_decay > 0,
        recompute=settings.activation_checkpointing,
        keep_probabilities=device.type == "cpu",
        four_bit=four_bit,
        teacher=reads.parameters if reads is not None else 0,
    )
    mixture = Mixture.of(model)
    text = shape.config.get_text_config(decoder=True)
    # Epochs are of a dataset that nobody has rendered yet.
    budget: int | None = settings.budget_tokens
    a_token = cost.training_flops_per_token + (reads.forward_flops_per_token if reads is not None else 0)
    return ModelCosts(
        step=step.name,
        model_type=shape.config.model_type,
        layers=getattr(text, "num_hidden_layers", None),
        width=getattr(text, "hidden_size", None),
        experts=mixture.count if mixture is not None else None,
        experts_per_token=mixture.active if mixture is not None else None,
        shape_from=shape.source,
        vocabulary_size=text.vocab_size,
        vocabulary_from=shape.vocabulary.source,
        sequence_length=settings.sequence_length,
        micro_batch_tokens=settings.micro_batch_tokens,
        budget_tokens=budget,
        epochs=getattr(settings, "epochs", None),
        training_flops=None if budget is None else float(a_token) * budget,
        compute_type=str(dtype).removeprefix("torch."),
        trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        teacher_parameters=reads.parameters if reads is not None else None,
        teacher_flops_per_token=reads.forward_flops_per_token if reads is not None else None,
        cost=cost,
        memory=memory,
    )


def _shape(recipe: Recipe, step: RecipeStep, ledger: Ledger) -> _Shape:
    """The shape of the model that a step trains: that of its base, or of its `architecture`."""
    from loresmith.models.architecture import transformers_config

    if "base" in step.inputs:
        return _shape_of_input(recipe, step, "base", ledger)
    vocabulary = _vocabulary(recipe, step, ledger)
    architecture = getattr(step.config, "architecture", None) or Architecture()
    assert isinstance(step.config, LoopSettings)
    config = transformers_config(architecture, vocabulary_size=vocabulary.value, positions=step.config.sequence_length)
    return _Shape(config, "architecture", vocabulary)


def _shape_of_input(recipe: Recipe, step: RecipeStep, role: str, ledger: Ledger) -> _Shape:
    """The shape of a model that a step is given."""
    from loresmith.models.model_types import read_config

    made = produced_by(recipe, step.inputs[role], ("steps", step.name, role), "model")
    if made is not None and isinstance(recipe.steps[made[0]].config, LoopSettings):
        return _shape(recipe, recipe.steps[made[0]], ledger)._replace(source=f"its {role}, {made[0]!r}")
    asset = _made_before(recipe, *made, ledger) if made else ledger.assets.find(step.inputs[role], kind="model")
    config = read_config(ledger.assets.directory(asset.digest))
    size = int(config.get_text_config(decoder=True).vocab_size)
    return _Shape(config, f"its {role}, model {asset.digest[:12]}", _Number(size, f"its {role}"))


def _vocabulary(recipe: Recipe, step: RecipeStep, ledger: Ledger) -> _Number:
    """How many tokens the text has that a step trains on: by its `tokens`, or by the tokenizer that will make them."""
    said = getattr(step.config, "vocabulary_size", None)
    if isinstance(said, int):
        return _Number(said, f"the step {step.name!r}")
    for role in ("tokens", "tokenizer"):
        if role not in step.inputs:
            continue
        kind = step.step.inputs[role].kind
        made = produced_by(recipe, step.inputs[role], ("steps", step.name, role), kind)
        if made is not None:
            maker = recipe.steps[made[0]]
            if hasattr(maker.config, "vocabulary_size") or not {"tokens", "tokenizer"}.isdisjoint(maker.inputs):
                return _vocabulary(recipe, maker, ledger)
            asset = _made_before(recipe, *made, ledger)
        else:
            asset = ledger.assets.find(step.inputs[role], kind=kind)
        size = asset.metadata.get("vocabulary_size")
        if isinstance(size, int):
            return _Number(size, f"{kind} {asset.digest[:12]}")
    raise NotYetKnownError(f"nothing says how many tokens the step {step.name!r} knows")


def _made_before(recipe: Recipe, step: str, output: str, ledger: Ledger) -> Asset:
    """What a step of the recipe made in an earlier run, if the ledger has it under the present settings."""
    try:
        planned = {planned.name: planned for planned in make_plan(recipe, ledger).steps}
    except UserError as error:
        raise NotYetKnownError(f"the recipe has yet to be planned: {error}") from error
    digest = planned[step].outputs.get(output)
    if digest is None:
        kind = recipe.steps[step].step.outputs[output].kind
        raise NotYetKnownError(f"its {kind} is yet to be made, by the step {step!r}")
    return ledger.assets.get(digest)
