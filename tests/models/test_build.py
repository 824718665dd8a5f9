from __future__ import annotations

import math

import torch

from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model


def small(seed: int = 0, **keys: object) -> torch.nn.Module:
    architecture = Architecture(**{"layers": 4, "width": 64, "head_dim": 16, **keys})
    return build_model(transformers_config(architecture, vocabulary_size=500, positions=64), seed)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def test_the_seed_decides_every_weight_and_nothing_else_does() -> None:
    torch.manual_seed(1)
    first = weights(small(seed=7))
    torch.manual_seed(2)
    again, other = weights(small(seed=7)), weights(small(seed=8))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["model.layers.0.mlp.up_proj.weight"], other["model.layers.0.mlp.up_proj.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    small()
    assert torch.equal(torch.rand(4), expected)


def test_a_parameter_does_not_depend_on_those_before_it() -> None:
    shallow, deep = weights(small(layers=4)), weights(small(layers=5))
    name = "model.layers.2.self_attn.q_proj.weight"
    assert torch.equal(shallow[name], deep[name])


def test_the_first_loss_is_that_of_a_uniform_guess() -> None:
    model = small()
    ids = torch.randint(0, 500, (4, 32), generator=torch.Generator().manual_seed(0))
    logits = model(ids).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert math.isclose(float(loss.detach()), math.log(500), rel_tol=1e-6)


def test_the_residual_stream_does_not_grow_with_the_number_of_layers() -> None:
    ids = torch.randint(0, 500, (2, 32), generator=torch.Generator().manual_seed(0))
    shallow, deep = (
        float(small(layers=layers)(ids, output_hidden_states=True).hidden_states[-2].detach().std())
        for layers in (4, 32)
    )
    assert 0.5 < deep / shallow < 2.0
