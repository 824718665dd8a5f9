"""A model from its config, with weights that depend on the seed and on nothing else."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import torch

from loresmith.models.linear_maps import LINEAR_MAPS, inputs_of
from loresmith.models.mixture import Mixture
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

INPUT_EMBEDDING_STD = 0.02
RESIDUAL_OUTPUTS = ("o_proj", "down_proj", "fc2", "c_proj", "dense_4h_to_h", "out_proj", "wo", "w2", "output_linear")
"""Names of the matrices that write into the residual stream, in the families of transformers."""


def build_model(config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """A causal language model in fp32 on the CPU, initialised by `initialise`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_subseed(seed, "transformers"))
        model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    initialise(model, seed)
    return model


@torch.no_grad()
def initialise(model: PreTrainedModel, seed: int) -> None:
    """Set the weights before training.

    | parameter                                        | value                                                      |
    |--------------------------------------------------|------------------------------------------------------------|
    | input embedding (V x D)                          | normal, std 0.02                                           |
    | output embedding (V x D), where it is not tied   | zero: the first loss is ln V, the first gradients are even |
    | matrices that write into the residual stream     | normal, std 0.5 / sqrt(fan_in) / sqrt(2 layers), so that   |
    | (`RESIDUAL_OUTPUTS`)                             | the stream's variance does not grow with depth             |
    | every other matrix of a linear map               | normal, std 1 / sqrt(fan_in)                               |
    | experts that lie in one tensor (E x out x in,    | each expert as the matrices above, by the same rule; the   |
    | or E x in x out)                                 | fan_in is the inputs of one expert                         |
    | routers (E x D)                                  | normal, std sqrt(0.1 / fan_in): all experts are about as   |
    |                                                  | likely, and no two tokens choose alike (Fedus et al.,      |
    |                                                  | Switch Transformers, 2021, section 2.4)                    |
    | biases of linear maps, experts and routers       | zero                                                       |
    | the rest (norms, convolutions, other families'   | as transformers initialises it, under the same seed        |
    | gates)                                           |                                                            |

    Each parameter draws from a generator keyed by the seed and its own name, so that its values do not depend on the
    parameters before it.
    """
    layers = int(getattr(model.config, "num_hidden_layers", 1))
    residual = 0.5 / math.sqrt(2 * layers)
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    mixture = Mixture.of(model)
    for name, module in model.named_modules():
        if module is embedding:
            _normal(embedding.weight, INPUT_EMBEDDING_STD, seed, name)
        elif module is head:
            if head.weight is not embedding.weight:
                head.weight.zero_()
        elif mixture is not None and name in mixture.routers:
            _normal(module.weight, math.sqrt(0.1 / module.weight.shape[-1]), seed, name)
            _zero(getattr(module, "bias", None))
        elif isinstance(module, LINEAR_MAPS):
            gain = residual if name.rpartition(".")[2] in RESIDUAL_OUTPUTS else 1.0
            linear: Any = module
            _normal(linear.weight, gain / math.sqrt(inputs_of(linear)), seed, name)
            _zero(linear.bias)
    for name, experts in (mixture.experts if mixture is not None else {}).items():
        part = name.rpartition(".")[2]
        if experts.fan_in is None:
            _zero(experts.parameter)
        else:
            gain = residual if part in RESIDUAL_OUTPUTS else 1.0
            _normal(experts.parameter, gain / math.sqrt(experts.fan_in), seed, name)


def _normal(weight: torch.Tensor, std: float, seed: int, name: str) -> None:
    generator = torch.Generator().manual_seed(_subseed(seed, name))
    weight.copy_(torch.empty(weight.shape, dtype=torch.float32).normal_(0.0, std, generator=generator))


def _zero(bias: torch.Tensor | None) -> None:
    if bias is not None:
        bias.zero_()


def _subseed(seed: int, purpose: str) -> int:
    """A seed for one purpose: 63 bits of sha256, since torch takes signed 64-bit seeds."""
    return int.from_bytes(hashlib.sha256(f"initialise/{seed}/{purpose}".encode()).digest()[:8], "little") >> 1
