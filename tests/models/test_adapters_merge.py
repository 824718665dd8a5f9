from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from loresmith.errors import UserError
from loresmith.models.adapter_merge import TOLERANCE, MergeParity, merge_directories
from loresmith.models.adapter_peft import peft
from loresmith.models.adapter_settings import AdapterSettings
from loresmith.models.adapter_storage import save_adapter
from loresmith.models.adapters import add_adapter, merge_adapter
from loresmith.models.storage import load_weights, save_model
from tests.models.adapted_models import BASE, adapted, learnt, logits, small
from tests.models.tiny_tokenizer import make_tokenizer

KINDS = [("qwen3", "lora"), ("qwen3", "dora"), ("qwen3", "rslora"), ("gpt2", "dora"), ("mixtral", "rslora")]


def save_base(directory: Path, dtype: torch.dtype = torch.float32) -> Path:
    make_tokenizer().save_pretrained(directory)
    save_model(small().to(dtype), directory)
    return directory


@pytest.mark.parametrize(("family", "variant"), KINDS)
def test_a_merged_model_is_a_plain_one_that_says_what_the_two_said(family: str, variant: str, tmp_path: Path) -> None:
    model, plain = adapted(family, variant), small(family)
    save_adapter(model, tmp_path, BASE)
    said = logits(model)
    merged = merge_adapter(model)
    assert not any(type(module).__module__.startswith("peft") for module in merged.modules())
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert all(parameter.requires_grad for parameter in merged.parameters())
    assert float((logits(merged) - said).abs().max()) < TOLERANCE * float(said.std())
    assert not torch.allclose(said, logits(plain), atol=0.01)

    theirs = peft.PeftModel.from_pretrained(plain, str(tmp_path)).merge_and_unload(safe_merge=True)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, merged.state_dict()[name]), name


@pytest.mark.parametrize("variant", ["lora", "dora", "rslora"])
def test_merging_on_disk_is_exact_and_leaves_a_model_of_its_own(variant: str, tmp_path: Path) -> None:
    base, model = save_base(tmp_path / "base"), adapted(variant=variant)
    save_adapter(model, tmp_path / "adapter", BASE)
    merged = merge_directories(base, BASE, tmp_path / "adapter", tmp_path / "merged", "stored")
    assert merged.parity.passed
    assert merged.parity.evidence()["tokens"] > 300
    assert merged.parity.effect > 0.1
    assert merged.stored_tensors == merged.merged_tensors == (42 if variant == "dora" else 28)
    assert merged.facts == {
        "model_type": "qwen3",
        "parameters": sum(parameter.numel() for parameter in small().parameters()),
        "vocabulary_size": 300,
    }
    torch.save(logits(model), tmp_path / "logits.pt")
    script = (
        "import sys, torch; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(tmp_path / 'merged')!r})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(tmp_path / 'merged')!r})\n"
        "assert not {'loresmith', 'peft'} & set(sys.modules)\n"
        "ids = torch.randint(0, 300, (2, 24), generator=torch.Generator().manual_seed(5))\n"
        f"assert torch.allclose(model(ids).logits, torch.load({str(tmp_path / 'logits.pt')!r}), atol=1e-4)\n"
        "assert tokenizer.chat_template\n"
    )
    if variant == "dora":  # one process is enough to see that it can be done
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
        subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert torch.allclose(logits(load_weights(tmp_path / "merged")), logits(model), atol=1e-4)


@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_an_adapter_of_few_digits_that_learnt_with_dropout_is_merged_as_exactly(variant: str, tmp_path: Path) -> None:
    base, model = save_base(tmp_path / "base"), adapted(variant=variant, dropout=0.2)
    save_adapter(model.bfloat16(), tmp_path / "adapter", BASE)
    assert merge_directories(base, BASE, tmp_path / "adapter", tmp_path / "merged", "stored").parity.passed


def test_the_adapters_tokenizer_comes_before_the_bases(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    learnt_with = make_tokenizer()
    learnt_with.chat_template = "{{ messages[0].content }}"
    learnt_with.save_pretrained(tmp_path / "tokenizer")
    save_adapter(adapted(), tmp_path / "adapter", BASE, tokenizer=tmp_path / "tokenizer")
    merge_directories(base, BASE, tmp_path / "adapter", tmp_path / "merged", "stored")
    assert (tmp_path / "merged" / "chat_template.jinja").read_text() == learnt_with.chat_template
    assert not (tmp_path / "merged" / "adapter_config.json").exists()


def test_a_small_update_that_rounding_would_swallow_is_seen(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", torch.bfloat16)
    for size, swallowed in ((0.1, False), (0.0001, True)):
        adapter = tmp_path / f"adapter-{size}"
        model = load_weights(base, torch.float32)
        add_adapter(model, AdapterSettings(rank=4), seed=0)
        save_adapter(learnt(model, size), adapter, BASE)
        rounded = merge_directories(base, BASE, adapter, tmp_path / f"rounded-{size}", "stored").parity
        assert rounded.precision == "bfloat16"
        assert rounded.exact
        assert (rounded.lost_in_rounding, rounded.passed) == (swallowed, not swallowed)
        whole = merge_directories(base, BASE, adapter, tmp_path / f"whole-{size}", "float32").parity
        assert whole.passed
        assert whole.saved_difference <= TOLERANCE * whole.spread
        assert load_weights(tmp_path / f"whole-{size}").dtype == torch.float32


def test_a_merge_that_is_not_exact_does_not_pass() -> None:
    parity = MergeParity(
        tokens=100,
        spread=2.0,
        effect=1.0,
        merge_difference=1e-5,
        saved_difference=1e-5,
        saved_error=1e-6,
        precision="float32",
    )
    assert parity.passed
    assert not dataclasses.replace(parity, merge_difference=3e-4).passed
    assert not dataclasses.replace(parity, saved_difference=3e-4).passed
    assert not dataclasses.replace(parity, merge_difference=3e-4, precision="bfloat16").passed
    assert dataclasses.replace(parity, saved_difference=0.5, saved_error=0.1, precision="bfloat16").passed
    assert not dataclasses.replace(parity, saved_difference=0.5, saved_error=0.3, precision="bfloat16").passed


def test_another_base_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    save_adapter(adapted(), tmp_path / "adapter", BASE)
    with pytest.raises(UserError, match="for the base"):
        merge_directories(tmp_path / "none", "cd" * 32, tmp_path / "adapter", tmp_path / "merged", "stored")
    assert not (tmp_path / "merged").exists()
