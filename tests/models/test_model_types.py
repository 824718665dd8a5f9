from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from loresmith.errors import Failure, UserError
from loresmith.models import model_types
from loresmith.models.architecture import Architecture, transformers_config
from loresmith.models.build import build_model
from loresmith.models.cost import cost_of, on_meta
from loresmith.models.generate import complete
from loresmith.models.model_types import read_config, register
from loresmith.models.storage import load_weights, save_model
from loresmith.validation import validate
from tests.models.tiny_tokenizer import make_tokenizer

KEYS = {"hidden_size": 16, "num_hidden_layers": 2, "forgetting": 0.25}


def word_mixer() -> torch.nn.Module:
    shape = Architecture(model_type="word-mixer", overrides=KEYS)
    return build_model(transformers_config(shape, vocabulary_size=40, positions=64), seed=3)


def test_a_third_party_s_class_is_a_model_like_any_other(tmp_path: Path) -> None:
    model = word_mixer()
    assert type(model).__module__ == "loresmith_words.modeling"
    assert (model.config.vocab_size, model.config.forgetting) == (40, 0.25)
    ids = torch.arange(12)[None]
    assert torch.equal(model(ids).logits, torch.zeros(1, 12, 40))  # our initialisation: the head is zero
    assert cost_of(on_meta(model.config), 64).parameters == sum(p.numel() for p in model.parameters())

    model.lm_head.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    save_model(model, tmp_path)
    assert torch.equal(load_weights(tmp_path)(ids).logits, model(ids).logits)


def test_a_saved_one_loads_in_a_process_that_has_not_met_its_class(tmp_path: Path) -> None:
    save_model(word_mixer(), tmp_path)
    script = f"""
from pathlib import Path
from loresmith.models.storage import load_weights
from loresmith.models.model_types import read_config
print(type(load_weights(Path({str(tmp_path)!r}))).__name__)
assert read_config(Path({str(tmp_path)!r})).forgetting == 0.25
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "WordMixerForCausalLM\n"), done.stderr


def test_its_keys_are_checked_as_those_of_any_config() -> None:
    data = {"model_type": "word-mixer", "overrides": {"forgeting": 0.5}}
    with pytest.raises(UserError, match=r"'forgeting' in the config of word-mixer; did you mean 'forgetting'"):
        validate(Architecture, data, {}, "recipe.yaml")
    with pytest.raises(UserError, match="did you mean 'word-mixer'"):
        validate(Architecture, {"model_type": "word-mixr"}, {}, "recipe.yaml")


def test_it_writes_though_it_keeps_no_cache() -> None:
    tokenizer = make_tokenizer()
    shape = Architecture(model_type="word-mixer", overrides=KEYS)
    model = build_model(transformers_config(shape, vocabulary_size=300, positions=64), seed=3).eval()
    model.lm_head.weight.data[3:].normal_(generator=torch.Generator().manual_seed(0))  # no special token is likely
    ids = tokenizer("def f")["input_ids"]
    for _ in range(12):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    expected = tokenizer.decode(ids[-12:], skip_special_tokens=True)
    assert "".join(complete(model, tokenizer, "def f", max_new_tokens=12)) == expected


def test_another_version_of_the_package_is_another_architecture() -> None:
    shape = Architecture(model_type="word-mixer", overrides=KEYS)
    assert shape.provided_by == "loresmith-words 1.0"
    written = shape.model_dump(mode="json")
    assert Architecture.model_validate(written) == shape
    with pytest.raises(UserError, match=r"of loresmith-words 0\.9 was meant, and loresmith-words 1\.0 provides it"):
        validate(Architecture, {**written, "provided_by": "loresmith-words 0.9"}, {}, "plan.json")
    with pytest.raises(UserError, match="and transformers provides it"):
        validate(Architecture, {"model_type": "llama", "provided_by": "loresmith-words 1.0"}, {}, "plan.json")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("word-gone", "loresmith_words.nowhere:Gone", "does not load from loresmith_words.nowhere:Gone"),
        ("word-mess", "loresmith_words.modeling:NotAModel", "is no transformers model class"),
        ("word-other", "loresmith_words.modeling:WordMixerForCausalLM", "whose config_class has that model_type"),
    ],
)
def test_a_package_that_offers_something_else_is_named(
    name: str, value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[loresmith.models]\n{name} = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    model_types._offered.cache_clear()
    try:
        with pytest.raises(Failure, match=message):
            register(name)
    finally:
        monkeypatch.undo()
        model_types._offered.cache_clear()


def test_what_is_no_model_s_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read this model's config"):
        read_config(tmp_path)
