from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from loresmith.errors import Failure
from loresmith.models import attention
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.isolation import isolating_mask, position_ids
from loresmith.models.offline import transformers
from loresmith.training.leak_canary import MIXTURE_TOLERANCE, Canary, check_leaks
from loresmith.training.objective import MicroBatch
from tests.models.tiny_families import EXACT, VOCABULARY, tiny_model

Hidden = Callable[[MicroBatch], Tensor]
MIXTURES = ("gpt_oss", "llama4_text", "mixtral", "qwen3_moe", "olmoe", "glm4_moe")


def of(model: Any, **instead: Any) -> Hidden:
    """The model's last hidden states, its documents kept apart, or with other arguments in place of the right ones."""

    def hidden(micro_batch: MicroBatch) -> Tensor:
        keywords: dict[str, Any] = {"use_cache": False, "output_hidden_states": True}
        if micro_batch.documents is not None:
            keywords["position_ids"] = position_ids(micro_batch.documents)
            keywords["attention_mask"] = isolating_mask(model, micro_batch.documents)
        keywords |= {name: change(micro_batch) if callable(change) else change for name, change in instead.items()}
        return model(input_ids=micro_batch.inputs, **keywords).hidden_states[-1]

    return hidden


def canary(hidden: Hidden, isolated: bool = True, length: int = 40, **keywords: Any) -> Canary:
    return check_leaks(hidden, VOCABULARY, length, "cpu", 0, isolated, **keywords)


def untrained(dtype: torch.dtype = torch.bfloat16) -> Any:
    """A model as a training finds it: a head of zeros, and little that one token has to say to another."""
    config = transformers_config(
        Architecture(family="llama", layers=2, width=32, head_dim=16), vocabulary_size=VOCABULARY, positions=512
    )
    model = build_model(config, seed=0).to(dtype).train()
    attention.use(model)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", EXACT)
def test_models_that_keep_documents_apart_may_train(family: str, dtype: torch.dtype) -> None:
    tolerance = MIXTURE_TOLERANCE if family in MIXTURES and dtype is torch.float32 else 0.0
    seen = canary(of(tiny_model(family).to(dtype)), tolerance=tolerance)
    assert seen.leak <= tolerance
    assert seen.causal_leak <= tolerance
    assert seen.sensitivity > 0.01
    joined = canary(of(tiny_model(family).to(dtype)), isolated=False, tolerance=tolerance)
    assert joined.causal_leak <= tolerance
    assert seen.numbers() == {
        "canary_leak": seen.leak,
        "canary_causal_leak": seen.causal_leak,
        "canary_sensitivity": seen.sensitivity,
    }


def dropped(micro_batch: MicroBatch) -> None:
    return None


def all_ones(micro_batch: MicroBatch) -> Tensor:
    return torch.ones(2, 1, *[micro_batch.inputs.shape[1]] * 2, dtype=torch.bool)


def causal_only(micro_batch: MicroBatch) -> Tensor:
    return all_ones(micro_batch).tril()


def of_the_first_row(micro_batch: MicroBatch) -> Tensor:
    return isolating_mask(tiny_model("llama"), micro_batch.documents[:1].expand(2, -1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"attention_mask": dropped, "position_ids": None},
        {"attention_mask": dropped, "use_cache": True},
        {"attention_mask": lambda micro_batch: torch.ones_like(micro_batch.inputs)},
        {"attention_mask": causal_only},
        {"attention_mask": all_ones},
        {"attention_mask": of_the_first_row},
    ],
    ids=["dropped", "dropped by a cache", "all ones", "causal only", "all ones, 4-D", "of the first row for both"],
)
def test_a_mask_that_does_not_isolate_is_seen(wrong: dict[str, Any]) -> None:
    with pytest.raises(Failure, match=r"another document of the row by \d") as refusal:
        canary(of(tiny_model("llama"), **wrong))
    assert "packing: false" in str(refusal.value)
    assert refusal.value.exit_status == 1


@pytest.mark.parametrize("length", [40, 300])
def test_one_foreign_token_seen_by_one_token_is_seen_before_training_in_bf16(length: int) -> None:
    model = untrained()

    def with_a_hole(micro_batch: MicroBatch) -> Tensor:
        mask = isolating_mask(model, micro_batch.documents).clone()
        mask[0, 0, length - 3, 2] = 0.0
        return mask

    assert canary(of(model), length=length).leak == 0.0
    with pytest.raises(Failure, match="another document"):
        canary(of(model, attention_mask=with_a_hole), length=length)


def test_what_is_tolerated_of_mixtures_is_far_less_than_one_foreign_token() -> None:
    model = tiny_model("qwen3_moe")

    def with_a_hole(micro_batch: MicroBatch) -> Tensor:
        mask = isolating_mask(model, micro_batch.documents).clone()
        mask[0, 0, 297, 2] = True
        return mask

    with pytest.raises(Failure, match=r"and up to \S+ is allowed"):
        canary(of(model, attention_mask=with_a_hole), length=300, tolerance=MIXTURE_TOLERANCE)


@pytest.mark.parametrize(
    ("family", "never_asks"), [("mamba", ("position_ids", "attention_mask")), ("recurrent_gemma", ()), ("lfm2", ())]
)
def test_a_recurrence_cannot_hide(family: str, never_asks: tuple[str, ...]) -> None:
    model = tiny_model(family)
    assert canary(of(model), isolated=False).leak == 0.0
    with pytest.raises(Failure, match="another document"):
        canary(of(model, **dict.fromkeys(never_asks)))


def test_a_model_that_sees_the_future_is_refused_packed_or_not() -> None:
    bidirectional = transformers.AutoModelForCausalLM.from_config(
        transformers.BertConfig(
            vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
    )
    with pytest.raises(Failure, match=r"moves the hidden states of earlier ones by \d"):
        canary(of(bidirectional), isolated=False)

    def whole_documents(micro_batch: MicroBatch) -> Tensor:
        documents = micro_batch.documents
        return (documents[:, :, None] == documents[:, None])[:, None]

    with pytest.raises(Failure, match=r"moves the hidden states of earlier ones by \d"):
        canary(of(tiny_model("llama"), attention_mask=whole_documents))


def test_rows_that_see_one_another_are_refused() -> None:
    model = tiny_model("llama")

    def centred(micro_batch: MicroBatch) -> Tensor:
        states = of(model)(micro_batch)
        return states - states.mean((0, 1))

    with pytest.raises(Failure, match="another row by"):
        canary(centred, isolated=False)


def test_a_canary_that_can_see_nothing_is_no_reassurance() -> None:
    embedding = nn.Embedding(VOCABULARY, 8)
    blind: dict[str, Hidden] = {
        "says always the same": lambda micro_batch: torch.ones(*micro_batch.inputs.shape, 8),
        "knows one token at a time": lambda micro_batch: embedding(micro_batch.inputs),
    }
    for hidden in blind.values():
        for isolated in (True, False):
            with pytest.raises(Failure, match="mixes no tokens, so that no leak could show"):
                canary(hidden, isolated)


@pytest.mark.parametrize("spoilt", ["model.layers.0.mlp.down_proj", "model.embed_tokens"])
def test_a_model_that_is_not_finite_is_refused(spoilt: str) -> None:
    model = tiny_model("llama")
    model.get_submodule(spoilt).weight.data[7] = float("nan")
    with pytest.raises(Failure, match="not finite"):
        canary(of(model), length=200)


def test_dropout_stays_on_and_moves_nothing() -> None:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=64, resid_pdrop=0.3, attn_pdrop=0.3
    )
    model = transformers.AutoModelForCausalLM.from_config(config).train()
    before = torch.random.get_rng_state()
    seen = canary(of(model))
    assert (seen.leak, seen.causal_leak) == (0.0, 0.0)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        assert canary(of(model)) == seen
    assert model.training
    first = MicroBatch(*[torch.zeros(2, 40, dtype=torch.int64)] * 2, torch.ones(2, 40))
    assert not torch.equal(of(model)(first), of(model)(first))


def test_hidden_states_may_come_flat_and_rows_may_be_short() -> None:
    model = tiny_model("llama")
    assert canary(lambda micro_batch: of(model)(micro_batch).flatten(0, 1)) == canary(of(model))
    for length in (1, 12, 13, 17):
        assert canary(of(model), length=length).leak == 0.0


def test_no_gradient_is_recorded_and_the_same_seed_shows_the_same() -> None:
    model = untrained()
    recorded: list[bool] = []

    def hidden(micro_batch: MicroBatch) -> Tensor:
        states = of(model)(micro_batch)
        recorded.append(states.requires_grad)
        return states

    assert canary(hidden) == canary(hidden)
    assert not any(recorded)
    assert not model.get_output_embeddings().weight.any()
