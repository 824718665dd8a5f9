"""The optimiser: Muon on matrices, AdamW on the rest, over fp32 masters of weights that compute in another type.

Muon: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024), with the update scaled by
sqrt(max(1, rows / columns)); see `loresmith.training.muon`. AdamW: Loshchilov and Hutter (2019), as
`torch.optim.AdamW`.

Compute weights in bf16 have too few digits to collect small updates. So each parameter has an fp32 master, which the
optimisers see; gradients are summed into it in fp32 over micro-batches, and after the step it is rounded back.

Learning rates hold across widths. Muon's update has the same spectral norm at any width, so its rate needs no change;
AdamW's on matrices and on the output embedding goes with 1 / fan_in, and on embeddings and vectors it stays (Yang et
al., Tensor Programs V, 2022, table 8). Rates are as written at a fan_in of `reference_width`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from loresmith.training.divided import norm_of_all, own_part, whole
from loresmith.training.muon import Muon
from loresmith.training.parameter_groups import Group, group_parameters, transposed_matrices
from loresmith.training.settings import OptimiserSettings
from loresmith.training.tensor_files import SEPARATOR

AVERAGE = "average"
UPDATES = "updates"


class Optimiser:
    """Steps a model's parameters, those that require a gradient.

    Args:
        model: a transformers causal language model in fp32; its trained parameters are in `dtype` afterwards, and so
            are the others (its buffers, such as rotary frequencies, stay as they are).
        settings: learning rates and the like.
        dtype: type that the model computes in.
        sums_gradients: whether other processes have gradients of their own of the parameters that are not divided.
        masters_apart: whether parameters in fp32 are to have masters beside them, too.

    Attributes:
        masters: parameter name -> fp32 tensor. Where `dtype` is fp32, the parameters themselves.
        averages: exponential moving averages of the masters, where the settings ask for them.
        updates: how many steps were made.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: OptimiserSettings,
        dtype: torch.dtype,
        sums_gradients: bool = False,
        masters_apart: bool = False,
    ) -> None:
        self.settings = settings
        self._sums_gradients = sums_gradients
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.masters: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                own = masters_apart or dtype != torch.float32
                self.masters[name] = parameter.detach().clone() if own else parameter
            if parameter.is_floating_point() and parameter.dtype != dtype:
                parameter.data = parameter.data.to(dtype)
        self.averages = {n: m.detach().clone() for n, m in self.masters.items()} if settings.average_decay else {}
        self.updates = 0
        self._optimisers = self._make(group_parameters(model), transposed_matrices(model))
        self._peaks = [[group["lr"] for group in optimiser.param_groups] for optimiser in self._optimisers]

    @property
    def shown_learning_rate(self) -> float:
        """The peak rate by which a curve shows the schedule: of the first group, which has the most weights."""
        return float(self._peaks[0][0])

    def _make(self, groups: Mapping[Group, list[str]], transposed: frozenset[str]) -> list[torch.optim.Optimizer]:
        settings = self.settings
        optimisers: list[torch.optim.Optimizer] = []
        matrices = groups["matrix"] if settings.optimiser == "muon" else []
        if matrices:
            ways = {way: [self.masters[n] for n in matrices if (n in transposed) == way] for way in (False, True)}
            optimisers.append(
                Muon(
                    [{"params": params, "transposed": way} for way, params in ways.items() if params],
                    lr=settings.matrix_learning_rate,
                    weight_decay=settings.matrix_weight_decay,
                    momentum=settings.momentum,
                    ns_steps=settings.newton_schulz_steps,
                )
            )
        rates: dict[Group, tuple[float, float]] = {
            "matrix": (settings.adamw_matrix_learning_rate, settings.matrix_weight_decay),
            "embedding": (settings.embedding_learning_rate, settings.embedding_weight_decay),
            "head": (settings.head_learning_rate, settings.embedding_weight_decay),
            "adapter": (settings.adapter_learning_rate, 0.0),
            "other": (settings.other_learning_rate, 0.0),
        }
        # What is divided and what is whole cannot be stepped in one call.
        alike: dict[tuple[float, float, bool], list[Tensor]] = {}
        for group, (rate, decay) in rates.items():
            for name in groups[group]:
                if name not in matrices:
                    master = self.masters[name]
                    key = (
                        rate * self._width_factor(group, master, name in transposed),
                        decay,
                        isinstance(master, DTensor),
                    )
                    alike.setdefault(key, []).append(master)
        adam = [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay, _), params in alike.items()]
        if adam:
            betas = (settings.adam_beta1, settings.adam_beta2)
            optimisers.append(torch.optim.AdamW(adam, betas=betas, eps=settings.adam_epsilon, fused=True))
        return optimisers

    def _width_factor(self, group: Group, master: Tensor, transposed: bool) -> float:
        """AdamW's rate at this fan_in, of its rate at the reference width."""
        reference = self.settings.reference_width
        fan_in = master.shape[-2 if transposed else -1]
        return reference / fan_in if reference and group in ("matrix", "head") else 1.0

    @torch.no_grad()
    def collect(self) -> None:
        """Add the gradients of a micro-batch to those of the masters, and clear them."""
        for name, parameter in self._parameters.items():
            master = self.masters[name]
            if master is parameter or parameter.grad is None:
                continue
            if master.grad is None:
                master.grad = parameter.grad.float()
            else:
                master.grad.add_(parameter.grad)
            parameter.grad = None

    def scale(self, factor: float) -> None:
        """Multiply the gradient collected so far."""
        gradients = [own_part(master.grad) for master in self.masters.values() if master.grad is not None]
        torch._foreach_mul_(gradients, factor)

    def clip(self) -> float:
        """Scale the collected gradient to the largest norm allowed; returns its norm before."""
        if self._sums_gradients:
            for master in self.masters.values():
                if not isinstance(master, DTensor):
                    master.grad = torch.zeros_like(master) if master.grad is None else master.grad
                    torch.distributed.all_reduce(master.grad)
        gradients = [master.grad for master in self.masters.values() if master.grad is not None]
        norm = norm_of_all(gradients)
        if self.settings.gradient_clip < norm < math.inf:
            torch._foreach_mul_([own_part(gradient) for gradient in gradients], self.settings.gradient_clip / norm)
        return norm

    def not_finite(self) -> list[str]:
        """Names of the parameters whose collected gradient holds NaN or infinity."""
        gradients = {name: master.grad for name, master in self.masters.items() if master.grad is not None}
        return [name for name, gradient in gradients.items() if not bool(torch.isfinite(whole(gradient)).all())]

    def forget(self) -> None:
        """Clear the collected gradient."""
        for master in self.masters.values():
            master.grad = None

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update the weights with every learning rate times `factor`, and clear the gradients."""
        for optimiser, peaks in zip(self._optimisers, self._peaks, strict=True):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            optimiser.step()
            optimiser.zero_grad()
        self.forget()
        self._round()
        self.updates += 1
        # A young average forgets faster, or it would be of the initial weights for long.
        decay = min(self.settings.average_decay, (1 + self.updates) / (10 + self.updates))
        for name, average in self.averages.items():
            average.lerp_(self.masters[name], 1 - decay)

    @torch.no_grad()
    def use_averages(self) -> None:
        """Put the averages in the place of the weights, at the end of a training that keeps them."""
        for name, average in self.averages.items():
            self.masters[name].copy_(average)
        self._round()

    def _round(self) -> None:
        """The masters into the parameters that the model computes with."""
        for name, parameter in self._parameters.items():
            if self.masters[name] is not parameter:
                parameter.copy_(self.masters[name])

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on besides the masters: `name//key` -> tensor."""
        state = {
            f"{name}{SEPARATOR}{key}": value
            for name, state in self._states()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }
        state |= {f"{name}{SEPARATOR}{AVERAGE}": average for name, average in self.averages.items()}
        return state | {f"{SEPARATOR}{UPDATES}": torch.tensor(self.updates)}

    @torch.no_grad()
    def load(self, masters: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
        """Go on from what `masters` and `state()` held.

        Raises:
            KeyError: a parameter is missing, or its shape is another.
        """
        for name, master in self.masters.items():
            if masters[name].shape != master.shape:
                raise KeyError(f"{name} has shape {tuple(masters[name].shape)}, not {tuple(master.shape)}")
            master.copy_(masters[name])
        self._round()
        restored: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, _, part = key.rpartition(SEPARATOR)
            if part == AVERAGE:
                self.averages[name].copy_(value)
            elif part == UPDATES:
                self.updates = int(value)
            else:
                restored.setdefault(name, {})[part] = value.clone()
        names = self._names
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                for stepped in group["params"]:
                    if names[stepped] in restored:
                        state_of = restored[names[stepped]]
                        optimiser.state[stepped] = {part: value.to(stepped.device) for part, value in state_of.items()}

    @property
    def _names(self) -> dict[Tensor, str]:
        return {master: name for name, master in self.masters.items()}

    def _states(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        names = self._names
        for optimiser in self._optimisers:
            for stepped, state in optimiser.state.items():
                yield names[stepped], state
