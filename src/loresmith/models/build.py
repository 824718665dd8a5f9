"""A model from its config, with weights that depend on the seed and on nothing else."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

INPUT_EMBEDDING_STD = 0.02
RESIDUAL_OUTPUTS = ("o_proj", "down_proj", "fc2", "c_proj", "dense_4h_to_h", "out_proj", "wo", "w2")
"""Names of the matrices that write into the residual stream, in the families of transformers."""


def count_parameters(config: PreTrainedConfig) -> int:
    """How many parameters a model of this config has (tied ones once), without allocating any."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    return sum(int(parameter.numel()) for parameter in model.parameters())


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
    | biases of linear maps                            | zero                                                       |
    | the rest (norms, experts, convolutions, gates)   | as transformers initialises it, under the same seed        |

    Each parameter draws from a generator keyed by the seed and its own name, so that its values do not depend on the
    parameters before it.
    """
    layers = int(getattr(model.config, "num_hidden_layers", 1))
    embedding: Any = model.get_input_embeddings()
    head: Any = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    for name, module in model.named_modules():
        if module is embedding:
            _normal(embedding.weight, INPUT_EMBEDDING_STD, seed, name)
        elif module is head and head.weight is not embedding.weight:
            head.weight.zero_()
        elif isinstance(module, nn.Linear) and module is not head:
            residual = name.rpartition(".")[2] in RESIDUAL_OUTPUTS
            std = (0.5 / math.sqrt(2 * layers) if residual else 1.0) / math.sqrt(module.in_features)
            _normal(module.weight, std, seed, name)
            if module.bias is not None:
                module.bias.zero_()


def _normal(weight: torch.Tensor, std: float, seed: int, name: str) -> None:
    generator = torch.Generator().manual_seed(_subseed(seed, name))
    weight.copy_(torch.empty(weight.shape, dtype=torch.float32).normal_(0.0, std, generator=generator))


def _subseed(seed: int, purpose: str) -> int:
    """A seed for one purpose: 63 bits of sha256, since torch takes signed 64-bit seeds."""
    return int.from_bytes(hashlib.sha256(f"initialise/{seed}/{purpose}".encode()).digest()[:8], "little") >> 1
