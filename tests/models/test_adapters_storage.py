from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from loresmith.errors import UserError
from loresmith.models.adapter_peft import peft
from loresmith.models.adapter_storage import (
    CONFIG,
    WEIGHTS,
    base_of,
    load_adapted,
    load_adapter,
    require_same_base,
    save_adapter,
)
from loresmith.models.adapters import adapter_parameters, is_adapter_parameter
from loresmith.models.storage import save_model
from tests.models.adapted_models import BASE, adapted, logits, small
from tests.models.tiny_tokenizer import make_tokenizer

KINDS = [("qwen3", "lora"), ("qwen3", "dora"), ("qwen3", "rslora"), ("gpt2", "lora"), ("mixtral", "lora")]


def digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def loaded(directory: Path, base: Any, digest: str = BASE, **keys: Any) -> Any:
    load_adapter(base, directory, digest, **keys)
    return base.eval()


@pytest.mark.parametrize(("family", "variant"), KINDS)
def test_saved_and_loaded_it_says_the_same_and_makes_the_same_bytes(family: str, variant: str, tmp_path: Path) -> None:
    model = adapted(family, variant)
    save_adapter(model, tmp_path / "one", BASE)
    again = loaded(tmp_path / "one", small(family))
    assert torch.equal(logits(again), logits(model))
    save_adapter(again, tmp_path / "elsewhere" / "two", BASE)
    assert digests(tmp_path / "one") == digests(tmp_path / "elsewhere" / "two")
    assert set(digests(tmp_path / "one")) == {CONFIG, WEIGHTS}
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in (tmp_path / "elsewhere" / "two").iterdir())


@pytest.mark.parametrize(("family", "variant"), [*KINDS, ("qwen3_moe", "rslora")])
def test_peft_loads_it_as_its_own(family: str, variant: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    model = adapted(family, variant)
    save_adapter(model, tmp_path, BASE)
    theirs = peft.PeftModel.from_pretrained(small(family), str(tmp_path)).eval()
    assert torch.equal(logits(theirs), logits(model))
    assert not torch.allclose(logits(theirs), logits(small(family)), atol=0.01)
    assert not [warning for warning in recwarn if "keys" in str(warning.message)]


def test_pefts_own_directory_is_loaded_as_one_of_ours(tmp_path: Path) -> None:
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "down_proj"], use_dora=True)
    theirs = peft.get_peft_model(small(), config).eval()
    for name, parameter in theirs.named_parameters():
        if is_adapter_parameter(name):
            parameter.data += 0.1
    theirs.save_pretrained(str(tmp_path), save_embedding_layers=False)
    settings = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**settings, "base_model_name_or_path": BASE}))
    assert torch.equal(logits(loaded(tmp_path, small())), logits(theirs))


def test_nothing_but_the_adapter_is_written(tmp_path: Path) -> None:
    save_adapter(adapted(target_modules=["q_proj"]), tmp_path, BASE)
    with safe_open(tmp_path / WEIGHTS, framework="pt") as tensors:
        names = set(tensors.keys())
        assert tensors.metadata() == {"format": "pt"}
    layers = [f"base_model.model.model.layers.{n}.self_attn.q_proj.lora_{part}.weight" for n in (0, 1) for part in "AB"]
    assert names == set(layers)
    assert json.loads((tmp_path / CONFIG).read_text())["target_modules"] == ["q_proj"]
    assert base_of(tmp_path) == BASE


def test_a_loaded_adapter_is_frozen_unless_it_is_to_be_trained(tmp_path: Path) -> None:
    save_adapter(adapted(), tmp_path, BASE)
    assert not any(parameter.requires_grad for parameter in loaded(tmp_path, small()).parameters())
    trainable = loaded(tmp_path, small(), trainable=True)
    assert {n for n, p in trainable.named_parameters() if p.requires_grad} == {
        n for n, _ in adapter_parameters(trainable)
    }


def test_the_tokenizer_it_learnt_with_goes_along_and_weights_never_do(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make_tokenizer().save_pretrained(base)
    save_model(small(), base)
    save_adapter(adapted(), tmp_path / "adapter", BASE, tokenizer=base)
    assert "tokenizer.json" in digests(tmp_path / "adapter")
    assert not {"model.safetensors", "config.json", "generation_config.json"} & set(digests(tmp_path / "adapter"))
    model, tokenizer = load_adapted(base, BASE, tmp_path / "adapter")
    assert torch.equal(logits(model), logits(adapted()))
    assert tokenizer.chat_template


def test_in_bfloat16_a_base_takes_an_adapter_of_more_digits(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make_tokenizer().save_pretrained(base)
    save_model(small(), base)
    for variant in ("lora", "dora"):
        model = adapted(variant=variant)
        save_adapter(model, tmp_path / variant, BASE)
        rounded, _ = load_adapted(base, BASE, tmp_path / variant, torch.bfloat16)
        assert rounded.dtype == torch.bfloat16
        error, effect = (one - logits(model) for one in (logits(rounded).float(), logits(small())))
        assert float(error.std()) < 0.1 * float(effect.std())


def test_an_adapter_for_another_base_is_named_by_both_digests(tmp_path: Path) -> None:
    save_adapter(adapted(), tmp_path, BASE)
    require_same_base(tmp_path, BASE)
    with pytest.raises(UserError, match=f"for the base {BASE}, and not for {'cd' * 32}") as caught:
        loaded(tmp_path, small(), "cd" * 32)
    assert caught.value.where == str(tmp_path / CONFIG)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"hidden_size": 64}, r"down_proj\.lora_B\.weight has the shape \(32, 4\), and this base needs \(64, 4\)"),
        ({"num_hidden_layers": 1}, r"has model\.layers\.1\.\S+, for which this base has no place"),
        ({"num_hidden_layers": 3}, r"lacks model\.layers\.2\.\S+, which this base needs"),
        ({"family": "gpt2"}, "cannot add this adapter"),
    ],
)
def test_a_base_of_another_shape_is_named_by_its_first_matrix(
    base: dict[str, Any], message: str, tmp_path: Path
) -> None:
    save_adapter(adapted(), tmp_path, BASE)
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, small(**base))


def test_what_is_no_adapter_or_a_damaged_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter_config\.json"):
        loaded(tmp_path, small())
    save_adapter(adapted(), tmp_path, BASE)
    weights, config = tmp_path / WEIGHTS, tmp_path / CONFIG
    whole, settings = weights.read_bytes(), json.loads(config.read_text())

    for left in (0, 7, 1000, len(whole) - 1):
        weights.write_bytes(whole[:left])
        with pytest.raises(UserError, match="damaged or cut short") as caught:
            loaded(tmp_path, small())
        assert caught.value.where == str(weights)

    weights.write_bytes(whole)
    tensors = load_file(weights)
    name = sorted(tensors)[3]
    tensors[name][0, 0] = float("nan")
    save_file(tensors, weights)
    with pytest.raises(UserError, match=f"NaN or infinity, in {name}"):
        loaded(tmp_path, small())

    weights.unlink()
    (tmp_path / "adapter_model.bin").write_bytes(whole)
    with pytest.raises(UserError, match=r"no adapter_model\.safetensors"):
        loaded(tmp_path, small())

    config.write_text(json.dumps({**settings, "peft_type": "IA3"}))
    with pytest.raises(UserError, match="of the type IA3"):
        loaded(tmp_path, small())
    config.write_text(json.dumps({**settings, "base_model_name_or_path": None}))
    with pytest.raises(UserError, match="does not say which base"):
        loaded(tmp_path, small())
    config.write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        loaded(tmp_path, small())


SCRIPT = """
import sys
from pathlib import Path
reached = []
sys.addaudithook(lambda event, _: reached.append(event) if event.startswith("socket.") else None)
from loresmith.models.adapter_storage import load_adapter, save_adapter
from loresmith.models.adapters import merge_adapter
from tests.models.adapted_models import BASE, adapted, small
save_adapter(adapted(), Path(sys.argv[1]), BASE)
model = small()
load_adapter(model, Path(sys.argv[1]), BASE)
merge_adapter(model)
assert not reached, reached
"""


def test_another_process_makes_the_same_bytes_and_reaches_no_network(tmp_path: Path) -> None:
    save_adapter(adapted(), tmp_path / "here", BASE)
    hidden = {"HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_OFFLINE"}
    settings = {key: value for key, value in os.environ.items() if key not in hidden}
    subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "there")],
        env={**settings, "PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert digests(tmp_path / "here") == digests(tmp_path / "there")
