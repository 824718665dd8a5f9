from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from loresmith.models import attention
from loresmith.models.attention import BLOCK, causal_attention
from loresmith.models.offline import transformers
from tests.models.tiny_families import tiny_model


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def packed(rows: int, length: int, mean: int = 60, window: int = 10_000) -> Tensor:
    """Which keys a query sees, bool (B, 1, T, T), in rows of documents of random length, with a sliding window."""
    borders = torch.rand(rows, length, generator=torch.Generator().manual_seed(length)) < 1 / mean
    documents = borders.cumsum(-1)
    at = torch.arange(length)
    near = (at[:, None] >= at) & (at[:, None] < at + window)
    return (documents[:, None, :, None] == documents[:, None, None, :]) & near


def added(visible: Tensor, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)


@pytest.mark.parametrize(("heads", "kv_heads", "value_size"), [(2, 2, 8), (4, 2, 8), (3, 1, 5)])
@pytest.mark.parametrize(
    "visible",
    [
        packed(2, 31),
        packed(2, BLOCK),
        packed(2, 2 * BLOCK + 5),
        packed(1, 5 * BLOCK, mean=30),
        packed(2, 3 * BLOCK, window=20),
    ],
    ids=["short", "a block", "blocks and a rest", "blocks that begin late", "a sliding window"],
)
def test_masked_attention_is_sdpa_with_the_same_mask(
    visible: Tensor, heads: int, kv_heads: int, value_size: int
) -> None:
    rows, _, length, _ = visible.shape
    q = numbers(rows, heads, length, 8).requires_grad_()
    k, v = (numbers(rows, kv_heads, length, size, seed=size).requires_grad_() for size in (8, value_size))
    ours = causal_attention(q, k, v, 0.3, added(visible))
    wide = [x.repeat_interleave(heads // kv_heads, dim=1) for x in (k, v)]
    theirs = nn.functional.scaled_dot_product_attention(q, *wide, attn_mask=visible, scale=0.3).transpose(1, 2)
    assert torch.allclose(ours, theirs, atol=1e-12)

    upstream = numbers(*ours.shape, seed=9)
    for mine, exact in zip(
        torch.autograd.grad(ours, (q, k, v), upstream), torch.autograd.grad(theirs, (q, k, v), upstream), strict=True
    ):
        assert torch.allclose(mine, exact, atol=1e-12)


def test_keys_that_no_query_of_a_block_may_see_are_not_computed() -> None:
    visible = packed(1, 8 * BLOCK, mean=30)
    blocks = attention._blocks(8 * BLOCK, added(visible))
    assert sum(end - first for first, _, end in blocks) < 2 * 8 * BLOCK
    assert not any(visible[0, 0, start:end, :first].any() for first, start, end in blocks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_that_see_nothing_give_finite_numbers_and_disturb_nobody(dtype: torch.dtype) -> None:
    visible = packed(2, 300)
    visible[:, :, 250:] = False
    q, k, v = (numbers(2, 2, 300, 8, seed=i).to(dtype).requires_grad_() for i in range(3))
    out = causal_attention(q, k, v, 0.3, added(visible, dtype))
    assert out.isfinite().all()
    gradients = torch.autograd.grad(out[:, :250], (q, k, v), torch.ones_like(out[:, :250]))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(not gradient[:, :, 250:].any() for gradient in gradients)
    alone = causal_attention(*(x[:, :, :250] for x in (q, k, v)), 0.3, added(visible, dtype)[:, :, :250, :250])
    assert torch.allclose(out[:, :250].float(), alone.float(), atol=1e-2 if dtype is torch.bfloat16 else 1e-6)


def test_a_mask_that_shows_the_future_is_left_to_sdpa() -> None:
    visible = packed(2, 40)
    visible[0, 0, 3, 7] = True
    q, k, v = (numbers(2, 2, 40, 8, seed=i) for i in range(3))
    with pytest.raises(ValueError, match="see a later one"):
        causal_attention(q, k, v, 0.3, added(visible))
    exact = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=visible, scale=0.3).transpose(1, 2)
    for mask in (visible, added(visible)):
        assert torch.allclose(attention._attention(nn.Module(), q, k, v, mask, scaling=0.3)[0], exact, atol=1e-12)


def test_what_is_not_causal_is_not_made_causal() -> None:
    q, k, v = (numbers(2, 2, 40, 8, seed=i) for i in range(3))
    exact = nn.functional.scaled_dot_product_attention(q, k, v, scale=0.3).transpose(1, 2)
    said, _ = attention._attention(nn.Module(), q, k, v, None, scaling=0.3, is_causal=False)
    assert torch.allclose(said, exact, atol=1e-12)


def test_a_wider_mask_does_not_overflow_in_bf16() -> None:
    visible = packed(2, 40)
    visible[:, :, 30:] = False
    q, k, v = (numbers(2, 2, 40, 8, seed=i).bfloat16() for i in range(3))
    narrow, _ = attention._attention(nn.Module(), q, k, v, added(visible, torch.bfloat16), scaling=0.3)
    wide, _ = attention._attention(nn.Module(), q, k, v, added(visible, torch.float32), scaling=0.3)
    assert torch.equal(narrow, wide)
    assert wide.isfinite().all()


@pytest.mark.parametrize("family", ["llama", "mistral", "olmo3", "gemma3_text", "deepseek_v3", "qwen3_moe"])
def test_a_model_keeps_its_function_with_this_attention(family: str) -> None:
    model = tiny_model(family)
    ids = torch.randint(0, 120, (2, 200), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(ids, use_cache=False).logits
        assert attention.use(model)
        after = model(ids, use_cache=False).logits
    assert model.config._attn_implementation == attention.NAME
    assert torch.allclose(before, after, atol=1e-4)
    assert not torch.equal(before, after)


@pytest.mark.parametrize("family", ["gemma2", "gpt_oss", "falcon", "deepseek_v32"])
def test_a_model_whose_attention_has_a_twist_keeps_its_own(family: str) -> None:
    model = tiny_model(family)
    own = model.config._attn_implementation
    ids = torch.randint(0, 120, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(ids, use_cache=False).logits
        assert not attention.use(model)
        assert model.config._attn_implementation == own
        assert transformers.AttentionInterface()[attention.NAME] is attention._attention
        assert torch.equal(model(ids, use_cache=False).logits, before)


def test_a_twist_that_would_be_lost_is_an_error() -> None:
    attention.register()
    model = tiny_model("gpt_oss")
    model.set_attn_implementation(attention.NAME)
    with pytest.raises(attention.UnknownTwistError, match="s_aux"):
        model(torch.zeros(1, 3, dtype=torch.int64))
