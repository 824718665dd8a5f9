"""A plan names all that decides the result, and says what is already there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from loresmith.errors import UserError
from loresmith.factory import environment, plan, registry
from tests.factory.conftest import Factory

CHAIN = """
hello: {step: write-text, text: hello}
world: {step: write-text, text: world}
both: {step: join-text, first: hello, second: world}
count: {step: count-slowly, after: both, to: 3, pause: 0}
"""


def states(factory: Factory, recipe: Path) -> dict[str, str]:
    return {step.name: step.state for step in factory.workspace.plan(recipe).steps}


def test_a_change_redoes_the_step_and_what_follows_and_nothing_before(factory: Factory) -> None:
    recipe = factory.recipe(CHAIN)
    factory.workspace.run(recipe)
    assert set(states(factory, recipe).values()) == {"cached"}
    changed = factory.recipe(CHAIN.replace("second: world", "second: world, between: ', '"))
    assert states(factory, changed) == {"hello": "cached", "world": "cached", "both": "to do", "count": "to do"}
    factory.workspace.run(changed)
    assert [step for _, step in factory.events("step-started")].count("hello") == 1
    assert [step for _, step in factory.events("step-started")].count("both") == 2


def test_another_way_to_the_same_asset_redoes_nothing_after_it(factory: Factory) -> None:
    factory.workspace.run(factory.recipe(CHAIN))
    other = CHAIN.replace("{step: write-text, text: hello}", "{step: join-text, first: hell, between: ''}")
    factory.workspace.run(factory.recipe(other + "hell: {step: write-text, text: hello}"))
    started = [step for _, step in factory.events("step-started")]
    assert started.count("both") == 2, "its input has other metadata, and so another digest"
    assert started.count("count") == 1, "what it made is the same asset"


def test_the_same_content_elsewhere_is_the_same_source(factory: Factory, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("the same")
    factory.workspace.run(factory.recipe(f"file: {{step: read-text, path: {tmp_path / 'one.txt'}}}"))
    again = factory.recipe(f"file: {{step: read-text, path: {tmp_path / 'two.txt'}}}")
    assert states(factory, again) == {"file": "cached"}
    (tmp_path / "two.txt").write_text("another")
    assert states(factory, again) == {"file": "to do"}


def test_the_digest_covers_what_decides_the_result_and_nothing_else(factory: Factory) -> None:
    plan = factory.workspace.plan
    recipe = factory.recipe(CHAIN)
    before = plan(recipe).digest
    factory.workspace.run(recipe)
    assert plan(recipe).digest == before, "what is cached is not part of it"
    assert plan(recipe, ["compute.threads=1"]).digest == before
    for setting in ("seed=2", "name=other", "steps.both.between=+", "steps.both.first=world"):
        assert plan(recipe, [setting]).digest != before, setting


def test_a_plan_file_runs_as_it_was_approved_or_not_at_all(factory: Factory, tmp_path: Path) -> None:
    source = tmp_path / "one.txt"
    source.write_text("approved")
    plan = factory.workspace.plan(factory.recipe(f"file: {{step: read-text, path: {source}}}"))
    path = tmp_path / "plan.json"
    path.write_text(plan.model_dump_json())
    assert factory.workspace.read_plan(path) == plan

    source.write_text("slipped in later")
    with pytest.raises(UserError, match="sources changed"):
        factory.workspace.read_plan(path)
    source.write_text("approved")

    edited = json.loads(path.read_text())
    edited["seed"] = 2
    path.write_text(json.dumps(edited))
    with pytest.raises(UserError, match="changed after it was made"):
        factory.workspace.read_plan(path)
    path.write_text(json.dumps({**edited, "seeds": 2}))
    with pytest.raises(UserError, match="did you mean 'seed'"):
        factory.workspace.read_plan(path)
    path.write_text("{")
    with pytest.raises(UserError, match=r"plan\.json:1"):
        factory.workspace.read_plan(path)


def test_an_asset_of_the_ledger_is_pinned_by_its_digest(factory: Factory) -> None:
    release = "release: {name: hello, asset: a, channel: production}"
    first = factory.workspace.run(factory.recipe("a: {step: write-text, text: one}", "first", release))
    other = factory.recipe("b: {step: join-text, first: hello@production}", "second")
    plan = factory.workspace.plan(other)
    assert plan.steps[0].inputs["first"].asset == first.actions()["a"].outputs["text"]
    factory.workspace.run(factory.recipe("a: {step: write-text, text: two}", "first", release))
    run = factory.workspace.run(plan)
    assert (factory.workspace.assets["second/b"].directory / "text.txt").read_text() == "one"
    assert run.status == "completed"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("hello@production", ["steps.b.first", "hello"]),
        ("helo", ["steps.b.first", "did you mean 'hello'?"]),
        ("0123456789abcdef", ["steps.b.first", "0123456789abcdef"]),
    ],
)
def test_a_recipe_that_needs_what_is_not_there_says_so(factory: Factory, reference: str, words: list[str]) -> None:
    recipe = factory.recipe(f"hello: {{step: write-text, text: x}}\nb: {{step: join-text, first: {reference}}}")
    with pytest.raises(UserError) as caught:
        factory.workspace.plan(recipe)
    for word in [*words, "test.yaml:5"]:
        assert word in str(caught.value)


def test_an_input_of_the_wrong_kind_is_refused(factory: Factory) -> None:
    recipe = factory.recipe("n: {step: count-slowly}\nb: {step: join-text, first: n}")
    with pytest.raises(UserError, match=r"a corpus is needed here, and 'n' gives n\.count \(report\)"):
        factory.workspace.plan(recipe)


def test_a_missing_source_is_found_when_planning(factory: Factory) -> None:
    with pytest.raises(UserError, match="cannot read"):
        factory.workspace.plan(factory.recipe("file: {step: read-text, path: nowhere.txt}"))


def test_a_forecast_is_a_guess_until_the_step_has_run_here_and_then_scales(factory: Factory) -> None:
    recipe = factory.recipe("n: {step: count-slowly, to: 10, pause: 0.01}")
    (guessed,) = factory.workspace.plan(recipe).steps
    assert guessed.forecast is not None
    assert guessed.forecast.basis == "guess"
    action = factory.workspace.run(recipe).actions()["n"]
    (measured,) = factory.workspace.plan(recipe, ["steps.n.to=40"]).steps
    assert measured.forecast is not None
    assert measured.forecast.basis == "measured"
    assert measured.forecast.seconds == pytest.approx(4 * action.seconds)
    assert measured.forecast.peak_bytes == action.peak_bytes > 1 << 20
    assert measured.forecast.output_bytes == 4 * action.output_bytes > 0


def test_a_plan_has_every_setting_to_the_last_default(factory: Factory) -> None:
    (step,) = factory.workspace.plan(factory.recipe("a: {step: write-text, text: hello}")).steps
    assert step.resolved_config() == {"text": "hello", "times": 1, "labels": []}


def test_a_newer_step_and_other_software_do_the_work_again_and_refuse_an_old_plan(
    factory: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = factory.recipe("a: {step: write-text, text: hello}")
    factory.workspace.run(recipe)
    path = tmp_path / "plan.json"
    path.write_text(factory.workspace.plan(recipe).model_dump_json())
    assert states(factory, recipe) == {"a": "cached"}

    newer = dataclasses.replace(registry.find_step("write-text"), version=2)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "find_step", lambda _name: newer)
        patch.setattr("loresmith.factory.recipe.find_step", lambda _name: newer)
        assert states(factory, recipe) == {"a": "to do"}
        with pytest.raises(UserError, match="version 1"):
            factory.workspace.read_plan(path)

    needs = dataclasses.replace(registry.find_step("write-text"), packages=("numpy",))
    with monkeypatch.context() as patch:
        patch.setattr(plan, "find_step", lambda _name: needs)
        patch.setattr("loresmith.factory.recipe.find_step", lambda _name: needs)
        assert states(factory, recipe) == {"a": "to do"}
        before = factory.workspace.plan(recipe).digest
        patch.setattr(environment, "version", lambda _package: "99.0")
        assert factory.workspace.plan(recipe).digest != before
        with pytest.raises(UserError, match="software changed"):
            factory.workspace.read_plan(path)
