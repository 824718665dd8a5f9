from __future__ import annotations

import importlib.util

import pytest
import torch

from loresmith.errors import UserError
from loresmith.models.adapter_quantisation import require_quantisable
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapters import add_adapter
from tests.models.adapted_models import logits, small


def test_a_quantised_base_is_refused_on_the_cpu_and_the_model_is_left_alone() -> None:
    model = small()
    before = logits(model)
    with pytest.raises(UserError, match="need an NVIDIA GPU, and this run computes on the CPU") as caught:
        add_adapter(model, AdapterSettings(quantise_base=True), seed=0)
    assert caught.value.where == "adapter.quantise_base"
    assert "leave it out" in str(caught.value)
    assert torch.equal(logits(model), before)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is not None, reason="the extra is installed")
def test_without_the_extra_it_is_said_how_to_get_it() -> None:
    with pytest.raises(UserError, match="bitsandbytes") as caught:
        require_quantisable(torch.device("cuda"))
    assert "loresmith[qlora]" in str(caught.value)
