"""A plan that was approved is run as it is; a run that was stopped goes on."""

from __future__ import annotations

import json
import signal

from tests.cli.conftest import CommandLine

RECIPE = """\
name: copy
steps:
  text: {step: read-text, path: text.txt}
  twice: {step: join-text, first: text, second: text}
"""


def test_a_plan_is_run_as_it_was_written(fresh: CommandLine) -> None:
    fresh.write("recipe.yaml", RECIPE)
    fresh.write("text.txt", "hello")
    planned = fresh("plan", "--set", "steps.twice.between='-'", "--out", "plan.json", "--json").json
    assert planned["to_do"] == 2
    assert json.loads((fresh.folder / "plan.json").read_text(encoding="utf-8")) == planned["plan"]
    run = fresh("run", "plan.json", "--json").json
    assert run["plan"] == planned["plan"]["digest"]
    assert [step["state"] for step in run["steps"]] == ["made", "made"]
    assert fresh("assets", "export", "copy/twice", "out").status == 0
    assert (fresh.folder / "out" / "text.txt").read_text(encoding="utf-8") == "hello-hello"
    again = fresh("run", "plan.json", "--json").json
    assert [step["state"] for step in again["steps"]] == ["cached", "cached"]
    assert fresh("plan", "--set", "steps.twice.between='-'", "--json").json["to_do"] == 0


def test_a_plan_whose_sources_changed_is_refused(fresh: CommandLine) -> None:
    fresh.write("recipe.yaml", RECIPE)
    fresh.write("text.txt", "hello")
    fresh("plan", "--out", "plan.json")
    fresh.write("text.txt", "goodbye")
    done = fresh("run", "plan.json")
    assert done.status == 2
    assert "text" in done.err
    assert "loresmith plan" in done.err
    assert fresh("runs", "--json").json["runs"] == []


def test_a_plan_that_was_changed_is_refused(fresh: CommandLine) -> None:
    fresh.write("recipe.yaml", RECIPE)
    fresh.write("text.txt", "hello")
    plan = fresh("plan", "--json").json["plan"]
    plan["seed"] += 1
    fresh.write("plan.json", json.dumps(plan))
    assert fresh("run", "plan.json").status == 2
    assert fresh("run", "plan.json", "--set", "seed=2").status == 2


def test_an_interrupted_run_goes_on_from_where_it_was(fresh: CommandLine) -> None:
    fresh.write("recipe.yaml", "name: slow\nsteps:\n  count: {step: count-slowly, to: 40}\n")
    assert fresh("run", "--resume").status == 2
    running = fresh.start("run")
    assert running.stderr is not None
    for line in running.stderr:
        if "counting on" in line:
            break
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    resumed = fresh("run", "--resume", "--json")
    assert resumed.status == 0
    (step,) = resumed.json["steps"]
    assert step["state"] == "made"
    assert step["books"]["accounts"][0]["entered"] == 40
    first, second = (run["status"] for run in reversed(fresh("runs", "--json").json["runs"]))
    assert (first, second) == ("interrupted", "completed")
