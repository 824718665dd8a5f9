"""Fine-tuning on conversations learns what the assistant says, and finds what does not fit before the first step."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, MambaConfig

from loresmith.errors import Failure, Interrupted, UserError
from loresmith.factory.step import InputAsset, Result
from loresmith.models.build import build_model
from loresmith.models.conversation import ConversationRenderer
from loresmith.models.storage import save_model
from loresmith.training import predictor
from loresmith.training.steps import SFT, SftConfig
from tests.data.conversations import asked
from tests.models.foreign_templates import DROPS_SYSTEM, SMOLLM2
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import RecordingContext, as_input, run_step
from tests.training.tiny_messages import TINY_SFT, talk, write_chat_base, write_dataset


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    return write_chat_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    return write_dataset(tmp_path_factory.mktemp("dataset"), validation_share=0.15)


def tuned(
    folder: Path, dataset: InputAsset, base: InputAsset, context: RecordingContext | None = None, **settings: Any
) -> Result:
    return run_step(SFT, folder, {**TINY_SFT, **settings}, {"dataset": dataset, "base": base}, context)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory, dataset: InputAsset, base: InputAsset) -> Result:
    """A fine-tuning that others look at."""
    return tuned(tmp_path_factory.mktemp("learnt"), dataset, base, epochs=3)


@pytest.mark.parametrize("settings", [{"optimiser": "adamw"}, {"packing": False, "schedule": "cosine"}])
def test_it_learns_to_answer(tmp_path: Path, dataset: InputAsset, base: InputAsset, settings: dict[str, Any]) -> None:
    context = RecordingContext(tmp_path)
    result = tuned(tmp_path, dataset, base, context, epochs=4, adamw_matrix_learning_rate=0.01, **settings)
    held_out = [value for name, value, _ in context.metrics if name == "held_out_bits_per_byte"]
    assert held_out[-1] < 0.6 * held_out[0]
    facts = result.outputs["model"].metadata
    assert facts["held_out_bits_per_byte"] == pytest.approx(held_out[-1], abs=1e-4)
    assert facts["held_out_bits_per_byte_of_base"] == pytest.approx(held_out[0], abs=1e-4)


def test_what_comes_out_is_a_model_with_its_tokenizer_that_stops_at_the_end_of_a_turn(
    learnt: Result, base: InputAsset
) -> None:
    directory = learnt.outputs["model"].directory
    model, tokenizer = AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    assert tokenizer.chat_template == make_tokenizer().chat_template
    ends = model.generation_config.eos_token_id
    assert ends == [tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.eos_token_id]
    assert {path.name for path in directory.iterdir()} == {
        path.name for path in base.directory.iterdir()
    } | {"generation_config.json"}  # fmt: skip
    (check,) = learnt.checks
    assert check.passed


def test_the_books_are_those_of_the_records(learnt: Result, dataset: InputAsset) -> None:
    accounts = {account.unit: account for account in learnt.books.accounts}
    renderer = ConversationRenderer(make_tokenizer())
    rows = pyarrow.parquet.read_table(dataset.directory / "records.parquet").to_pylist()
    train = [renderer.render(json.loads(row["messages"])) for row in rows if row["split"] == "train"]
    assert accounts["tokens of dataset"].entered == sum(len(rendered.ids) for rendered in train)
    counted = sum(int(rendered.assistant_mask.sum()) for rendered in train)
    assert accounts["tokens of dataset"].kept == counted
    assert 3 * counted <= accounts["lessons from dataset, by the loop"].entered < 4 * counted
    table = pyarrow.parquet.read_table(learnt.outputs["books"].directory / "documents.parquet").to_pylist()
    assert {line["disposition"] for line in table} == {"kept", "masked"}
    assert {line["document"] for line in table} == {row["id"] for row in rows if row["split"] == "train"}


def test_an_adapter_is_trained_and_its_base_is_not(tmp_path: Path, dataset: InputAsset, learnt: Result) -> None:
    context, base = RecordingContext(tmp_path), as_input("model", learnt.outputs["model"])
    result = tuned(tmp_path, dataset, base, context, adapter={"rank": 8}, adapter_learning_rate=0.02, epochs=5)
    assert set(result.outputs) == {"adapter", "books"}
    held_out = [value for name, value, _ in context.metrics if name == "held_out_bits_per_byte"]
    assert held_out[-1] < held_out[0]
    assert (result.outputs["adapter"].directory / "tokenizer.json").is_file()


def test_a_stop_changes_nothing(tmp_path: Path, dataset: InputAsset, base: InputAsset) -> None:
    whole = tuned(tmp_path / "whole", dataset, base, epochs=1)
    with pytest.raises(Interrupted):
        tuned(tmp_path / "cut", dataset, base, RecordingContext(tmp_path / "cut", stop_after=8), epochs=1)
    cut = tuned(tmp_path / "cut", dataset, base, epochs=1)
    weights = [made.outputs["model"].directory / "model.safetensors" for made in (whole, cut)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_base_with_a_template_of_others_is_learnt_with_and_shipped_with_its_own(
    tmp_path: Path, dataset: InputAsset
) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = SMOLLM2
    result = tuned(
        tmp_path / "out", dataset, write_chat_base(tmp_path / "base", tokenizer), sequence_length=384, epochs=1
    )
    assert AutoTokenizer.from_pretrained(result.outputs["model"].directory).chat_template == SMOLLM2


def test_a_template_that_is_named_is_learnt_with_and_shipped(
    tmp_path: Path, dataset: InputAsset, base: InputAsset
) -> None:
    file = tmp_path / "smol.jinja"
    file.write_text(SMOLLM2, encoding="utf-8")
    result = tuned(tmp_path / "out", dataset, base, chat_template=str(file), sequence_length=384, epochs=1)
    directory = result.outputs["model"].directory
    assert AutoTokenizer.from_pretrained(directory).chat_template == SMOLLM2
    # what it names is part of what the step is known by, and can be laid out again
    assert SFT.fingerprint is not None
    assert SFT.restore_sources is not None
    config = SftConfig(chat_template=str(file))
    (tmp_path / "again").mkdir()
    again = SFT.restore_sources(config, {"model": directory}, tmp_path / "again")
    assert SFT.fingerprint(again) == SFT.fingerprint(config) != SFT.fingerprint(SftConfig())


def test_conversations_that_would_see_one_another_are_not_trained_on(
    tmp_path: Path, dataset: InputAsset, base: InputAsset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a defect that packing alone would suffer from: neither mask nor positions say where a conversation begins
    monkeypatch.setattr(predictor, "isolating_mask", lambda *_: None)
    monkeypatch.setattr(predictor, "position_ids", lambda documents: torch.arange(documents.shape[1])[None])
    with pytest.raises(Failure, match="another"):
        tuned(tmp_path / "packed", dataset, base, epochs=1)
    tuned(tmp_path / "alone", dataset, base, epochs=0.2, packing=False)


def test_epochs_are_of_the_dataset(tmp_path: Path, dataset: InputAsset, base: InputAsset) -> None:
    one = tuned(tmp_path / "one", dataset, base, epochs=1, packing=False)
    records = dataset.metadata["records"]["train"]
    assert one.outputs["model"].metadata["steps"] == math.ceil(records / 2)
    half = tuned(tmp_path / "half", dataset, base, epochs=0.5, packing=False)
    assert half.outputs["model"].metadata["steps"] == math.ceil(records / 4)
    budget = tuned(tmp_path / "budget", dataset, base, epochs=None, budget_tokens=384 * 3)
    assert budget.outputs["model"].metadata["steps"] == 3


def test_without_a_validation_split_it_is_said(tmp_path: Path, base: InputAsset) -> None:
    context = RecordingContext(tmp_path / "out")
    dataset = write_dataset(tmp_path, validation_share=0)
    result = tuned(tmp_path / "out", dataset, base, context, epochs=1)
    assert "held_out_bits_per_byte" not in result.outputs["model"].metadata
    assert any("there will be no held_out_bits_per_byte" in line for line in context.logs)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 1, "budget_tokens": 1000}, "two ways to say the same"),
        ({"epochs": 0}, "greater than 0"),
        ({"adamw_matrix_learning_rate": 0}, "greater than 0"),
        ({"embedding_learning_rate": 0}, "greater than 0"),
        ({"adapter_learning_rate": 0}, "greater than 0"),
        ({"batch_tokens": 100}, "not a multiple of sequence_length"),
        ({"learning_rate": 1e-3}, "Extra inputs"),
        ({"longer_than_window": "cut"}, "refuse"),
    ],
)
def test_settings_without_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SftConfig.model_validate(settings)


def test_three_epochs_are_the_default() -> None:
    assert SftConfig().epochs == 3
    assert SftConfig(budget_tokens="2k").epochs is None
    assert SftConfig.model_validate(SftConfig().model_dump()) == SftConfig()


SYSTEM = {"messages": [{"role": "system", "content": "Mind the gap."}, *asked("Where?")["messages"]]}


def test_what_does_not_fit_together_is_found_before_the_first_step(
    tmp_path: Path, dataset: InputAsset, base: InputAsset
) -> None:
    def refused(name: str, dataset: InputAsset = dataset, base: InputAsset = base, **settings: Any) -> str:
        context = RecordingContext(tmp_path / name)
        with pytest.raises((UserError, Failure)) as caught:
            tuned(tmp_path / name, dataset, base, context, **settings)
        assert not any(metric == "loss" for metric, _, _ in context.metrics)
        return str(caught.value)

    long = write_dataset(tmp_path / "long", [talk(1), asked("Where?", "There. " * 60)], validation_share=0)
    assert "talks.jsonl:2 (record 2): " in refused("window", long)
    assert "fewer than one batch" in refused("batch", batch_tokens=192 * 100)
    assert "more than the model's 512 positions" in refused("positions", sequence_length=1024, batch_tokens=1024)

    (tmp_path / "drops.jinja").write_text(DROPS_SYSTEM, encoding="utf-8")
    system = write_dataset(tmp_path / "system", [asked("a"), SYSTEM], validation_share=0)
    said = refused("drops", system, chat_template=str(tmp_path / "drops.jinja"))
    assert "talks.jsonl:2 (record 2): the chat template drops the system prompt" in said
    assert "cannot be read" in refused("nowhere", chat_template=str(tmp_path / "nowhere.jinja"))
    (tmp_path / "none.jinja").write_text("{{ messages[0].content }}", encoding="utf-8")
    assert "does not mark what the assistant writes" in refused("none", chat_template=str(tmp_path / "none.jinja"))

    larger = make_tokenizer()
    larger.add_tokens(["<|more|>"])
    mismatched = write_chat_base(tmp_path / "larger", larger)
    said = refused("larger", base=mismatched)
    assert f"{mismatched.directory}: the tokenizer has tokens up to 300, and the model's embedding 300 rows" in said
    bare = make_tokenizer()
    bare.chat_template = None
    assert "carries no chat template" in refused("bare", base=write_chat_base(tmp_path / "bare base", bare))

    broken = write_chat_base(tmp_path / "nan")
    weights = load_file(broken.directory / "model.safetensors")
    next(iter(weights.values()))[0] = math.nan
    save_file(weights, broken.directory / "model.safetensors", metadata={"format": "pt"})
    assert f"{broken.directory / 'model.safetensors'}: the weights hold NaN" in refused("nan out", base=broken)
    cut = write_chat_base(tmp_path / "cut")
    file = cut.directory / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert f"{file}: the weights are damaged or cut short" in refused("cut out", base=cut)


def test_held_out_records_longer_than_the_window_are_named(tmp_path: Path, base: InputAsset) -> None:
    records = [talk(1), talk(2), talk(3), *(asked(f"Where is {n}?", "There. " * 60) for n in range(6))]
    dataset = write_dataset(tmp_path, records, validation_share=0.5)
    with pytest.raises(UserError, match="records are longer than the window"):
        tuned(tmp_path / "a", dataset, base)
    context = RecordingContext(tmp_path / "b")
    tuned(tmp_path / "b", dataset, base, context, longer_than_window="drop", batch_tokens=192)
    assert any("longer than the window, and not in held_out_bits_per_byte: talks.jsonl:" in s for s in context.logs)


def test_a_template_that_is_no_jinja_is_named_by_its_line(
    tmp_path: Path, dataset: InputAsset, base: InputAsset
) -> None:
    (tmp_path / "broken.jinja").write_text("{{ messages[0].content }}\n{% if %}", encoding="utf-8")
    with pytest.raises(UserError, match="line 2 of the chat template is not valid Jinja"):
        tuned(tmp_path, dataset, base, chat_template=str(tmp_path / "broken.jinja"))


def test_an_architecture_that_mixes_conversations_is_not_given_several_in_a_row(
    dataset: InputAsset, tmp_path: Path
) -> None:
    config = MambaConfig(vocab_size=len(make_tokenizer()), hidden_size=32, num_hidden_layers=1, state_size=4)
    save_model(build_model(config, seed=0), tmp_path / "mamba", write_chat_base(tmp_path / "base").directory)
    base = InputAsset("1" * 64, "model", tmp_path / "mamba", {}, ())
    with pytest.raises(UserError, match="MambaForCausalLM cannot keep documents apart that share a row"):
        tuned(tmp_path / "out", dataset, base)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the kernels")
def test_a_base_in_4_bits_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    missing = {
        role: InputAsset("0" * 64, kind, tmp_path / "nowhere", {}, ())
        for role, kind in (("dataset", "dataset"), ("base", "model"))
    }
    with pytest.raises(UserError, match="4-bit kernels need an NVIDIA GPU"):
        run_step(SFT, tmp_path, {**TINY_SFT, "adapter": {"quantise_base": True}}, missing)
