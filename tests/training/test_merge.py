from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loresmith.errors import Failure, UserError
from loresmith.factory.step import InputAsset
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_storage import save_adapter
from loresmith.models.adapters import add_adapter
from loresmith.models.storage import load_model, load_weights, save_model
from loresmith.training.steps.merge import MERGE
from tests.models.adapted_models import BASE, learnt, logits, small
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import run_step


def inputs(folder: Path, dtype: torch.dtype, size: float) -> dict[str, InputAsset]:
    make_tokenizer().save_pretrained(folder / "base")
    save_model(small().to(dtype), folder / "base")
    model = load_weights(folder / "base", torch.float32)
    add_adapter(model, AdapterSettings(variant="dora", rank=4), seed=0)
    save_adapter(learnt(model, size), folder / "adapter", BASE)
    return {
        kind: InputAsset(digest, "model" if kind == "base" else kind, folder / kind, {}, ())
        for kind, digest in (("base", BASE), ("adapter", "ef" * 32))
    }


def test_an_adapter_and_its_base_become_one_model_with_a_receipt(tmp_path: Path) -> None:
    given = inputs(tmp_path, torch.float32, 0.1)
    result = run_step(MERGE, tmp_path, {}, given)
    (check,) = result.checks
    assert (check.output, check.kind, check.passed) == ("model", "merge-parity", True)
    assert check.evidence["merge_difference"] <= check.evidence["tolerance"]
    model, _ = load_model(result.outputs["model"].directory)
    assert not torch.allclose(logits(model), logits(small()), atol=0.01)
    (account,) = result.books.accounts
    assert (account.unit, account.entered) == ("adapter tensors", 42)


def test_what_rounding_would_swallow_is_not_made(tmp_path: Path) -> None:
    given = inputs(tmp_path, torch.bfloat16, 0.00005)
    with pytest.raises(Failure, match=r"loses too much of what the adapter learnt[\s\S]*precision: float32"):
        run_step(MERGE, tmp_path / "rounded", {}, given)
    assert run_step(MERGE, tmp_path / "whole", {"precision": "float32"}, given).checks[0].passed


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    given = inputs(tmp_path, torch.float32, 0.1)
    other = InputAsset("cd" * 32, "model", given["base"].directory, {}, ())
    with pytest.raises(UserError, match=f"for the base {BASE}"):
        run_step(MERGE, tmp_path, {}, {**given, "base": other})
