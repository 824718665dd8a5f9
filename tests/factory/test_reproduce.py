"""A lineage run again says whether the same comes of it, and if not, where the first difference is and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import Failure, UserError
from loresmith.factory.reproduction.report import Reproduction, StepReproduction
from loresmith.ledger import Action, ActionRecord, OutputRecord
from tests.factory.conftest import Factory

GREETING = """
hello: {step: write-text, text: hello, labels: [restricted]}
world: {step: write-text, text: world}
count: {step: count-slowly, after: hello, to: 3, pause: 0}
both: {step: join-text, first: hello, second: world}
"""
WAVERING = """
hello: {step: write-text, text: hello}
odd: {step: waver, by: time, after: hello}
next: {step: join-text, first: odd.text, second: hello}
last: {step: waver, by: time, since: 1, after: next}
end: {step: join-text, first: last.text}
"""


def steps(found: Reproduction) -> dict[str, StepReproduction]:
    return {step.name: step for step in found.steps}


def content_of(factory: Factory) -> tuple[int, ...]:
    """How much there is of everything but receipts."""
    ledger = factory.workspace.ledger
    blobs = [path for path in (factory.folder / ".loresmith" / "blobs").rglob("*") if path.is_file()]
    return len(ledger.assets.list()), len(ledger.runs.list()), len(blobs), len(factory.events("step-started"))


def test_everything_upstream_is_done_again_and_nothing_but_a_receipt_is_left(factory: Factory) -> None:
    factory.workspace.run(factory.recipe(GREETING))
    before = content_of(factory)
    size = factory.workspace.ledger.log.head().size
    events: list[Mapping[str, Any]] = []
    found = factory.workspace.assets["test/both"].reproduce(events.append)
    assert found.same
    assert found.first_difference is None
    assert [step.name for step in found.steps] == ["test/hello", "test/world", "test/both"], (
        "and not what it does not use"
    )
    assert all(step.outcome == "same" and not step.environment and not step.unrecorded for step in found.steps)
    assert Counter(event["event"] for event in events)["step-started"] == 3
    assert content_of(factory) == before
    assert not list((factory.folder / ".loresmith" / "reproductions").iterdir())
    assert factory.workspace.ledger.log.head().size == size + 1
    receipt = factory.workspace.assets["test/both"].receipts()[-1]
    assert (receipt.kind, receipt.passed) == ("reproduction", True)
    factory.workspace.ledger.receipts.verify(receipt)
    assert [step["outputs"]["text"]["found"] for step in receipt.evidence["steps"]][-1] == found.asset
    assert factory.workspace.verify().problems == ()


def test_the_first_step_that_differs_is_named_and_those_after_it_are_judged_alone(factory: Factory) -> None:
    run = factory.workspace.run(factory.recipe(WAVERING))
    reproduced = factory.workspace.assets["test/end"].reproduce()
    assert not reproduced.same
    assert reproduced.first_difference == "test/odd"
    found = steps(reproduced)
    assert {name: step.outcome for name, step in found.items()} == {
        "test/hello": "same",
        "test/odd": "differs",
        "test/next": "same",
        "test/last": "differs",
        "test/end": "same",
    }
    assert {name: step.recorded_inputs for name, step in found.items() if step.recorded_inputs} == {
        "test/next": ("first",),
        "test/end": ("first",),
    }
    receipt = factory.workspace.assets["test/end"].receipts()[-1]
    assert not receipt.passed
    assert receipt.evidence["first_difference"] == "test/odd"

    # What differs is said to the file and to the number.
    text = {output.role: output for output in found["test/odd"].outputs}["text"]
    assert [file.path for file in text.files] == ["text.txt"], "and not always.txt"
    assert text.metadata == ("total",)
    assert text.recorded == run.actions()["odd"].outputs["text"] != text.found
    (loss,) = found["test/odd"].metrics
    assert (loss.name, loss.position, loss.number, loss.values) == ("loss", 3, 3, 5), "words_per_second is not compared"
    assert loss.recorded == repr(run.metrics("odd", "loss")[2].value) != loss.found
    assert found["test/last"].metrics[0].position == 1
    assert [step.numbers for step in reproduced.steps] == [1, 5, 0, 5, 0]


def test_an_output_that_is_not_asked_about_does_not_decide(factory: Factory) -> None:
    factory.workspace.run(factory.recipe("odd: {step: waver, by: variable}\nend: {step: join-text, first: odd.text}"))
    found = factory.workspace.assets["test/end"].reproduce()
    assert found.same
    outputs = {output.role: output for output in steps(found)["test/odd"].outputs}
    assert not outputs["report"].same, "it holds the time"
    assert not outputs["report"].needed
    assert not factory.workspace.assets["test/odd.report"].reproduce().same


def test_a_variable_that_decides_is_named(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    factory.workspace.run(factory.recipe("odd: {step: waver, by: variable}"))
    assert factory.workspace.assets["test/odd.text"].reproduce().same
    monkeypatch.delenv("MKL_CBWR")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    found = factory.workspace.assets["test/odd.text"].reproduce()
    assert not found.same
    assert [(each.name, each.recorded, each.found) for each in found.steps[0].environment] == [
        ("variables.MKL_CBWR", "AVX2", "absent"),
        ("variables.OMP_WAIT_POLICY", "absent", "passive"),
    ]


def test_threads_are_those_on_record_unless_others_are_asked_for(factory: Factory) -> None:
    factory.workspace.run(factory.recipe("odd: {step: waver, by: threads}", rest="compute: {threads: 3}"))
    asset = factory.workspace.assets["test/odd.text"]
    assert asset.reproduce().same
    found = asset.reproduce(threads=2)
    assert not found.same
    assert ("threads", "3", "2") in [(each.name, each.recorded, each.found) for each in found.steps[0].environment]


def recorded_elsewhere(factory: Factory, other: Factory, action: Action, **environment: Any) -> None:
    """Enter an action, with another environment, into another ledger, as if it had been run there."""
    run = factory.workspace.ledger.runs.get(action.run)
    there = other.workspace.ledger.runs.start(run.plan_digest, run.recipe, run.plan)
    facts = {name: getattr(action, name) for name in ActionRecord.model_fields if name not in ("outputs", "checks")}
    outputs = {}
    for role, digest in action.outputs.items():
        asset = factory.workspace.assets[digest]
        outputs[role] = OutputRecord(
            kind=asset.asset.kind, directory=asset.directory, metadata=asset.asset.metadata, labels=asset.asset.labels
        )
    facts |= {"run": there, "environment": {**action.environment, **environment}, "outputs": outputs}
    other.workspace.ledger.actions.record(ActionRecord(**facts))


def test_every_kind_of_difference_in_the_environment_is_named(factory: Factory, tmp_path: Path) -> None:
    action = factory.workspace.run(factory.recipe("a: {step: write-text, text: x}")).actions()["a"]
    other = Factory(tmp_path / "other")
    known = action.environment
    recorded_elsewhere(
        factory,
        other,
        action,
        processor="Another 9000",
        host="elsewhere",
        packages={"torch": "2.12.0"},
        instructions=[*known["instructions"], "amx_bf16"],
        code={**known["code"], "loresmith": "0123"},
    )
    found = other.workspace.assets["test/a"].reproduce()
    assert found.same, "though all of this is different"
    assert {each.name: (each.recorded, each.found) for each in found.steps[0].environment} == {
        "processor": ("Another 9000", known["processor"]),
        "packages.torch": ("2.12.0", "absent"),
        "instructions.amx_bf16": ("present", "absent"),
        "code.loresmith": ("0123", known["code"]["loresmith"]),
    }


def test_what_an_older_record_does_not_say_is_told_apart_from_a_difference(factory: Factory, tmp_path: Path) -> None:
    action = factory.workspace.run(factory.recipe("a: {step: write-text, text: x}")).actions()["a"]
    other = Factory(tmp_path / "other")
    older = {name: value for name, value in action.environment.items() if name not in ("variables", "code", "threads")}
    recorded_elsewhere(factory, other, action.model_copy(update={"environment": older, "step_version": 0}))
    (step,) = other.workspace.assets["test/a"].reproduce().steps
    assert [(each.name, each.recorded, each.found) for each in step.environment] == [
        ("version of write-text", "0", "1")
    ]
    assert step.unrecorded == ("code", "threads", "variables")


def test_settings_that_are_not_taken_any_more_are_named(factory: Factory, tmp_path: Path) -> None:
    action = factory.workspace.run(factory.recipe("a: {step: write-text, text: x}")).actions()["a"]
    other = Factory(tmp_path / "other")
    older = action.model_copy(update={"config": {**action.config, "font": "serif"}})
    recorded_elsewhere(factory, other, older, loresmith="0.0.9")
    with pytest.raises(Failure, match="on record") as caught:
        other.workspace.assets["test/a"].reproduce()
    assert "font" in str(caught.value)
    assert "0.0.9" in str(caught.value)


def test_an_asset_that_also_came_of_itself_is_traced_to_its_first_making(factory: Factory) -> None:
    factory.workspace.run(
        factory.recipe("a: {step: write-text, text: x}\nb: {step: join-text, first: a}\nc: {step: join-text, first: b}")
    )
    assert factory.workspace.assets["test/b"].digest == factory.workspace.assets["test/c"].digest
    assert [step.name for step in factory.workspace.assets["test/c"].reproduce().steps] == ["test/a", "test/b"]


def test_what_was_added_by_hand_is_taken_as_given_and_cannot_itself_be_reproduced(
    factory: Factory, tmp_path: Path
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "text.txt").write_text("by hand")
    added = factory.workspace.assets.add("corpus", tmp_path / "text")
    factory.workspace.run(factory.recipe(f"a: {{step: join-text, first: {added.digest}}}"))
    found = factory.workspace.assets["test/a"].reproduce()
    assert found.same
    assert [(given.asset, given.used_by) for given in found.given] == [(added.digest, "test/a")]
    with pytest.raises(UserError, match="added by hand"):
        added.reproduce()


def test_what_was_there_before_the_step_that_also_makes_it_is_an_input_and_not_its_own_output(
    factory: Factory, tmp_path: Path
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "text.txt").write_text("by hand")
    added = factory.workspace.assets.add("corpus", tmp_path / "text", {"words": 2})
    factory.workspace.run(factory.recipe(f"a: {{step: join-text, first: {added.digest}}}"))
    assert factory.workspace.assets["test/a"].digest == added.digest
    found = added.reproduce()
    assert found.same
    assert [(given.asset, given.used_by) for given in found.given] == [(added.digest, "test/a")]


def test_what_was_made_is_kept_when_asked_for(factory: Factory) -> None:
    factory.workspace.run(factory.recipe("odd: {step: waver, by: time}"))
    found = factory.workspace.assets["test/odd.text"].reproduce(keep=True)
    assert found.kept is not None
    made = found.kept / found.steps[-1].key
    assert (made / "outputs" / "text" / "text.txt").read_text().startswith("sum ")
    assert (made / "metrics.jsonl").read_text().count('"loss"') == 5
    again = factory.workspace.assets["test/odd.text"].reproduce()
    assert again.steps[-1].outputs != found.steps[-1].outputs, "what was kept is not taken for something to go on from"


def test_what_a_step_chose_by_measuring_is_on_record_and_handed_back(factory: Factory, tmp_path: Path) -> None:
    action = factory.workspace.run(factory.recipe("odd: {step: waver, by: choice}")).actions()["odd"]
    assert set(action.environment["choices"]) == {"pace"}
    (step,) = factory.workspace.assets["test/odd.text"].reproduce().steps
    assert (step.outcome, step.environment, step.unrecorded) == ("same", (), ())
    other = Factory(tmp_path / "other")
    recorded_elsewhere(factory, other, action, choices={"pace": "7"})
    (step,) = other.workspace.assets["test/odd.text"].reproduce().steps
    assert (step.outcome, step.environment) == ("differs", ()), "it follows what is on record there"
    other.workspace.close()
