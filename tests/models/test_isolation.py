from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from loresmith.errors import UserError
from loresmith.models import attention
from loresmith.models.isolation import isolating_mask, position_ids, require_isolation
from loresmith.models.offline import transformers
from tests.models.tiny_families import EXACT, TWO_KINDS, VOCABULARY, tiny_config, tiny_model

LENGTHS = ((9, 14, 7), (17, 10, 3))
"""Documents of two rows; the last of a row is its padding."""

DOCUMENTS = torch.tensor([[number for number, length in enumerate(row) for _ in range(length)] for row in LENGTHS])


def ids(seed: int, *shape: int) -> Tensor:
    return torch.randint(0, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def hidden_states(model: Any, inputs: Tensor, documents: Tensor | None) -> Tensor:
    isolation = {}
    if documents is not None:
        isolation = {"position_ids": position_ids(documents), "attention_mask": isolating_mask(model, documents)}
    return model(input_ids=inputs, use_cache=False, output_hidden_states=True, **isolation).hidden_states[-1]


def families(attentions: tuple[str | None, ...] = (None, "eager", attention.NAME)) -> list[Any]:
    """Each family with its own attention, and with others where it can have them."""
    choosy = ("gemma2", "gpt_oss", "falcon")
    return [
        pytest.param(family, kind, id=f"{family}-{kind or 'its own'}")
        for family in EXACT
        for kind in attentions
        if kind is None or family not in choosy
    ]


def model_with(family: str, kind: str | None) -> Any:
    model = tiny_model(family)
    attention.register()
    if kind is not None:
        model.set_attn_implementation(kind)
    return model


def test_positions_begin_anew_where_the_document_changes() -> None:
    documents = torch.tensor([[0, 0, 0, 1, 2, 2, 3], [5, 5, 5, 5, 0, 0, 0]])
    assert position_ids(documents).tolist() == [[0, 1, 2, 0, 0, 1, 0], [0, 1, 2, 3, 0, 1, 2]]


@pytest.mark.parametrize(("family", "kind"), families())
def test_a_document_in_a_packed_row_is_what_it_is_alone(family: str, kind: str | None) -> None:
    model = model_with(family, kind)
    inputs = ids(0, *DOCUMENTS.shape)
    packed = hidden_states(model, inputs, DOCUMENTS)
    for row, lengths in enumerate(LENGTHS):
        start = 0
        for length in lengths:
            here = slice(start, start + length)
            alone = hidden_states(model, inputs[row : row + 1, here], None)
            assert torch.allclose(packed[row, here], alone[0], atol=1e-5)
            start += length


@pytest.mark.parametrize(("family", "kind"), families())
def test_no_document_moves_another_by_a_single_bit(family: str, kind: str | None) -> None:
    model = model_with(family, kind)
    inputs = ids(0, *DOCUMENTS.shape)
    before = hidden_states(model, inputs, DOCUMENTS)
    for number in range(3):
        changed = torch.where(number == DOCUMENTS, (inputs + 1 + ids(1, *inputs.shape) % 100) % VOCABULARY, inputs)
        after = hidden_states(model, changed, DOCUMENTS)
        others = number != DOCUMENTS
        assert torch.equal(after[others], before[others])
        assert not torch.allclose(after[~others], before[~others], atol=0.01)


@pytest.mark.parametrize("family", ["llama", "olmo3", "mistral"])
def test_without_the_mask_documents_do_see_one_another(family: str) -> None:
    model = tiny_model(family)
    inputs = ids(0, *DOCUMENTS.shape)
    changed = torch.where(DOCUMENTS == 0, (inputs + 1) % VOCABULARY, inputs)
    move = (hidden_states(model, inputs, None) - hidden_states(model, changed, None))[DOCUMENTS == 1].abs().max()
    assert move > 0.01


def test_a_model_gets_the_mask_that_its_attention_takes() -> None:
    for kind, dtype in (("sdpa", torch.bool), ("eager", torch.bfloat16), (attention.NAME, torch.bfloat16)):
        mask = isolating_mask(model_with("llama", kind), DOCUMENTS, torch.bfloat16)
        assert mask.shape == (2, 1, 30, 30)
        assert mask.dtype == dtype
        visible = mask if dtype is torch.bool else mask == 0
        assert visible[0, 0, 9].tolist() == [key == 9 for key in range(30)]
        assert visible[1, 0, 16].tolist() == [key <= 16 for key in range(30)]


def test_windows_and_chunks_are_counted_within_the_document() -> None:
    masks = isolating_mask(tiny_model("olmo3"), DOCUMENTS)
    assert sorted(masks) == ["full_attention", "sliding_attention"]
    assert [int(row.sum()) for row in masks["full_attention"][0, 0, 9:16]] == [1, 2, 3, 4, 5, 6, 7]
    assert [int(row.sum()) for row in masks["sliding_attention"][0, 0, 9:16]] == [1, 2, 3, 4, 5, 5, 5]
    chunked = isolating_mask(tiny_model("llama4_text"), DOCUMENTS)["chunked_attention"]
    assert [int(row.sum()) for row in chunked[0, 0, 9:16]] == [1, 2, 3, 4, 5, 1, 2]


def test_rows_of_one_document_each_keep_the_speed_of_plain_causality() -> None:
    documents = torch.zeros(2, 30, dtype=torch.int64)
    assert isolating_mask(model_with("llama", "sdpa"), documents) is None
    assert isolating_mask(model_with("llama", attention.NAME), documents) is None


@pytest.mark.parametrize(
    ("family", "culprit"),
    [
        ("mamba", "MambaForCausalLM .* its linear_attention layers"),
        ("mamba2", "Mamba2ForCausalLM .* its linear_attention layers"),
        ("jamba", "JambaForCausalLM .* its linear_attention layers"),
        ("qwen3_next", "Qwen3NextForCausalLM .* its linear_attention layers"),
        ("recurrent_gemma", "RecurrentGemmaForCausalLM .* its linear_attention layers"),
        ("rwkv", "RwkvForCausalLM .* its RwkvBlock modules"),
        ("xlstm", "xLSTMForCausalLM .* its xLSTMBlock modules"),
        ("lfm2", "Lfm2ForCausalLM .* its conv layers"),
        ("bloom", "BloomForCausalLM .* takes no position_ids"),
    ],
)
def test_what_cannot_keep_documents_apart_is_refused_by_name(family: str, culprit: str) -> None:
    model = transformers.AutoModelForCausalLM.from_config(tiny_config(family))
    with pytest.raises(UserError, match=culprit) as refusal:
        require_isolation(model)
    assert "packing: false" in str(refusal.value)


@pytest.mark.parametrize("family", EXACT)
def test_what_keeps_documents_apart_is_not_refused(family: str) -> None:
    require_isolation(tiny_model(family))


def test_a_recurrence_is_found_in_a_class_that_nobody_listed() -> None:
    model = tiny_model("llama")
    model.base_model.layers[1].mixer = torch.nn.GRU(32, 32)
    with pytest.raises(UserError, match="its GRU modules"):
        require_isolation(model)
    model = tiny_model("llama")
    model.base_model.layers[1].short = torch.nn.Conv1d(32, 32, 4, groups=32)
    with pytest.raises(UserError, match="convolutions run along the row"):
        require_isolation(model)


def test_a_hybrid_family_without_its_recurrent_layers_is_not_refused() -> None:
    keys = {**TWO_KINDS, "layer_types": ["full_attention", "full_attention"]}
    require_isolation(transformers.AutoModelForCausalLM.from_config(_lfm2(keys)))


def _lfm2(keys: dict[str, Any]) -> Any:
    config = tiny_config("lfm2")
    return type(config)(**{**config.to_dict(), **keys})
