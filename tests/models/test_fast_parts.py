from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from loresmith.models import attention
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.attention import causal_attention
from loresmith.models.build import build_model
from loresmith.models.cpu_training import use_fast_parts
from loresmith.models.rms_norm import rms_norm
from loresmith.models.swiglu import swiglu
from tests.models.tiny_families import tiny_model


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("heads", "kv_heads"), [(2, 2), (4, 2), (3, 1)])
@pytest.mark.parametrize("length", [1, 31, attention.BLOCK, 2 * attention.BLOCK + 5])
def test_batched_attention_is_causal_attention(heads: int, kv_heads: int, length: int) -> None:
    q, k, v = (numbers(2, n, length, 8, seed=i).requires_grad_() for i, n in enumerate((heads, kv_heads, kv_heads)))
    ours = causal_attention(q, k, v, 0.3)
    wide = [x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v)]
    theirs = nn.functional.scaled_dot_product_attention(q, *wide, is_causal=True, scale=0.3).transpose(1, 2)
    assert torch.allclose(ours, theirs, atol=1e-12)
    assert ours.is_contiguous(), "some families take the heads together with `view` (AFMoE)"

    upstream = numbers(*ours.shape, seed=9)
    ours_gradients = torch.autograd.grad(ours, (q, k, v), upstream)
    theirs_gradients = torch.autograd.grad(theirs, (q, k, v), upstream)
    for mine, yours in zip(ours_gradients, theirs_gradients, strict=True):
        assert torch.allclose(mine, yours, atol=1e-12)


def test_no_position_sees_a_later_one() -> None:
    q, k, v = (numbers(1, 2, 200, 8, seed=i) for i in range(3))
    before = causal_attention(q, k, v, 0.3)
    k[:, :, 150:] += 5.0
    v[:, :, 150:] -= 3.0
    after = causal_attention(q, k, v, 0.3)
    assert torch.equal(before[:, :150], after[:, :150])
    assert not torch.allclose(before[:, 150:], after[:, 150:])


def test_rms_norm_is_its_formula() -> None:
    x, w = numbers(3, 5, 16).requires_grad_(), numbers(16, seed=1).requires_grad_()
    plain = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * w
    ours = rms_norm(x, w, 1e-6)
    assert torch.allclose(ours, plain, atol=1e-12)
    upstream = numbers(3, 5, 16, seed=2)
    for mine, exact in zip(
        torch.autograd.grad(ours, (x, w), upstream), torch.autograd.grad(plain, (x, w), upstream), strict=True
    ):
        assert torch.allclose(mine, exact, atol=1e-10)


def test_swiglu_is_its_formula() -> None:
    gate, up = numbers(4, 7).requires_grad_(), numbers(4, 7, seed=1).requires_grad_()
    assert torch.allclose(swiglu(gate, up), nn.functional.silu(gate) * up, atol=1e-12)
    assert torch.autograd.gradcheck(swiglu, (gate, up))


@pytest.mark.parametrize("family", ["qwen3", "llama", "mistral"])
def test_a_model_with_fast_parts_computes_what_it_did(family: str) -> None:
    architecture = Architecture(family=family, layers=2, width=64, head_dim=16, kv_heads=2)
    plain = build_model(transformers_config(architecture, vocabulary_size=97, positions=300), seed=0)
    plain.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    fast = copy.deepcopy(plain)
    replaced = use_fast_parts(fast)
    assert replaced["swiglu"] == 2
    assert replaced["rms_norm"] >= 5
    assert replaced["attention"] == 1

    plain.set_attn_implementation("eager")
    ids = torch.randint(0, 97, (2, 300), generator=torch.Generator().manual_seed(1))
    for model in (plain, fast):
        model(ids).logits.square().mean().backward()
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, fast(ids).logits, atol=1e-4)
    for (name, mine), (_, theirs) in zip(fast.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-3, atol=1e-5), name


def test_padding_and_caches_still_work_with_fast_parts() -> None:
    config = transformers_config(Architecture(layers=2, width=32, head_dim=16), vocabulary_size=50, positions=64)
    model = build_model(config, seed=0)
    model.get_output_embeddings().weight.data.normal_(generator=torch.Generator().manual_seed(0))
    use_fast_parts(model)
    ids = torch.randint(0, 50, (1, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model(ids).logits
        first = model(ids[:, :7], use_cache=True)
        rest = model(ids[:, 7:], past_key_values=first.past_key_values, use_cache=True).logits
        padded = model(
            torch.cat([torch.zeros_like(ids[:, :3]), ids], dim=1),
            attention_mask=torch.tensor([[0] * 3 + [1] * 12]),
            position_ids=torch.tensor([[0] * 3 + list(range(12))]),
        ).logits
    assert torch.allclose(torch.cat([first.logits, rest], dim=1), whole, atol=1e-5)
    assert torch.allclose(padded[:, 3:], whole, atol=1e-5)


def test_a_norm_with_a_twist_is_left_alone() -> None:
    architecture = Architecture(
        model_type="gemma3_text",
        overrides={
            "num_hidden_layers": 1,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "intermediate_size": 48,
        },
    )
    model = build_model(transformers_config(architecture, vocabulary_size=50, positions=64), seed=0)
    replaced = use_fast_parts(model)
    assert (replaced["rms_norm"], replaced["swiglu"]) == (0, 0)


@pytest.mark.parametrize("family", ["mamba2", "qwen3_next"])
def test_a_norm_that_takes_a_gate_too_is_left_alone(family: str) -> None:
    plain = tiny_model(family).eval()
    fast = copy.deepcopy(plain)
    use_fast_parts(fast)
    ids = torch.randint(0, 100, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(plain(ids).logits, fast(ids).logits, atol=1e-4)
