"""Layers that are divided among processes: tensor and expert parallelism, by transformers' own plans for its families.

Tensor parallelism (Shoeybi et al., Megatron-LM, 2019): every process has a part of each matrix and computes with it for
the same rows; what the parts give is added up twice a layer. Expert parallelism (Lepikhin et al., GShard, 2020): every
process has its own rows and some of the experts; tokens are sent to where their experts are, and back.

The parts are never put together, so that a layer may be larger than a process's memory. What has no plan is whole in
every process; its gradients are the same everywhere under tensor parallelism, and summed under expert parallelism.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from loresmith.errors import UserError
from loresmith.models.mixture import has_experts

if TYPE_CHECKING:
    from loresmith.training.ranks import Ranks

Undo = Callable[[], None]


def divide_tensors(model: Any, ranks: Ranks) -> Undo:
    """Divide the matrices of a model's layers, in place; all processes call this.

    Returns:
        What takes the modules' ways of computing back, once their tensors are whole again.

    Raises:
        UserError: the family has no plan, its heads cannot be divided so, or it has what no plan is known to hold for.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from transformers.distributed.configuration_utils import DistributedConfig
    from transformers.distributed.tensor_parallel import apply_tensor_parallelism

    config = model.config.get_text_config(decoder=True)
    _require_no_adapter(model, "tensor_parallel")
    if any(map(has_experts, model.modules())):
        raise UserError("tensor_parallel does not divide mixtures of experts", hint="use expert_parallel for them")
    if float(getattr(config, "attention_dropout", 0.0) or 0.0):
        raise UserError("tensor_parallel with attention_dropout would drop the same in every part of the heads")
    for name in ("num_attention_heads", "num_key_value_heads"):
        if (heads := getattr(config, name, ranks.world)) % ranks.world:
            raise UserError(f"tensor_parallel {ranks.world} does not divide the model's {name}, {heads}")
    plan, _, _ = _plans(model, DistributedConfig(tp_size=ranks.world), "tensor_parallel")
    # A tied output embedding is no parameter of its own, though the plan has a rule for it.
    known = {name for name, _ in (*model.named_modules(), *model.named_parameters())}
    plan = {name: style for name, style in plan.items() if name in known}
    undo = _remember(model)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head is not None and head.weight is embedding.weight
    mesh = init_device_mesh(model.device.type, (ranks.world,), mesh_dim_names=("tp",))
    apply_tensor_parallelism(model, mesh, plan)
    if tied:
        head.weight = embedding.weight
    return undo


def divide_experts(model: Any, ranks: Ranks) -> Undo:
    """Give each process its share of the experts, in place; all processes call this.

    Returns:
        As `divide_tensors`.

    Raises:
        UserError: there are no experts, not so many that each process has as many, or the family has no plan.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from transformers.distributed.configuration_utils import DistributedConfig
    from transformers.distributed.expert_parallel import apply_expert_parallelism

    _require_no_adapter(model, "expert_parallel")
    mixtures: list[Any] = [module for module in model.modules() if has_experts(module)]
    if not mixtures:
        raise UserError("expert_parallel needs a mixture of experts, and this model is none")
    if any(module.num_experts % ranks.world for module in mixtures):
        raise UserError(f"expert_parallel {ranks.world} does not divide {mixtures[0].num_experts} experts")
    settings = DistributedConfig(fsdp_size=ranks.world, ep_size=ranks.world)
    _, plan, _ = _plans(model, settings, "expert_parallel")
    undo = _remember(model)
    mesh = init_device_mesh(model.device.type, (ranks.world, 1), mesh_dim_names=("ep", "tp"))
    apply_expert_parallelism(model, mesh["ep"], mesh["tp"], plan, ep_implementation="all_to_all")
    return undo


def _plans(model: Any, settings: Any, what: str) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    try:
        plans: tuple[dict[str, str], dict[str, str], dict[str, str]] = model._resolve_parallel_plans(settings)
    except ValueError as error:
        raise UserError(f"transformers has no {what} plan for {type(model).__name__}: {error}") from None
    return plans


def _require_no_adapter(model: nn.Module, what: str) -> None:
    if any(not parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"{what} with an adapter is not supported: transformers' plans do not know its matrices")


def _remember(model: nn.Module) -> Undo:
    """What the plans change in modules beside their parameters: how they compute, and how many experts they have."""
    names = ("forward", "num_experts", "_is_expert_parallel", "_is_hooked")
    before = [
        (module, {name: vars(module)[name] for name in names if name in vars(module)}) for module in model.modules()
    ]

    def undo() -> None:
        for module, attributes in before:
            for name in names:
                vars(module).pop(name, None)
            vars(module).update(attributes)

    return undo
