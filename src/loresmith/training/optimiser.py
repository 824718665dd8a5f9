"""The optimiser: Muon on matrices, AdamW on the rest, over fp32 masters of weights that compute in another type.

Muon: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024), as `torch.optim.Muon`, with the
update scaled by sqrt(max(1, rows / columns)). AdamW: Loshchilov and Hutter (2019), as `torch.optim.AdamW`.

Compute weights in bf16 have too few digits to collect small updates. So each parameter has an fp32 master, which the
optimisers see; gradients are summed into it in fp32 over micro-batches, and after the step it is rounded back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from loresmith.training.settings import OptimiserSettings

STATE_SEPARATOR = "//"


class Optimiser:
    """Steps a model's parameters.

    Args:
        model: a transformers causal language model in fp32; its parameters are in `dtype` afterwards (its buffers,
            such as rotary frequencies, stay as they are).
        settings: learning rates and the like.
        dtype: type that the model computes in.

    Attributes:
        masters: parameter name -> fp32 tensor. Where `dtype` is fp32, the parameters themselves.
    """

    def __init__(self, model: nn.Module, settings: OptimiserSettings, dtype: torch.dtype) -> None:
        self.settings = settings
        self._parameters: dict[str, nn.Parameter] = dict(model.named_parameters())
        self.masters: dict[str, Tensor] = {}
        for name, parameter in self._parameters.items():
            if dtype == torch.float32:
                self.masters[name] = parameter
            else:
                self.masters[name] = parameter.detach().clone()
                parameter.data = parameter.data.to(dtype)
        self._optimisers = self._make(group_parameters(model))
        self._peaks = [[group["lr"] for group in optimiser.param_groups] for optimiser in self._optimisers]

    def _make(self, groups: Mapping[str, list[str]]) -> list[torch.optim.Optimizer]:
        settings, masters = self.settings, self.masters
        rates = {
            "embedding": (settings.embedding_learning_rate, settings.embedding_weight_decay),
            "head": (settings.head_learning_rate, settings.embedding_weight_decay),
            "other": (settings.other_learning_rate, 0.0),
        }
        optimisers: list[torch.optim.Optimizer] = []
        if groups["matrix"]:
            optimisers.append(
                torch.optim.Muon(
                    [masters[name] for name in groups["matrix"]],
                    lr=settings.matrix_learning_rate,
                    weight_decay=settings.matrix_weight_decay,
                    momentum=settings.momentum,
                    ns_steps=settings.newton_schulz_steps,
                )
            )
        adam = [
            {"params": [masters[name] for name in groups[group]], "lr": rate, "weight_decay": decay}
            for group, (rate, decay) in rates.items()
            if groups[group]
        ]
        betas = (settings.adam_beta1, settings.adam_beta2)
        optimisers.append(torch.optim.AdamW(adam, betas=betas, eps=1e-10, fused=True))
        return optimisers

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

    def clip(self) -> float:
        """Scale the collected gradient to the largest norm allowed; returns its norm before."""
        return float(nn.utils.clip_grad_norm_(list(self.masters.values()), self.settings.gradient_clip))

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Update the weights with every learning rate times `factor`, and clear the gradients."""
        for optimiser, peaks in zip(self._optimisers, self._peaks, strict=True):
            for group, peak in zip(optimiser.param_groups, peaks, strict=True):
                group["lr"] = peak * factor
            optimiser.step()
            optimiser.zero_grad()
        for name, parameter in self._parameters.items():
            if self.masters[name] is not parameter:
                parameter.copy_(self.masters[name])

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on besides the masters: `name//key` -> tensor."""
        return {
            f"{name}{STATE_SEPARATOR}{key}": value
            for name, state in self._states()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }

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
            self._parameters[name].copy_(master)
        restored: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            name, _, part = key.rpartition(STATE_SEPARATOR)
            restored.setdefault(name, {})[part] = value.clone()
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                for master in group["params"]:
                    name = self._names[master]
                    if name in restored:
                        optimiser.state[master] = restored[name]

    @property
    def _names(self) -> dict[Tensor, str]:
        return {master: name for name, master in self.masters.items()}

    def _states(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        names = self._names
        for optimiser in self._optimisers:
            for master, state in optimiser.state.items():
                yield names[master], state


def group_parameters(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters that are trained alike: `matrix`, `embedding`, `head` and `other`.

    A matrix is the weight of a linear map that is not the output embedding; a tied embedding is an `embedding`.
    """
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    output = getattr(model, "get_output_embeddings", lambda: None)()
    head = id(output.weight) if isinstance(output, nn.Linear) else None
    linear = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    groups: dict[str, list[str]] = {"matrix": [], "embedding": [], "head": [], "other": []}
    for name, parameter in model.named_parameters():
        if id(parameter) in embeddings:
            groups["embedding"].append(name)
        elif id(parameter) == head:
            groups["head"].append(name)
        elif id(parameter) in linear:
            groups["matrix"].append(name)
        else:
            groups["other"].append(name)
    return groups
