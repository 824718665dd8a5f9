from __future__ import annotations

import copy
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from loresmith.errors import UserError
from loresmith.models.adapter_peft import peft
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_storage import stored_name
from loresmith.models.adapter_targets import linear_maps, stacked_experts
from loresmith.models.adapters import adapter_parameters, add_adapter, is_adapter_parameter
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.linear_maps import Conv1D
from tests.models.adapted_models import IDS, adapted, learnt, logits, small

VARIANTS = ["lora", "dora", "rslora"]
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in adapter_parameters(model)}


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2", "mixtral", "qwen3_moe"])
def test_every_linear_map_but_the_head_is_adapted_and_nothing_else_is_trained(
    family: str, recwarn: pytest.WarningsRecorder
) -> None:
    model = small(family)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    added = add_adapter(model, AdapterSettings(rank=4), seed=0)
    assert not [str(warning.message) for warning in recwarn]
    expected = [
        name for name, m in small(family).named_modules() if isinstance(m, nn.Linear | Conv1D) and name != "lm_head"
    ]
    assert list(added.targets.modules) == expected
    assert list(added.targets.parameters) == [name for name, shape in shapes.items() if len(shape) == 3]
    learnt(model)(IDS, labels=IDS).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == is_adapter_parameter(name)
        assert (parameter.grad is not None and bool(parameter.grad.any())) == is_adapter_parameter(name), name
    assert added.frozen == sum(math.prod(shape) for shape in shapes.values())
    assert added.trained == sum(parameter.numel() for parameter in model.parameters()) - added.frozen


def test_an_adapter_has_all_digits_whatever_its_base_has() -> None:
    whole, rounded = small(), small().bfloat16()
    for model in (whole, rounded):
        add_adapter(model, AdapterSettings(rank=4), seed=0)
    expected, found = weights(whole), weights(rounded)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_new_adapter_changes_nothing(variant: str) -> None:
    model = small()
    before = logits(model)
    add_adapter(model, AdapterSettings(variant=variant), seed=0)
    assert torch.allclose(logits(model), before, atol=1e-6)
    assert type(model).__name__ == "Qwen3ForCausalLM"
    assert model.base_model is model.model


def updated(variant: str, W: torch.Tensor, A: torch.Tensor, B: torch.Tensor, m: torch.Tensor | None) -> torch.Tensor:
    """The papers' formulas, entry by entry, in double precision: rank 4, alpha 8."""
    W, A, B = W.double(), A.double(), B.double()
    scale = 8 / (2 if variant == "rslora" else 4)
    V = W + scale * torch.einsum("or,ri->oi", B, A)
    if m is None:
        return V
    lengths = torch.tensor([math.sqrt(sum(float(v) ** 2 for v in row)) for row in V], dtype=torch.float64)
    return V * (m.double() / lengths)[:, None]


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapted_model_is_the_plain_one_with_the_papers_matrices(variant: str, family: str) -> None:
    model, plain = adapted(family, variant), small(family).double()
    parts = weights(model)
    for name in linear_maps(plain):
        matrix = plain.get_submodule(name).weight
        A, B = parts[f"{name}.lora_A.default.weight"], parts[f"{name}.lora_B.default.weight"]
        m = parts.get(f"{name}.lora_magnitude_vector.default.weight")
        assert (m is not None) == (variant == "dora")
        transposed = isinstance(plain.get_submodule(name), Conv1D)
        W = updated(variant, matrix.detach().T if transposed else matrix.detach(), A, B, m)
        matrix.data = W.T if transposed else W
    assert not torch.allclose(logits(model), logits(small(family)), atol=0.01)
    assert torch.allclose(logits(model).double(), logits(plain), atol=2e-5)


def test_experts_are_adapted_each_by_its_own_matrices() -> None:
    model, plain = adapted("mixtral"), small("mixtral")
    parts = weights(model)
    for name in stacked_experts(plain):
        # peft wraps an expert's matrices one in the other, and lays the experts' thin ones side by side.
        owner, _, matrix = name.rpartition(".")
        place = f"{owner}.base_layer" if matrix == "gate_up_proj" else owner
        A = parts[f"{place}.lora_A.default.weight"].view(4, 4, -1)  # (experts, rank, in)
        B = parts[f"{place}.lora_B.default.weight"].view(-1, 4, 4)  # (out, rank, experts)
        stack = getattr(plain.get_submodule(owner), matrix)
        stack.data += torch.stack([2.0 * B[:, :, expert] @ A[expert] for expert in range(4)])
    for name in linear_maps(plain):
        A, B = parts[f"{name}.lora_A.default.weight"], parts[f"{name}.lora_B.default.weight"]
        plain.get_submodule(name).weight.data += 2.0 * B @ A
    assert torch.allclose(logits(model), logits(plain), atol=2e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_computes_what_pefts_own_model_computes(variant: str) -> None:
    ours = adapted(variant=variant)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules="all-linear",
        use_dora=variant == "dora",
        use_rslora=variant == "rslora",
        task_type="CAUSAL_LM",
    )
    theirs = peft.get_peft_model(small(), config).eval()
    stored = {stored_name(name): parameter for name, parameter in weights(ours).items()}
    assert stored.keys() == {f"base_model.model.{n}" for n in peft.get_peft_model_state_dict(theirs.base_model.model)}
    peft.set_peft_model_state_dict(theirs, stored)
    assert torch.equal(logits(ours), logits(theirs))


def test_gradients_are_those_of_the_full_matrix_seen_through_the_thin_ones() -> None:
    model, plain = adapted(), small()
    parts = weights(model)
    for name in linear_maps(plain):
        A, B = parts[f"{name}.lora_A.default.weight"], parts[f"{name}.lora_B.default.weight"]
        plain.get_submodule(name).weight.data += 2.0 * B @ A
    for one in (model, plain):
        one(IDS, labels=IDS).loss.backward()
    gradients = {name: parameter.grad for name, parameter in adapter_parameters(model)}
    for name in linear_maps(plain):
        dW = plain.get_submodule(name).weight.grad
        A, B = (f"{name}.lora_{part}.default.weight" for part in "AB")
        assert torch.allclose(gradients[A], 2.0 * parts[B].T @ dW, atol=1e-6, rtol=1e-4)
        assert torch.allclose(gradients[B], 2.0 * dW @ parts[A].T, atol=1e-6, rtol=1e-4)


def test_the_seed_and_a_matrixs_name_decide_it_and_nothing_else_does() -> None:
    def first(seed: int, layers: int = 2, **keys: Any) -> dict[str, torch.Tensor]:
        model = small(num_hidden_layers=layers)
        add_adapter(model, AdapterSettings(rank=4, **keys), seed)
        return weights(model)

    torch.manual_seed(1)
    expected = first(7)
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    again = first(7)
    torch.set_num_threads(threads)
    assert all(torch.equal(expected[name], again[name]) for name in expected)
    deeper, fewer = first(7, layers=3), first(7, target_modules=("q_proj",))
    name = "model.layers.1.self_attn.q_proj.lora_A.default.weight"
    assert torch.equal(expected[name], deeper[name])
    assert torch.equal(expected[name], fewer[name])
    assert not torch.equal(expected[name], first(8)[name])
    assert not torch.equal(expected[name], expected[name.replace("q_proj", "k_proj")])


def test_first_matrices_are_drawn_as_the_table_says() -> None:
    model = small(hidden_size=256, head_dim=64)
    add_adapter(model, AdapterSettings(rank=32), seed=0)
    for name, parameter in adapter_parameters(model):
        if ".lora_A." in name:
            bound = 1 / math.sqrt(parameter.shape[1])
            assert float(parameter.detach().abs().max()) <= bound
            assert float(parameter.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
        else:
            assert not bool(parameter.any())


def test_adding_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    add_adapter(small(), AdapterSettings(variant="dora"), seed=0)
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_dropout_depends_on_torchs_seed_alone(variant: str) -> None:
    model = adapted(variant=variant, dropout=0.3).train()

    def drawn(seed: int, other: int) -> torch.Tensor:
        random.seed(other)
        np.random.seed(other)
        torch.manual_seed(seed)
        return logits(model)

    assert torch.equal(drawn(1, other=1), drawn(1, other=2))
    assert not torch.equal(drawn(1, other=1), drawn(2, other=1))
    model.eval()
    assert torch.equal(drawn(1, other=1), drawn(2, other=1))


def test_a_model_that_does_not_train_drops_nothing_out_when_an_adapter_comes() -> None:
    still, training = small(), small().train()
    for model in (still, training):
        add_adapter(model, AdapterSettings(dropout=0.5), seed=0)
    assert not any(module.training for module in still.modules())
    assert all(module.training for module in training.modules())


def test_fast_parts_and_an_adapter_give_what_the_plain_ones_give() -> None:
    plain = small("llama")
    fast = copy.deepcopy(plain)
    assert use_fast_parts(fast)["swiglu"] == 2
    for model in (plain, fast):
        add_adapter(model, AdapterSettings(variant="dora", rank=4), seed=0)
        learnt(model)(IDS, labels=IDS).loss.backward()
    assert torch.allclose(logits(plain), logits(fast), atol=1e-5)
    for (name, one), (_, other) in zip(adapter_parameters(plain), adapter_parameters(fast), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-6, rtol=1e-3), name


def test_matrices_are_chosen_by_the_end_of_their_names() -> None:
    model = small()
    added = add_adapter(model, AdapterSettings(target_modules=("q_proj", "0.mlp.up_proj")), seed=0)
    assert added.targets.modules == (
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.mlp.up_proj",
        "model.layers.1.self_attn.q_proj",
    )
    assert {name.split(".lora_")[0] for name, _ in adapter_parameters(model)} == set(added.targets.modules)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("q_porj", "did you mean 'q_proj'"), ("lm_head", "unknown linear map 'lm_head'"), ("proj", "unknown linear map")],
)
def test_a_matrix_that_is_not_there_is_answered_with_the_nearest(wanted: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        add_adapter(small(), AdapterSettings(target_modules=("v_proj", wanted)), seed=0)


@pytest.mark.parametrize("asked", [{"variant": "dora"}, {"dropout": 0.1}])
def test_what_peft_cannot_do_for_experts_is_said_and_the_rest_still_can_be_had(asked: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"cannot give the experts .*experts\.gate_up_proj") as caught:
        add_adapter(small("mixtral"), AdapterSettings(**asked), seed=0)
    assert "target_modules: [k_proj, o_proj, q_proj, v_proj]" in str(caught.value)
    added = add_adapter(small("mixtral"), AdapterSettings(target_modules=ATTENTION, **asked), seed=0)
    assert not added.targets.parameters


def test_matrices_that_peft_would_mistake_for_an_experts_are_refused_by_name() -> None:
    def partly_dense() -> Any:
        return small("qwen3_moe", mlp_only_layers=[0])

    with pytest.raises(UserError, match=r"leaves out model\.layers\.0\.mlp\.down_proj"):
        add_adapter(partly_dense(), AdapterSettings(), seed=0)
    with pytest.raises(UserError, match="cannot adapt this choice"):
        add_adapter(partly_dense(), AdapterSettings(target_modules=("gate_proj", "up_proj", "0.mlp.down_proj")), seed=0)
    experts = (*ATTENTION, "experts.gate_up_proj", "experts.down_proj")
    added = add_adapter(partly_dense(), AdapterSettings(target_modules=experts), seed=0)
    assert len(added.targets.modules) == 8
    assert len(added.targets.parameters) == 2


def test_a_second_adapter_is_refused() -> None:
    with pytest.raises(UserError, match="an adapter already"):
        add_adapter(adapted(), AdapterSettings(), seed=0)
