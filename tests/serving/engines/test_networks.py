"""Every path of the engine `torch` computes what transformers computes, whatever else is in the step."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from loresmith.errors import UserError
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.networks import network_for
from tests.models.tiny_families import FAMILIES, VOCABULARY, tiny_model

CPU = torch.device("cpu")
FAST = {"llama", "mistral", "qwen3"}
ONE_BY_ONE = {"llama4_text", "falcon", "mamba", "mamba2", "rwkv", "jamba", "qwen3_next", "lfm2", "bloom"}
FROM_THE_FIRST_TOKEN = {"deepseek_v32", "xlstm", "recurrent_gemma"}
FLIPPING = {"deepseek_v32"}
"""Which few of the tokens they look at turns on rounding, so that they are compared with transformers in bf16."""


def requests() -> list[list[int]]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(1, VOCABULARY, (size,), generator=generator).tolist() for size in (11, 29, 6)]


@torch.inference_mode()
def reference(model: Any, ids: list[int]) -> torch.Tensor:
    """What transformers gives after each of a request's tokens: (T, V)."""
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


@pytest.mark.parametrize("model_type", FAMILIES)
def test_requests_in_one_step_are_computed_as_transformers_computes_each_alone(model_type: str) -> None:
    network = network_for(lambda: tiny_model(model_type).eval(), slots=4, window=128)
    model = tiny_model(model_type).eval()
    asked = requests()
    got: dict[tuple[int, int], torch.Tensor] = {}
    # The prompts come in pieces of unequal size, beside requests that write already.
    steps = [[(0, 0, 7)], [(0, 7, 8), (1, 0, 20)], [(0, 8, 9), (1, 20, 27), (2, 0, 5)], [(2, 5, 6), (0, 9, 11)]]
    if not network.pieces:
        steps = [[(0, 0, 7)], [(0, 7, 8), (1, 0, 26)], [(0, 8, 9), (1, 26, 27), (2, 0, 5)], [(2, 5, 6), (0, 9, 10)]]
    for step in steps:
        layout = Layout([Segment(n, a, asked[n][a:b], True) for n, a, b in step], CPU)
        for segment, logits_V in zip(layout.asked, network.forward(layout), strict=True):
            got[segment.slot, segment.end] = logits_V.float()
    for (number, end), logits_V in got.items():
        expected_V = reference(model, asked[number][:end])[-1]
        torch.testing.assert_close(logits_V, expected_V, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_each_family_takes_the_fastest_path_that_computes_it(model_type: str) -> None:
    path = network_for(lambda: tiny_model(model_type).eval(), slots=2, window=64).path
    if model_type in FAST:
        assert path == "fast"
    elif model_type in ONE_BY_ONE:
        assert path == "one by one"
    elif model_type in FROM_THE_FIRST_TOKEN:
        assert path == "one by one, from the first token"
    else:
        assert path == "generic"


@pytest.mark.parametrize("model_type", FAMILIES)
def test_texts_of_every_length_are_read_in_bf16(model_type: str) -> None:
    """Recurrent families read a long text by other code than a short one."""

    def half() -> Any:
        return tiny_model(model_type).to(torch.bfloat16).eval()

    network = network_for(half, slots=4, window=320)
    model = half() if model_type in FLIPPING else half().float()
    generator = torch.Generator().manual_seed(2)
    for slot, size in enumerate((9, 70, 300)):
        ids = torch.randint(1, VOCABULARY, (size,), generator=generator).tolist()
        for start, end in ((0, size - 1), (size - 1, size)):
            (logits_V,) = network.forward(Layout([Segment(slot, start, ids[start:end], True)], CPU))
            expected_V = reference(model, ids[:end])[-1]
            assert float((logits_V.float() - expected_V).abs().mean()) < 0.15 * float(expected_V.std()), (size, end)


class ReadsNoLongText:
    """A model that cannot be computed from so many tokens on, as some versions of transformers have them."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def __call__(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs["input_ids"].shape[1] >= self._tokens:
            raise RuntimeError("expected m1 and m2 to have the same dtype")


@pytest.mark.parametrize("tokens", [20, 250])
@pytest.mark.parametrize(("dtype", "hint"), [(torch.bfloat16, "precision: fp32"), (torch.float32, None)])
def test_a_model_that_no_path_computes_is_refused_when_it_is_loaded(
    tokens: int, dtype: torch.dtype, hint: str | None
) -> None:
    def load() -> Any:
        model = tiny_model("xlstm").to(dtype).eval()
        model.register_forward_pre_hook(ReadsNoLongText(tokens), with_kwargs=True)
        return model

    with pytest.raises(UserError, match=r"cannot compute this xlstm model in .*: expected m1 and m2") as refused:
        network_for(load, slots=2, window=320)
    assert (hint or "") in (refused.value.hint or "")
    assert (refused.value.hint is None) == (hint is None)


def test_a_model_that_half_precision_fails_at_once_is_computed_by_autocast() -> None:
    """One that multiplies what it computes in fp32 by weights that are not: a short text, too."""

    def half() -> Any:
        model = tiny_model("mamba").to(torch.bfloat16).eval()
        model.lm_head.register_forward_pre_hook(lambda _, given: (given[0].float(),))
        return model

    with pytest.raises(RuntimeError, match="same dtype"):
        reference(half(), requests()[0])
    network = network_for(half, slots=2, window=320)
    assert network.path == "one by one, from the first token, by autocast"
    model = tiny_model("mamba").to(torch.bfloat16).float().eval()
    for ids in requests():
        (logits_V,) = network.forward(Layout([Segment(0, 0, ids, True)], CPU))
        expected_V = reference(model, ids)[-1]
        assert float((logits_V.float() - expected_V).abs().mean()) < 0.15 * float(expected_V.std())


class Breaks:
    """A model whose embedding raises an error, from one call of it on."""

    def __init__(self, error: Exception, call: int) -> None:
        self._error = error
        self._calls_left = call

    def __call__(self, module: Any, args: Any) -> None:
        self._calls_left -= 1
        if self._calls_left <= 0:
            raise self._error

    def model(self, model_type: str) -> Any:
        model = tiny_model(model_type).eval()
        model.get_input_embeddings().register_forward_pre_hook(self)
        return model


@pytest.mark.parametrize("error", [KeyError("a cache"), AssertionError("a shape")])
@pytest.mark.parametrize("model_type", ["qwen3", "gemma3_text", "mamba"])
def test_a_path_that_breaks_gives_way_to_the_next(model_type: str, error: Exception) -> None:
    loaded = [Breaks(error, 2).model(model_type), tiny_model(model_type).eval()]
    network = network_for(lambda: loaded.pop(0), slots=2, window=64)
    assert network.path == "one by one"


def test_a_cache_that_breaks_is_done_without() -> None:
    class BreaksWithState(Breaks):
        def __call__(self, module: Any, args: Any) -> None:
            if args[0].shape[1] == 1:  # a step with what was remembered
                raise self._error

    loaded = [tiny_model("mamba").eval(), BreaksWithState(KeyError("a cache"), 0).model("mamba")]
    assert network_for(lambda: loaded.pop(0), slots=2, window=64).path == "one by one, from the first token"


@pytest.mark.parametrize(("model_type", "load"), [("qwen3", 1), ("gemma3_text", 1), ("mamba", 2)])
def test_a_lack_of_memory_makes_no_model_slower(model_type: str, load: int) -> None:
    breaking = Breaks(torch.OutOfMemoryError("CUDA out of memory"), 3 - load).model(model_type)
    loaded = [*(tiny_model(model_type).eval() for _ in range(load - 1)), breaking, tiny_model(model_type).eval()]
    with pytest.raises(torch.OutOfMemoryError):
        network_for(lambda: loaded.pop(0), slots=2, window=64)


@pytest.mark.parametrize("model_type", ["mamba", "falcon", "bloom", "qwen3_next"])
def test_one_model_is_in_memory_at_a_time(model_type: str) -> None:
    alive: list[weakref.ref[Any]] = []

    def load() -> Any:
        assert [one for one in alive if one() is not None] == []
        model = tiny_model(model_type).eval()
        alive.append(weakref.ref(model))
        return model

    network_for(load, slots=2, window=64)
    assert len(alive) == 2


@pytest.mark.parametrize("model_type", ["qwen3", "gemma3_text", "qwen3_moe"])
def test_a_slot_goes_on_from_the_beginning_of_another(model_type: str) -> None:
    network = network_for(lambda: tiny_model(model_type).eval(), slots=4, window=128)
    ids = requests()[1]
    network.forward(Layout([Segment(0, 0, ids[:20], False)], CPU))
    network.copy_beginning(0, 3, 16)
    logits_SV = network.forward(Layout([Segment(3, 16, ids[16:], True)], CPU))
    expected_V = reference(tiny_model(model_type).eval(), ids)[-1]
    torch.testing.assert_close(logits_SV[0].float(), expected_V, rtol=2e-4, atol=2e-4)
