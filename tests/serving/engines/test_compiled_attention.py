"""Attention, norms and rotary positions as compiled functions: they compute their formulas, and nothing beside them."""

from __future__ import annotations

import platform
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from loresmith.models.storage import load_weights
from loresmith.serving.engines.embedded.attention_code import Shape, attention_code
from loresmith.serving.engines.embedded.compiled_attention import CompiledAttention
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.plain_attention import PlainAttention
from loresmith.serving.engines.embedded.rms_norm import RmsNorm
from loresmith.serving.engines.embedded.slot_attention import slot_attention
from loresmith.serving.engines.embedded.slot_cache import GRAIN, SlotCache
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from loresmith.serving.engines.embedded.twist import Angles, Heads, SlotAttention, Twist
from loresmith.serving.engines.embedded.vector_code import Code, bits_of, compiles, stored_as
from tests.serving.engines.answers import answers
from tests.serving.engines.test_torch_engine import request

CPU = torch.device("cpu")
WINDOW = 300

pytestmark = pytest.mark.skipif(not compiles(), reason="nothing compiles here")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def drawn(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


class Told:
    """The queries, keys and values of requests, and what attention over slots makes of them step by step."""

    def __init__(
        self, lengths: dict[int, int], sizes: tuple[int, int, int, int], twist: Twist, dtype: torch.dtype
    ) -> None:
        heads, key_heads, key_size, value_size = sizes
        self.lengths, self.twist, self.dtype = lengths, twist, dtype
        self.q, self.k, self.v = (
            {slot: drawn(length, *shape, seed=31 * slot + number, dtype=dtype) for slot, length in lengths.items()}
            for number, shape in enumerate([(heads, key_size), (key_heads, key_size), (key_heads, value_size)])
        )

    def attended(self, kind: type[SlotAttention], steps: list[dict[int, int]], slots: int = 12) -> dict[int, Tensor]:
        """By slot, for all tokens; `steps` say to which token each request gets in each."""
        cache = SlotCache(slots, WINDOW, self.dtype, CPU)
        seen: dict[int, list[Tensor]] = {slot: [] for slot in self.lengths}
        reached = dict.fromkeys(self.lengths, 0)
        for step in steps:
            segments = [Segment(slot, reached[slot], [0] * (end - reached[slot]), False) for slot, end in step.items()]
            layout = Layout(segments, CPU)
            rows = [
                torch.cat([of[one.slot][one.start : one.end] for one in layout.segments])
                for of in (self.q, self.k, self.v)
            ]
            attention = _made(kind, layout, cache, self.dtype)
            out = attention.attend(0, rows[0], rows[1], rows[2], self.twist)
            for one, at in zip(layout.segments, layout.offsets, strict=True):
                seen[one.slot].append(out[at : at + len(one.tokens)])
                reached[one.slot] = one.end
        return {slot: torch.cat(parts) for slot, parts in seen.items() if parts}

    def expected(self, slot: int) -> Tensor:
        """The formula, in fp64."""
        q, k, v = (of[slot].double() for of in (self.q, self.k, self.v))
        groups = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) * self.twist.scaling
        if self.twist.softcap is not None:
            scores = self.twist.softcap * torch.tanh(scores / self.twist.softcap)
        far = torch.arange(len(q))[:, None] - torch.arange(len(q))
        seen = (far >= 0) & (far < (self.twist.window or WINDOW))
        scores = scores.masked_fill(~seen, -torch.inf)
        if self.twist.sinks_H is not None:
            sinks = self.twist.sinks_H.double()[:, None, None].expand(-1, len(q), 1)
            scores = torch.cat((scores, sinks), -1)
        weights = scores.softmax(-1)[..., : len(q)]
        return torch.einsum("hqk,khe->qhe", weights, v)


def _made(kind: type[SlotAttention], layout: Layout, cache: SlotCache, dtype: torch.dtype) -> SlotAttention:
    if kind is PlainAttention:
        return PlainAttention(layout, cache, dtype)
    made = slot_attention(layout, cache, dtype)
    assert isinstance(made, CompiledAttention)
    return made


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("sizes", "twist"),
    [
        ((9, 3, 64, 64), Twist(0.125)),
        ((4, 4, 32, 32), Twist(0.3, window=7)),
        ((8, 2, 24, 40), Twist(0.2, window=GRAIN)),
        ((6, 1, 6, 2), Twist(0.5, softcap=1.5)),
        ((5, 5, 3, 1), Twist(0.5, sinks_H=drawn(5, seed=9))),
        ((24, 2, 128, 128), Twist(0.09, window=70, sinks_H=drawn(24, seed=9))),
        ((2, 1, 192, 256), Twist(0.07, softcap=20.0, window=GRAIN + 1)),
    ],
)
def test_it_is_the_formula(dtype: torch.dtype, sizes: tuple[int, int, int, int], twist: Twist) -> None:
    told = Told({0: 70, 3: 1, 9: 140}, sizes, twist, dtype)
    steps = [{0: 69, 3: 1, 9: 128}, {0: 70, 9: 129}, {9: 140}]
    tolerance = {torch.float32: 2e-6, torch.bfloat16: 5e-3, torch.float16: 1e-3}[dtype]
    for kind in (CompiledAttention, PlainAttention):
        exact = tolerance if kind is CompiledAttention else max(20 * tolerance, 2e-5)  # rounded in between
        for slot, seen in told.attended(kind, steps).items():
            difference = (seen.double() - told.expected(slot)).abs()
            assert float((difference / told.v[slot].double().abs().max()).max()) < exact, (kind, slot)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_token_gets_the_same_to_the_bit_however_its_request_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    lengths = {slot: chance.randint(1, 200) for slot in {7, *chance.sample(range(12), chance.randint(0, 6))}}
    told = Told(lengths, (6, 2, 16, 16), Twist(0.25, window=chance.choice([None, 5, 90])), torch.bfloat16)
    steps: list[dict[int, int]] = []
    reached = dict.fromkeys(lengths, 0)
    while unfinished := [slot for slot, length in lengths.items() if reached[slot] < length]:
        asked = chance.sample(unfinished, chance.randint(1, len(unfinished)))
        steps.append({slot: min(lengths[slot], reached[slot] + chance.choice([1, 2, 64, 199])) for slot in asked})
        reached.update(steps[-1])
    torch.set_num_threads(chance.randint(1, 3))
    together = told.attended(CompiledAttention, steps)
    torch.set_num_threads(2)
    alone = Told({7: lengths[7]}, (6, 2, 16, 16), told.twist, torch.bfloat16)
    assert torch.equal(together[7], alone.attended(CompiledAttention, [{7: lengths[7]}])[7])


def test_what_is_no_number_stays_none() -> None:
    told = Told({0: 20, 1: 20, 2: 20}, (2, 1, 16, 16), Twist(0.25), torch.bfloat16)
    told.k[0][3, 0, 5] = torch.nan
    told.k[2][:, 0, 5] = -1
    told.q[2][7, 0, 5] = torch.inf  # scores of minus infinity, all of them
    seen = told.attended(CompiledAttention, [{0: 20, 1: 20, 2: 20}])
    assert torch.isfinite(seen[0][:3]).all()
    assert torch.isnan(seen[0][3:]).all()
    assert torch.isfinite(seen[1]).all()
    assert torch.isnan(seen[2]).any(-1).nonzero().tolist() == [[7, 0]]


def test_what_lies_in_memory_beside_the_keys_of_a_request_does_not_matter() -> None:
    told = Told({5: 77}, (4, 2, 16, 16), Twist(0.25), torch.bfloat16)
    clean = told.attended(CompiledAttention, [{5: 77}])[5]
    others = dict.fromkeys((3, 4, 6, 7), 200)
    beside = Told({**others, 5: 77}, (4, 2, 16, 16), Twist(0.25), torch.bfloat16)
    for slot in others:
        beside.k[slot].fill_(torch.nan)
        beside.v[slot].fill_(torch.inf)
    assert torch.equal(beside.attended(CompiledAttention, [others, {5: 77}])[5], clean)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("size", [64, 12])
def test_positions_are_turned_and_stored_as_by_operations(dtype: torch.dtype, normed: bool, size: int) -> None:
    layout = Layout([Segment(2, 0, [0] * 70, False), Segment(1, 0, [0], False), Segment(9, 0, [0] * 5, False)], CPU)
    norms = (_norm(size, 1), _norm(size, 2)) if normed else (None, None)
    heads = Heads(6, 2, size, *norms)
    half_NE = drawn(layout.size, size // 2, seed=3)
    angles = Angles(*(torch.cat((of, of), -1).to(dtype) for of in (half_NE.cos(), half_NE.sin())))
    qkv_NO = drawn(layout.size, 10 * size, seed=4, dtype=dtype)
    caches, outs = [], []
    for kind in (CompiledAttention, PlainAttention):
        caches.append(SlotCache(12, WINDOW, dtype, CPU))
        attention = _made(kind, layout, caches[-1], dtype)
        outs.append(attention.attend_turned(0, qkv_NO.clone(), heads, angles, Twist(size**-0.5)))
    tolerance = 1e-5 if dtype == torch.float32 else 0.04
    assert torch.allclose(outs[0].float(), outs[1].float(), atol=tolerance)
    _, k_NKD, v_NKD = heads.parts(qkv_NO)
    for ours, theirs in zip(*(cache.of_layer(0, k_NKD, v_NKD) for cache in caches), strict=True):
        assert torch.allclose(ours.float(), theirs.float(), atol=tolerance)
        assert torch.equal(ours == 0, theirs == 0)  # nothing was written elsewhere


class _Module(torch.nn.Module):
    def __init__(self, size: int, seed: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(drawn(size, seed=seed), requires_grad=False)
        self.variance_epsilon = 1e-3


def _norm(size: int, seed: int) -> RmsNorm:
    return RmsNorm(_Module(size, seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [576, 40, 7])
def test_a_norm_is_its_formula(dtype: torch.dtype, size: int) -> None:
    module, x = _Module(size, 1), drawn(33, 2 * size, seed=2, dtype=dtype)[:, :size] * 0.01
    full = x.double()
    expected = full / (full.square().mean(-1, keepdim=True) + 1e-3).sqrt() * module.weight.double()
    got = RmsNorm(module)(x)
    assert got.dtype == dtype
    assert torch.allclose(got.double(), expected, atol=1e-6, rtol={torch.float32: 1e-6}.get(dtype, 2**-8))
    assert torch.equal(RmsNorm(module)(x[5:6]), got[5:6])


def test_numbers_are_rounded_to_the_nearest_and_halfway_ones_to_even() -> None:
    bits = torch.arange(2**16, dtype=torch.int32) << 16
    for near in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        given_N = (bits + near).view(torch.float32)
        given_N = given_N[torch.isfinite(given_N)]
        for dtype in (torch.bfloat16, torch.float16):
            out_N = torch.empty(len(given_N), dtype=dtype)
            _copy(stored_as(dtype))(count=len(given_N), source=given_N.data_ptr(), target=out_N.data_ptr())
            assert torch.equal(out_N, given_N.to(dtype))


def _copy(stored: Any) -> Any:
    code = Code(("count", "source", "target"), 1)
    with code.each(code.thread, code.given["count"], code.threads) as place:
        vector = code.read(code.add(code.given["source"], code.multiply(place, 4)), "fp32")
        code.write(vector, code.add(code.given["target"], code.multiply(place, 2)), stored)
    return code.finish()


def test_powers_and_tangents_are_near() -> None:
    given_N = torch.cat((torch.linspace(-95, 80, 200_000), torch.tensor([-torch.inf, -1e30, 0.0, torch.nan])))
    for name, near, bound in (("exp", torch.exp, 3e-7), ("tanh", torch.tanh, 1e-6)):
        code = Code(("count", "source", "target"), 1)
        with code.each(code.thread, code.given["count"], code.threads) as place:
            offset = code.multiply(place, 4)
            vector = code.read(code.add(code.given["source"], offset), "fp32")
            code.write(getattr(code, name)(vector), code.add(code.given["target"], offset), "fp32")
        out_N = torch.empty_like(given_N)
        code.finish()(count=len(given_N), source=given_N.data_ptr(), target=out_N.data_ptr())
        assert torch.isnan(out_N[-1])
        expected, near_N = near(given_N.double()), bound
        if name == "exp":
            expected = expected.clamp(min=2.0**-126)
            near_N = expected * (bound + 1e-7 * given_N.double().clamp(-88, 88).abs())
        assert bool(((out_N.double() - expected).abs() <= near_N)[:-1].all())


def test_a_machine_that_runs_nothing_written_computes_with_operations() -> None:
    script = """
import ctypes
import torch
from loresmith.serving.engines.embedded.rms_norm import RmsNorm
from loresmith.serving.engines.embedded.vector_code import compiles
refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
norm = torch.nn.Module()
norm.weight, norm.variance_epsilon = torch.ones(16), 0.0
print(refused, float(RmsNorm(norm)(torch.full((2, 16), 3.0)).sum()), compiles())
"""
    refused, total, compiled = _said(script)
    assert total == "32.0"
    assert compiled == str(refused == "False")  # Linux before 6.3 refuses nothing


def test_functions_run_on_the_threads_of_torch() -> None:
    script = """
import os
import torch
from tests.serving.engines.test_compiled_attention import _norm, drawn
torch.set_num_threads(3)
drawn(2_000_000, seed=1).sin()
before = len(os.listdir("/proc/self/task"))
_norm(16, 1)(drawn(200, 16, seed=1))
print(len(os.listdir("/proc/self/task")) - before)
"""
    assert _said(script) == ["0"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors multiply and add in one")
def test_a_processor_that_cannot_multiply_and_add_in_one_does_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from llvmlite import binding as llvm

    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "x86-64-v2")
    monkeypatch.setattr(llvm, "get_host_cpu_features", llvm.FeatureMap)
    code = Code(("factor", "summand", "target"), 4)
    factor, summand = (code.as_float(code.given[name]) for name in ("factor", "summand"))
    code.write(code.times_plus(factor, factor, summand), code.given["target"], "fp32")
    out = torch.empty(4)
    code.finish()(factor=bits_of(1 + 2**-12), summand=bits_of(-1.0), target=out.data_ptr())
    assert out.tolist() == [2**-11] * 4  # and 2^-24 if the C library had done it, which takes ten times as long


def test_an_engine_tells_that_its_functions_are_compiled(tiny_directory: Path) -> None:
    assert TorchEngine(tiny_directory, slots=2, window=64).facts.path == "fast, compiled"


def test_a_function_is_compiled_once_for_a_shape() -> None:
    assert attention_code(Shape(2, 16, 16, "bf16")) is attention_code(Shape(2, 16, 16, "bf16"))


def test_without_a_compiler_answers_are_those_of_transformers(tiny_directory: Path) -> None:
    script = """
import sys
import torch
sys.modules["llvmlite"] = None
from tests.serving.engines.test_compiled_attention import asked_here, engine_in
print(engine_in(sys.argv[1], torch.float16).facts.path, *asked_here(sys.argv[1]))
"""
    path, compiled, *ids = _said(script, str(tiny_directory))
    assert (path, compiled) == ("fast", "False")
    model = load_weights(tiny_directory, torch.float32)
    asked = request("it", 70, sampling={"temperature": 0}, min_new_tokens=12)
    with torch.inference_mode():
        expected = model.generate(torch.tensor([asked.prompt]), max_new_tokens=12, min_new_tokens=12, do_sample=False)
    assert [int(id_) for id_ in ids] == expected[0, 70:].tolist()


def asked_here(directory: str) -> list[Any]:
    """Whether functions are compiled here, and what an engine answers."""
    engine = engine_in(directory, torch.float32)
    asked = [request("it", 70, sampling={"temperature": 0}, min_new_tokens=12), request("beside", 9)]
    return [compiles(), *answers(engine, asked)["it"].ids]


def engine_in(directory: str, dtype: torch.dtype) -> TorchEngine:
    return TorchEngine(Path(directory), dtype=dtype, slots=4, window=256)


def _said(script: str, *arguments: str) -> list[str]:
    """The words that a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()
