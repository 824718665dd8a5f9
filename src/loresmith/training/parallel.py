"""Several processes train one model: how they find one another, and how its weights are divided among them.

FSDP2 (`fully_shard`; Zhao et al., PyTorch FSDP, 2023): every process holds a part of each tensor, in fp32, and those
parts are the masters. A decoder layer's tensors are put together, in the type that the model computes in, when the
layer is about to be used, and let go after it; gradients are summed in fp32 and each process keeps those of its part.
Or the layers themselves are divided: see `loresmith.training.model_parallel`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from loresmith.errors import UserError
from loresmith.models.adapters import is_adapter_parameter
from loresmith.training.divided import whole
from loresmith.training.model_parallel import divide_experts, divide_tensors
from loresmith.training.ranks import Ranks

if TYPE_CHECKING:
    from loresmith.training.predictor import Predictor


@contextmanager
def joined_ranks() -> Iterator[None]:
    """Join the other processes of a training for as long as the block lasts, where torchrun has started several.

    Every process has its own GPU where there are any (NCCL), otherwise its part of the processor's threads (gloo). At
    the end of the block all wait for one another, so that none ends while another still needs it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl")
    else:
        torch.distributed.init_process_group("gloo")
    yield
    torch.distributed.barrier()


class Division(NamedTuple):
    """How a model is divided among processes.

    Attributes:
        ranks: all of them.
        tensor_parallel: processes among which each matrix is divided; all of them, or 1.
        expert_parallel: the same of experts.
    """

    ranks: Ranks
    tensor_parallel: int = 1
    expert_parallel: int = 1

    @property
    def row_ranks(self) -> Ranks:
        """The processes among which the rows of a batch are divided, as this one sees them."""
        return Ranks() if self.tensor_parallel > 1 else self.ranks

    @property
    def sums_gradients(self) -> bool:
        """Whether the optimiser is to sum the gradients of what every process has whole."""
        return self.expert_parallel > 1

    @property
    def masters_apart(self) -> bool:
        """Whether each micro-batch must find its parameters without a gradient: transformers' plans sum, over the
        processes, all that a norm within a divided layer has collected, and would sum what they summed before."""
        return self.tensor_parallel > 1

    def require_sense(self) -> None:
        """Raise UserError for what cannot be combined."""
        for name in ("tensor_parallel", "expert_parallel"):
            if getattr(self, name) not in (1, self.ranks.world):
                raise UserError(
                    f"{name} {getattr(self, name)} is neither 1 nor the number of processes, {self.ranks.world}",
                    hint="dividing layers and weights at once is not supported: choose one of them",
                )
        if self.tensor_parallel > 1 and self.expert_parallel > 1:
            raise UserError("tensor_parallel and expert_parallel cannot be combined", hint="choose one of them")


def divide(predictor: Predictor, dtype: torch.dtype, division: Division) -> torch.dtype:
    """Divide a model's tensors among the processes; in place, and all of them call this.

    Args:
        predictor: the same in all processes, in fp32; what is divided of its parameters are DTensors afterwards.
        dtype: type that the model computes in.

    Returns:
        The type in which the optimiser is to leave the parameters.

    Raises:
        UserError: this model cannot be divided so.
    """
    division.require_sense()
    if division.ranks.world == 1:
        return dtype
    if division.tensor_parallel > 1:
        predictor.undo = divide_tensors(predictor.model, division.ranks)
        return dtype
    if division.expert_parallel > 1:
        predictor.undo = divide_experts(predictor.model, division.ranks)
        return dtype
    _divide_fully(predictor, dtype, division.ranks)
    return torch.float32  # of the parts, which are the masters


def _divide_fully(predictor: Predictor, dtype: torch.dtype, ranks: Ranks) -> None:
    """Every tensor of every layer, and those outside them.

    The whole predictor is the root, so that its output embedding is whole when it is handed out with the hidden states.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(predictor.model.device.type, (ranks.world,), mesh_dim_names=("fsdp",))
    # Inputs are ids, and masks made in the right type: the least fp32 number, cast to bf16, would be infinite.
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for layer in decoder_layers(predictor.model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(predictor, mesh=mesh, mp_policy=policy)
    predictor.computes_in = dtype
    for module in predictor.modules():
        if isinstance(module, FSDPModule):
            # The loop divides by the weight of the whole batch: gradients are to be summed, not averaged.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def decoder_layers(model: Any) -> list[nn.Module]:
    """The layers of a causal language model; its backbone as a single one where they are not in a list."""
    layers = getattr(model.base_model, "layers", None)
    return list(layers) if isinstance(layers, nn.ModuleList) else [model.base_model]


@contextmanager
def put_together(predictor: nn.Module) -> Iterator[None]:
    """Have the tensors outside the layers whole, so that parts of the model can be called by themselves.

    And let go of them at the end: what was put together is not put together anew when weights have changed since.
    """
    from torch.distributed.fsdp import FSDPModule

    divided = isinstance(predictor, FSDPModule)
    if isinstance(predictor, FSDPModule):
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # the optimiser works on another stream than the one that gathers
        predictor.unshard()
    try:
        yield
    finally:
        if divided:
            for module in predictor.modules():
                if isinstance(module, FSDPModule):
                    module.reshard()


@torch.no_grad()
def gather(predictor: Predictor, dtype: torch.dtype, ranks: Ranks) -> None:
    """Undo `divide`, after the last step: the first process has the whole model again, in the type that it computes in.

    The others are left with their parts, and can only end. All of them call this; where nothing is divided it does
    nothing.

    Args:
        dtype: type that the model computes in; an adapter keeps its digits.
    """
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor

    for module in predictor.modules():
        if isinstance(module, FSDPModule):
            state = module._get_fsdp_state()
            for hook in (state._pre_forward_hook_handle, state._post_forward_hook_handle):
                hook.remove()
            module.reshard()
            module.__class__ = type(module).__bases__[1]  # `fully_shard` made a subclass of the module's own
    gathered: dict[Tensor, Tensor] = {}
    for prefix, module in predictor.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(parameter, DTensor):
                if parameter not in gathered:  # tied ones stay tied
                    kept = torch.float32 if is_adapter_parameter(f"{prefix}.{name}") else dtype
                    full = whole(parameter.detach()).to(kept)
                    gathered[parameter] = nn.Parameter(full, parameter.requires_grad) if ranks.first else parameter
                setattr(module, name, gathered[parameter])
    if predictor.undo is not None:
        predictor.undo()
    if ranks.first:
        predictor.computes_in = None
