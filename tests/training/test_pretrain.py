from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from loresmith.data.shards import TokenShards
from loresmith.errors import Failure, Interrupted, UserError
from loresmith.evaluation.bits_per_byte import bits_per_byte, score_documents
from loresmith.factory.step import InputAsset, Result, Step
from loresmith.models.storage import load_weights, save_model
from loresmith.training.held_out import HeldOut
from loresmith.training.steps import DISTIL, PRETRAIN, PretrainConfig
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import RecordingContext, as_input, run_step
from tests.training.tiny_tokens import TINY, write_tokens


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> RecordingContext:
    return RecordingContext(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def trained(tokens: InputAsset, context: RecordingContext) -> Result:
    return run_step(PRETRAIN, context.folder, {**TINY, "budget_tokens": "1.3k"}, {"tokens": tokens}, context)


def refused(
    tokens: InputAsset, folder: Path, base: InputAsset | None = None, replay: InputAsset | None = None, **settings: Any
) -> UserError:
    """The error with which a training of these settings is refused; nothing was trained by then."""
    context = RecordingContext(folder)
    inputs = {"tokens": tokens} | ({"base": base} if base else {}) | ({"replay": replay} if replay else {})
    defaults = {key: value for key, value in TINY.items() if not (base and key == "architecture")}
    with pytest.raises(UserError) as caught:
        run_step(PRETRAIN, folder, {**defaults, **settings}, inputs, context)
    assert context.metrics == []
    return caught.value


def test_the_model_is_a_plain_directory_that_says_what_was_measured(
    trained: Result, tokens: InputAsset, context: RecordingContext
) -> None:
    made = trained.outputs["model"]
    model = AutoModelForCausalLM.from_pretrained(made.directory)
    tokenizer = AutoTokenizer.from_pretrained(made.directory)
    assert model.dtype == torch.bfloat16
    assert tokenizer.chat_template
    held_out = HeldOut(TokenShards.open(tokens.directory), TINY["held_out_tokens"], TINY["sequence_length"], 64)
    again = bits_per_byte(score_documents(model, held_out.documents, window=TINY["sequence_length"], batch_tokens=64))
    assert again == pytest.approx(made.metadata["held_out_bits_per_byte"], rel=2e-3)


def test_it_learns_more_than_the_alphabet(trained: Result, context: RecordingContext) -> None:
    losses = [value for name, value, _ in context.metrics if name == "loss"]
    assert losses[0] == pytest.approx(math.log(300), rel=0.01)
    assert losses[-1] < 0.8 * losses[0]


def test_facts_books_and_check_are_those_of_the_training(trained: Result, tokens: InputAsset) -> None:
    facts = trained.outputs["model"].metadata
    steps = 21  # 1,300 tokens in batches of 64, rounded up
    assert (facts["steps"], facts["tokens"]) == (steps, 64 * steps)
    once, lessons, counted = trained.books.accounts
    assert lessons.entered == counted.entered == counted.kept == 64 * steps
    assert once.entered == TokenShards.open(tokens.directory).splits["train"].tokens
    table = pyarrow.parquet.read_table(trained.outputs["books"].directory / "documents.parquet").to_pylist()
    assert sum(line["tokens"] for line in table) == once.entered
    assert sum(line["tokens"] + line["again"] for line in table if line["disposition"] == "kept") == 64 * steps
    (check,) = trained.checks
    assert (check.output, check.kind, check.passed) == ("model", "export-parity", True)
    assert check.evidence["largest_difference"] <= check.evidence["tolerance"] * max(1, check.evidence["largest_logit"])
    json.dumps([facts, check.evidence])


def test_the_curve_has_every_position_once(trained: Result, context: RecordingContext) -> None:
    for name, expected in (("loss", 21), ("learning_rate", 21), ("held_out_bits_per_byte", 6)):
        positions = [position for metric, _, position in context.metrics if metric == name]
        assert positions == sorted(set(positions))
        assert len(positions) == expected
        assert positions[-1] == 64 * 21
    done, total, unit, numbers = context.progressed[-1]
    assert (done, total, unit) == (64 * 21, 64 * 21, "tokens")
    assert {"loss", "held_out_bits_per_byte"} <= set(numbers)


def test_the_same_recipe_makes_the_same_files(trained: Result, tokens: InputAsset, tmp_path: Path) -> None:
    again = run_step(PRETRAIN, tmp_path, {**TINY, "budget_tokens": 1300}, {"tokens": tokens})
    one, other = trained.outputs["model"].directory, again.outputs["model"].directory
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {
        path.name: path.read_bytes() for path in other.iterdir()
    }
    assert trained.outputs["model"].metadata == again.outputs["model"].metadata


def test_every_byte_and_token_of_a_held_out_document_counts(tokens: InputAsset) -> None:
    shards = TokenShards.open(tokens.directory)
    everything = HeldOut(shards, 10**9, window=16, batch_tokens=64)
    assert everything.bytes == shards.splits["validation"].bytes
    uniform = torch.nn.Module()
    uniform.forward = lambda ids: type("Output", (), {"logits": torch.zeros(*ids.shape, 300)})()  # type: ignore[method-assign]
    uniform.register_parameter("weight", torch.nn.Parameter(torch.zeros(1)))
    split = shards.splits["validation"]
    assert everything.bits_per_byte(uniform) == pytest.approx(math.log2(300) * split.tokens / split.bytes)


def test_a_base_is_gone_on_from(trained: Result, tokens: InputAsset, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path)
    settings = {key: value for key, value in TINY.items() if key != "architecture"} | {"matrix_learning_rate": 1e-3}
    base = as_input("model", trained.outputs["model"])
    run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens, "base": base}, context)
    losses = [value for name, value, _ in context.metrics if name == "loss"]
    assert losses[0] < 0.8 * math.log(300)


BASED = {key: value for key, value in TINY.items() if key != "architecture"} | {"matrix_learning_rate": 1e-3}


@pytest.fixture(scope="module")
def base(trained: Result) -> InputAsset:
    return as_input("model", trained.outputs["model"])


def test_forgetting_shows_in_the_held_out_number_of_what_is_replayed(
    base: InputAsset, tokens: InputAsset, tmp_path: Path
) -> None:
    other = write_tokens(tmp_path / "general", validation=3)
    context = RecordingContext(tmp_path)
    inputs = {"tokens": tokens, "base": base, "replay": other}
    result = run_step(PRETRAIN, tmp_path, {**BASED, "replay_share": 0.25}, inputs, context)
    facts = result.outputs["model"].metadata
    for name in ("held_out_bits_per_byte", "general_bits_per_byte"):
        points = [(position, value) for metric, value, position in context.metrics if metric == name]
        assert points[0][0] == 0, "measured on the base"
        assert facts[f"{name}_of_base"] == pytest.approx(points[0][1], abs=1e-4)
        assert facts[name] == pytest.approx(points[-1][1], abs=1e-4)
    lessons = {account.unit: account.entered for account in result.books.accounts if "lessons" in account.unit}
    assert lessons["lessons from replay"] == 640 / 4
    assert lessons["lessons from tokens"] == 640 * 3 / 4


def test_an_adapter_is_trained_and_its_base_is_not(base: InputAsset, tokens: InputAsset, tmp_path: Path) -> None:
    settings = {**BASED, "adapter": {"rank": 4, "dropout": 0.1}, "adapter_learning_rate": 5e-3}
    context = RecordingContext(tmp_path)
    result = run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens, "base": base}, context)
    assert set(result.outputs) == {"adapter", "books"}
    made = result.outputs["adapter"]
    assert made.metadata["trained_parameters"] < 0.5 * made.metadata["parameters"]
    losses = [value for name, value, _ in context.metrics if name == "loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"isolate_documents": True},
        {"activation_checkpointing": True},
        {"optimiser": "adamw"},
        {"average_decay": 0.9},
        {"z_loss": 1e-4},
        {"architecture": {"model_type": "olmo3", "overrides": {"num_hidden_layers": 4, "hidden_size": 32,
         "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 64, "sliding_window": 8}},
         "isolate_documents": True},
    ],
)  # fmt: skip
def test_it_learns_whatever_the_settings(tokens: InputAsset, tmp_path: Path, settings: dict[str, Any]) -> None:
    context = RecordingContext(tmp_path)
    result = run_step(PRETRAIN, tmp_path, {**TINY, "budget_tokens": "2k", **settings}, {"tokens": tokens}, context)
    losses = [value for name, value, _ in context.metrics if name == "loss"]
    assert losses[-1] < 0.85 * losses[0]
    facts = result.outputs["model"].metadata
    assert ("averaged_held_out_bits_per_byte" in facts) == ("average_decay" in settings)


def test_checkpointed_activations_change_memory_and_not_the_result(
    trained: Result, tokens: InputAsset, tmp_path: Path
) -> None:
    settings = {**TINY, "budget_tokens": 1300, "activation_checkpointing": True}
    again = run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens})
    weights = [made.outputs["model"].directory / "model.safetensors" for made in (trained, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_an_average_is_kept_across_an_interruption(tokens: InputAsset, tmp_path: Path) -> None:
    settings = {**TINY, "average_decay": 0.9}
    whole = run_step(PRETRAIN, tmp_path / "whole", settings, {"tokens": tokens})
    stopping = RecordingContext(tmp_path / "cut", stop_after=5)
    with pytest.raises(Interrupted):
        run_step(PRETRAIN, tmp_path / "cut", settings, {"tokens": tokens}, stopping)
    cut = run_step(PRETRAIN, tmp_path / "cut", settings, {"tokens": tokens})
    weights = [made.outputs["model"].directory / "model.safetensors" for made in (whole, cut)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_without_a_validation_split_there_is_no_held_out_number_and_it_is_said(tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens", validation=0)
    context = RecordingContext(tmp_path)
    result = run_step(PRETRAIN, tmp_path, TINY, {"tokens": tokens}, context)
    assert "held_out_bits_per_byte" not in result.outputs["model"].metadata
    assert any("no held_out_bits_per_byte" in line and "no validation split" in line for line in context.logs)
    assert not any(name == "held_out_bits_per_byte" for name, _, _ in context.metrics)


def test_a_training_that_diverges_fails_and_says_what_to_do(tokens: InputAsset, tmp_path: Path) -> None:
    settings = {**TINY, "matrix_learning_rate": 1e30, "embedding_learning_rate": 1e30, "warmup_tokens": 1}
    settings["budget_tokens"] = "2k"
    with pytest.raises(Failure, match="diverged") as caught:
        run_step(PRETRAIN, tmp_path, settings, {"tokens": tokens})
    assert "lower the learning rates" in str(caught.value)
    huge = {**TINY, "matrix_learning_rate": 1e30, "budget_tokens": 128, "precision": "float32"}
    with pytest.raises(Failure, match="diverged: the model that it made computes NaN"):  # its losses were finite
        run_step(PRETRAIN, tmp_path / "b", huge, {"tokens": tokens})


def test_a_warmup_that_outlasts_the_training_is_said(tokens: InputAsset, tmp_path: Path) -> None:
    context = RecordingContext(tmp_path)
    run_step(PRETRAIN, tmp_path, {**TINY, "warmup_tokens": "1M"}, {"tokens": tokens}, context)
    assert any("never reach their height" in line for line in context.logs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matrix_learning_rate": 0}, "greater than 0"),
        ({"budget_tokens": "many"}, "not a count"),
        ({"batch_tokens": 100}, "not a multiple of sequence_length"),
        ({"architecture": {"width": 100}}, "not a multiple of head_dim"),
        ({"architecture": {"model_type": "qwen9"}}, "unknown model_type 'qwen9'; did you mean 'qwen3'"),
        ({"learning_rate": 1e-3}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_runs(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PretrainConfig.model_validate({**TINY, **settings})


def test_what_does_not_fit_together_is_found_before_the_first_step(
    trained: Result, tokens: InputAsset, tmp_path: Path
) -> None:
    base = as_input("model", trained.outputs["model"])
    cases = {
        "longer than the data": refused(tokens, tmp_path / "a", sequence_length=2**16, batch_tokens=2**16),
        "fewer than one batch": refused(tokens, tmp_path / "b", batch_tokens=2**16),
        "an adapter needs a base": refused(tokens, tmp_path / "c", adapter={"rank": 2}),
        "needs tokens to replay": refused(tokens, tmp_path / "f", replay_share=0.1),
        "has its own architecture": refused(tokens, tmp_path / "d", base, architecture={"width": 64}),
        "more than the model's 16 positions": refused(tokens, tmp_path / "e", base, sequence_length=32),
    }
    for message, error in cases.items():
        assert message in error.what


@pytest.mark.parametrize("step", [PRETRAIN, DISTIL])
def test_an_architecture_that_mixes_documents_is_not_given_several_in_a_row(
    step: Step, base: InputAsset, tokens: InputAsset, tmp_path: Path
) -> None:
    mamba = {"model_type": "mamba", "overrides": {"num_hidden_layers": 1, "hidden_size": 32, "state_size": 4}}
    inputs = {"tokens": tokens} if step is PRETRAIN else {"tokens": tokens, "teacher": base}
    with pytest.raises(UserError, match="MambaForCausalLM cannot keep documents apart that share a row"):
        run_step(step, tmp_path, {**TINY, "architecture": mamba, "isolate_documents": True}, inputs)


def test_a_base_that_cannot_be_used_is_named_before_the_first_step(
    trained: Result, tokens: InputAsset, tmp_path: Path
) -> None:
    def damaged(name: str) -> InputAsset:
        model = load_weights(trained.outputs["model"].directory)
        if name == "nan":
            model.model.norm.weight.data[0] = float("nan")
        elif name == "vocabulary":
            model.resize_token_embeddings(200)
        directory = tmp_path / name / "base"
        save_model(model, directory, tokens.directory / "tokenizer")
        if name == "truncated":
            weights = directory / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-100])
        elif name == "tokenizer":
            (directory / "tokenizer.json").write_text("{}", encoding="utf-8")
        elif name == "no tokenizer":
            (directory / "tokenizer.json").unlink()
        return InputAsset("0" * 64, "model", directory, {}, ())

    made_by = tokens.directory / "tokenizer" / "tokenizer.json"
    for name, message, where in (
        ("nan", "NaN or infinity, in model.norm.weight", "model.safetensors"),
        ("truncated", "damaged or cut short", "model.safetensors"),
        ("vocabulary", "a vocabulary of 300, the model an embedding of 200 rows", ""),
        ("tokenizer", "made by another tokenizer than the base's", made_by),
        ("no tokenizer", "the base's tokenizer.json is missing", "tokenizer.json"),
    ):
        error = refused(tokens, tmp_path / name, damaged(name))
        assert message in error.what
        assert error.where == str(tmp_path / name / "base" / where)


def test_text_that_another_tokenizer_packed_is_not_replayed(
    tokens: InputAsset, base: InputAsset, tmp_path: Path
) -> None:
    other = make_tokenizer().train_new_from_iterator(["other words, and other merges of them"] * 9, 300)
    assert len(other) <= len(make_tokenizer()), "so that its ids have rows in the embedding"
    replay = write_tokens(tmp_path / "replay", tokenizer=other)
    for share in (0.0, 0.25):
        for base_or_none in (base, None):
            error = refused(tokens, tmp_path / "out", base_or_none, replay, replay_share=share)
            assert error.what == "the replayed tokens were made by another tokenizer than the tokens'"
            assert error.where == str(replay.directory / "tokenizer" / "tokenizer.json")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the kernels")
def test_a_base_in_4_bits_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    missing = {
        role: InputAsset("0" * 64, kind, tmp_path / "nowhere", {}, ())
        for role, kind in (("tokens", "tokens"), ("base", "model"), ("replay", "tokens"))
    }
    with pytest.raises(UserError, match="4-bit kernels need an NVIDIA GPU"):
        run_step(PRETRAIN, tmp_path, {**BASED, "adapter": {"quantise_base": True}}, missing)
