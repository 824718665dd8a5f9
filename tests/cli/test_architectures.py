"""`loresmith models`: the named sizes, and what a recipe's models cost, before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.models.architecture import Architecture
from loresmith.models.presets import PRESETS
from tests.cli.conftest import CommandLine

RECIPE = """\
name: try
steps:
  files: {step: ingest, path: documents}
  corpus: {step: curate, documents: files}
  tokenizer: {step: train-tokenizer, corpus: corpus, vocabulary_size: 1024}
  tokens: {step: pack, corpus: corpus, tokenizer: tokenizer}
  small: {step: pretrain, tokens: tokens, architecture: {layers: 2, width: 64}, budget_tokens: 1M}
  mixed:
    step: pretrain
    tokens: tokens
    architecture: {family: mixtral, layers: 2, width: 64, tied_embeddings: true}
    optimiser: adamw
    average_decay: 0.99
    precision: float32
  more: {step: pretrain, tokens: tokens, base: small, adapter: {rank: 4}, precision: bfloat16}
"""


def described(cli: CommandLine, recipe: str = RECIPE, *words: str) -> dict[str, Any]:
    cli.write("train.yaml", recipe)
    done = cli("models", "describe", "train.yaml", "--json", *words)
    assert done.status == 0, done.err
    return {model["step"]: model for model in done.json["models"]}


def test_presets_are_those_that_a_recipe_takes(cli: CommandLine) -> None:
    listed = cli("models", "presets", "--json").json["presets"]
    assert [preset["name"] for preset in listed] == list(PRESETS)
    for preset in listed:
        shape = Architecture(preset=preset["name"])
        assert (preset["layers"], preset["width"], preset["family"]) == (shape.layers, shape.width, shape.family)
        assert (preset["kind"] == "moe") == (preset["active_parameters"] < preset["parameters"])


def test_presets_of_one_kind(cli: CommandLine) -> None:
    kinds = {
        kind: {preset["kind"] for preset in cli("models", "presets", "--kind", kind, "--json").json["presets"]}
        for kind in ("dense", "moe")
    }
    assert kinds == {"dense": {"dense"}, "moe": {"moe"}}
    assert "qwen3-moe-26m" in cli("models", "presets").out


def test_presets_need_no_workspace(tmp_path: Path, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("models", "presets").status == 0


def test_each_step_that_trains_is_described_with_its_own_shape(cli: CommandLine) -> None:
    models = described(cli)
    assert list(models) == ["small", "mixed", "more"]
    small, mixed = models["small"], models["mixed"]
    assert (small["model_type"], small["layers"], small["width"], small["experts"]) == ("qwen3", 2, 64, None)
    assert (mixed["model_type"], mixed["experts"], mixed["experts_per_token"]) == ("mixtral", 8, 2)
    assert small["cost"]["parameters"] == small["cost"]["active_parameters"] == small["trained_parameters"]
    assert mixed["cost"]["active_parameters"] < mixed["cost"]["parameters"]
    assert small["training_flops"] == 1e6 * small["cost"]["training_flops_per_token"]
    assert small["cost"]["chinchilla_tokens"] == 20 * small["cost"]["active_parameters"]
    assert {model["vocabulary_size"] for model in models.values()} == {1024}
    assert small["vocabulary_from"] == "the step 'tokenizer'"


def test_memory_follows_the_recipe_s_settings(cli: CommandLine) -> None:
    mixed = described(cli)["mixed"]
    parameters, memory = mixed["cost"]["parameters"], mixed["memory"]
    assert mixed["compute_type"] == "float32"
    assert memory["weights"] == memory["gradients"] == memory["average"] == 4 * parameters
    assert memory["optimiser"] == 8 * parameters
    parts = ("weights", "gradients", "optimiser", "average", "activations")
    assert memory["total"] == sum(memory[part] for part in parts)
    recomputed = described(cli, RECIPE, "--set", "steps.mixed.activation_checkpointing=true")["mixed"]["memory"]
    assert recomputed["activations"] < memory["activations"]
    muon = described(cli, RECIPE, "--set", "steps.mixed.optimiser=muon")["mixed"]["memory"]
    assert 4 * parameters < muon["optimiser"] < 8 * parameters


def test_an_adapter_trains_little_of_its_base(cli: CommandLine) -> None:
    models = described(cli)
    more, small = models["more"], models["small"]
    assert more["shape_from"] == "its base, 'small'"
    assert more["cost"] == small["cost"]
    assert more["trained_parameters"] < 0.2 * small["trained_parameters"]
    assert more["memory"]["optimiser"] == 8 * more["trained_parameters"]
    assert more["memory"]["weights"] == 2 * (more["cost"]["parameters"] + more["trained_parameters"]) + (
        4 * more["trained_parameters"]
    )


def test_tokens_and_bases_that_are_assets_say_what_they_are(fresh: CommandLine, used_folder: Path) -> None:
    with Workspace.open(used_folder) as used, Workspace.open(fresh.folder) as workspace:
        base = workspace.assets.add("model", used.releases["writer"].asset().directory)
        (fresh.folder / "ids").mkdir()
        (fresh.folder / "ids" / "index.json").write_text("{}")
        tokens = workspace.assets.add("tokens", fresh.folder / "ids", metadata={"vocabulary_size": 777})
    recipe = f"""\
name: try
steps:
  new: {{step: pretrain, tokens: {tokens.digest}, architecture: {{preset: qwen3-1m}}}}
  on: {{step: pretrain, tokens: {tokens.digest}, base: {base.digest}}}
"""
    models = described(fresh, recipe)
    assert (models["new"]["vocabulary_size"], models["new"]["vocabulary_from"]) == (
        777,
        f"tokens {tokens.digest[:12]}",
    )
    assert models["on"]["shape_from"] == f"its base, model {base.digest[:12]}"
    assert (models["on"]["layers"], models["on"]["width"]) == (1, 16)
    assert models["on"]["cost"]["parameters"] == sum(tensor.numel() for tensor in _tensors(base.directory))


def _tensors(directory: Path) -> list[Any]:
    from loresmith.models.storage import load_weights

    return list(load_weights(directory).parameters())


def test_a_person_reads_the_same_numbers(cli: CommandLine) -> None:
    cli.write("train.yaml", RECIPE)
    done = cli("models", "describe", "train.yaml")
    assert done.status == 0
    for said in ("2 of 8 experts a token", "1,024 tokens, from the step 'tokenizer'", "Chinchilla-optimal", "trained"):
        assert said in done.out


def test_a_wrong_key_is_answered_with_line_and_the_nearest(cli: CommandLine) -> None:
    cli.write("train.yaml", RECIPE.replace("tied_embeddings: true", "tied_embedding: true"))
    done = cli("models", "describe", "train.yaml")
    assert done.status == 2
    assert "train.yaml:11: unknown key 'tied_embedding' in steps.mixed.architecture" in done.err
    assert "did you mean 'tied_embeddings'" in done.err


def test_a_recipe_without_a_model_is_said(cli: CommandLine) -> None:
    done = cli("models", "describe", "recipe.yaml")
    assert done.status == 2
    assert "this recipe trains no model" in done.err


OTHERS = (
    RECIPE
    + """\
  talks: {step: ingest-messages, path: talks.jsonl}
  tuned: {step: sft, dataset: talks, base: small}
  tuned-long: {step: sft, dataset: talks, base: small, budget_tokens: 1M, sequence_length: 256}
  student:
    step: distil
    tokens: tokens
    teacher: small
    architecture: {layers: 1, width: 64}
    budget_tokens: 1M
    precision: bfloat16
  alone: {step: pretrain, tokens: tokens, architecture: {layers: 1, width: 64}, budget_tokens: 1M, precision: bfloat16}
  plain: {step: pretrain, tokens: tokens, base: small, adapter: {rank: 4}, precision: bfloat16}
  in-4-bits:
    step: pretrain
    tokens: tokens
    base: small
    adapter: {rank: 4, quantise_base: true}
    precision: bfloat16
"""
)


def test_epochs_of_a_dataset_that_nobody_has_read_are_said_instead_of_tokens(cli: CommandLine) -> None:
    models = described(cli, OTHERS)
    tuned, longer = models["tuned"], models["tuned-long"]
    assert (tuned["epochs"], tuned["budget_tokens"], tuned["training_flops"]) == (3, None, None)
    assert (longer["epochs"], longer["budget_tokens"]) == (None, 1_000_000)
    assert longer["training_flops"] == 1e6 * longer["cost"]["training_flops_per_token"]
    assert tuned["shape_from"] == "its base, 'small'"
    assert "3 epochs" in cli("models", "describe", "train.yaml").out


def test_a_teacher_is_in_the_memory_and_in_the_operations(cli: CommandLine) -> None:
    models = described(cli, OTHERS)
    student, alone, teacher = models["student"], models["alone"], models["small"]
    assert student["cost"] == alone["cost"]
    assert student["teacher_parameters"] == teacher["cost"]["parameters"]
    assert student["memory"]["total"] - alone["memory"]["total"] == 2 * teacher["cost"]["parameters"]
    reading = teacher["cost"]["forward_flops_per_token"]
    assert student["training_flops"] - alone["training_flops"] == pytest.approx(1e6 * reading, rel=1e-9)
    assert "FLOPs a token, teacher" in cli("models", "describe", "train.yaml").out


def test_a_base_in_4_bits_is_described_where_it_could_not_be_trained(cli: CommandLine) -> None:
    models = described(cli, OTHERS)
    plain, quantised = models["plain"], models["in-4-bits"]
    assert quantised["cost"] == plain["cost"]
    assert quantised["trained_parameters"] == plain["trained_parameters"]
    # all linear maps, which is all but the embeddings and the norms
    maps = plain["cost"]["parameters"] - plain["cost"]["embedding_parameters"]
    saved = plain["memory"]["weights"] - quantised["memory"]["weights"]
    assert saved == pytest.approx(maps * (2 - 4.127 / 8), rel=0.02)
    for part in ("gradients", "optimiser", "activations"):
        assert quantised["memory"][part] == plain["memory"][part]


def test_a_base_that_cannot_be_kept_in_4_bits_is_said_so(cli: CommandLine) -> None:
    of_experts = OTHERS.replace("base: small\n    adapter: {rank: 4, q", "base: mixed\n    adapter: {rank: 4, q")
    cli.write("train.yaml", of_experts)
    done = cli("models", "describe", "train.yaml")
    assert done.status == 2
    assert "cannot give the experts of a mixture" in done.err


def test_a_base_is_described_as_soon_as_it_is_there(fresh: CommandLine, used_folder: Path) -> None:
    with Workspace.open(used_folder) as used:
        used.releases["writer"].asset().export(fresh.folder / "writer")
    (fresh.folder / "documents").mkdir()
    (fresh.folder / "documents" / "a.txt").write_text("hello")
    recipe = """\
name: on
steps:
  files: {step: ingest, path: documents}
  corpus: {step: curate, documents: files}
  brought: {step: import-model, path: writer}
  tokens: {step: pack, corpus: corpus, tokenizer: brought.tokenizer}
  more: {step: pretrain, tokens: tokens, base: brought.model}
  new: {step: pretrain, tokens: tokens, architecture: {preset: qwen3-1m}}
"""
    fresh.write("train.yaml", recipe)
    before = fresh("models", "describe", "train.yaml", "--json").json
    assert before["models"] == []
    assert before["unknown"] == [
        {"step": "more", "reason": "its model is yet to be made, by the step 'brought'"},
        {"step": "new", "reason": "its tokenizer is yet to be made, by the step 'brought'"},
    ]
    fresh.write("import.yaml", "name: on\nsteps:\n  brought: {step: import-model, path: writer}\n")
    assert fresh("run", "import.yaml").status == 0
    after = described(fresh, recipe)
    assert (after["more"]["layers"], after["more"]["width"]) == (1, 16)
    assert after["more"]["vocabulary_size"] == after["new"]["vocabulary_size"] > 256
