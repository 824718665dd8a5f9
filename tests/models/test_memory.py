from __future__ import annotations

from typing import Any

import pytest
import torch

from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapters import add_adapter
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cost import on_meta
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.families import DENSE, MOE
from loresmith.models.memory import activations_per_token, memory_of

ROWS = 2
TOLERANCE = 0.04


def config_of(family: str, **keys: Any) -> Any:
    shape = {"layers": 3, "width": 64, "head_dim": 16}
    return transformers_config(Architecture(family=family, **{**shape, **keys}), vocabulary_size=300, positions=512)


def kept_bytes(model: Any, length: int, routed: bool) -> int:
    """Bytes of all tensors that autograd keeps for the backward pass of the backbone, weights left out."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that its address is not used again
        return tensor

    ids = torch.randint(0, 300, (ROWS, length), generator=torch.Generator().manual_seed(0))
    router = {"output_router_logits": True} if routed else {}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.base_model(ids, use_cache=False, **router).last_hidden_state
        keep(output)  # by the output embedding, which comes after the backbone
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("length", [96, 256, 300])
@pytest.mark.parametrize("family", [*DENSE, *MOE])
def test_activations_are_what_autograd_keeps(family: str, length: int) -> None:
    config = config_of(family, **({} if family == "olmoe" else {"kv_heads": 2}))
    model = build_model(config, seed=0).to(torch.bfloat16)
    use_fast_parts(model)
    foretold = activations_per_token(on_meta(config), length, at_once=ROWS * length)
    assert foretold is not None
    assert foretold * 2 * ROWS * length == pytest.approx(kept_bytes(model, length, family in MOE), rel=TOLERANCE)


def test_recomputed_layers_keep_their_inputs() -> None:
    config = config_of("qwen3", layers=8)
    model = build_model(config, seed=0).to(torch.bfloat16)
    use_fast_parts(model)
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    inside = activations_per_token(on_meta(config_of("qwen3", layers=1)), 128)
    foretold = activations_per_token(on_meta(config), 128, recompute=True)
    assert inside is not None
    assert foretold is not None
    one_layer = inside - 2 * 64
    measured = kept_bytes(model, 128, routed=False) / (2 * ROWS * 128)
    # In the forward pass only inputs are kept; the one layer that the formula adds is computed in the backward pass.
    assert foretold - one_layer == pytest.approx(measured, rel=TOLERANCE)


def test_attention_that_keeps_no_probabilities_needs_that_much_less() -> None:
    model = on_meta(config_of("llama", layers=1))
    with_them, without = (activations_per_token(model, 256, keep_probabilities=keeps) for keeps in (True, False))
    assert with_them is not None
    assert without is not None
    assert with_them - without == 4 * (128 * 128 + 128 * 256) / 256


def test_of_a_model_of_another_kind_the_activations_are_not_known() -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
    config = transformers_config(Architecture(model_type="mamba", overrides=shape), vocabulary_size=50, positions=64)
    memory = memory_of(on_meta(config), single_moment=(), compute_bytes=2, micro_batch_tokens=128, sequence_length=64)
    assert memory.activations is None
    assert memory.total == memory.weights + memory.gradients + memory.optimiser


@pytest.mark.parametrize(("compute_bytes", "dtype"), [(2, torch.bfloat16), (4, torch.float32)])
@pytest.mark.parametrize("family", ["qwen3", "mixtral"])
@pytest.mark.parametrize("adapted", [False, True])
def test_weights_gradients_and_moments_are_what_the_loop_s_optimiser_holds(
    family: str, adapted: bool, compute_bytes: int, dtype: torch.dtype
) -> None:
    from loresmith.training.optimiser import Optimiser
    from loresmith.training.parameter_groups import group_parameters
    from loresmith.training.settings import OptimiserSettings

    config = config_of(family, layers=2)
    model, foretold = build_model(config, seed=0), on_meta(config)
    if adapted:
        for each in (model, foretold):
            add_adapter(each, AdapterSettings(), seed=0)
    memory = memory_of(
        foretold,
        single_moment=group_parameters(foretold)["matrix"],
        compute_bytes=compute_bytes,
        micro_batch_tokens=128,
        sequence_length=64,
    )

    optimiser = Optimiser(model, OptimiserSettings(), dtype)
    storages = {p.untyped_storage() for p in (*model.parameters(), *optimiser.masters.values())}
    assert memory.weights == sum({s.data_ptr(): s.nbytes() for s in storages}.values())
    model(torch.zeros(1, 8, dtype=torch.int64)).logits.float().square().sum().backward()
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    optimiser.collect()
    sums = sum(m.grad.nbytes for m in optimiser.masters.values()) if compute_bytes == 2 else 0
    assert memory.gradients == gradients + sums
    optimiser.step(1.0)
    moments = sum(state.nbytes for name, state in optimiser.state().items() if state.ndim > 0)
    assert memory.optimiser == moments
