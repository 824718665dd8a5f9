"""What a step takes is counted with the processes that it starts: those that are there together, and cheaply."""

from __future__ import annotations

import time

import psutil
import pytest

from loresmith.factory import step_memory
from loresmith.factory.step_memory import COST, StepMemory
from tests.factory.conftest import Factory

HELD = 100 << 20


@pytest.mark.parametrize(("together", "at_once"), [("true", 2), pytest.param("false", 1, marks=pytest.mark.slow)])
def test_processes_that_a_step_starts_count_as_far_as_they_are_there_together(
    factory: Factory, together: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_memory, "COST", 1.0)  # where looks are dear, there may be none while the processes are
    recipe = factory.recipe(
        f"alone: {{step: have-held, processes: 0, bytes: 0}}\n"
        f"held: {{step: have-held, processes: 2, bytes: {HELD}, together: {together}}}"
    )
    actions = factory.workspace.run(recipe).actions()
    more = actions["held"].peak_bytes - actions["alone"].peak_bytes
    assert at_once * HELD * 0.97 < more < (at_once + 0.6) * HELD
    planned = factory.workspace.plan(recipe, [f"steps.held.bytes={HELD + 1}"]).steps[1].forecast
    assert planned is not None
    assert planned.peak_bytes == actions["held"].peak_bytes


def test_what_a_step_takes_is_not_what_the_process_had_that_started_it(factory: Factory) -> None:
    held = b"x" * (200 << 20)
    action = factory.workspace.run(factory.recipe("a: {step: write-text, text: hi}")).actions()["a"]
    assert len(held) > action.peak_bytes > 10 << 20


def test_looking_takes_a_hundredth_of_a_core_however_often_it_is_asked() -> None:
    memory = StepMemory(psutil.Process().pid)
    started, spent = time.monotonic(), []
    while time.monotonic() - started < 1:
        before = time.thread_time()
        memory.look()
        spent.append(time.thread_time() - before)
        time.sleep(0.005)
    assert sum(spent) - max(spent) < 2 * COST  # one look may take longer, and is paid for afterwards
    assert memory.peak >= psutil.Process().memory_info().rss * 0.5


def test_what_has_ended_takes_nothing_and_keeps_its_peak() -> None:
    process = psutil.Popen(["sleep", "60"])
    memory = StepMemory(process.pid)
    memory.look()
    seen = memory.peak
    process.kill()
    process.wait()
    time.sleep(0.3)
    memory.look()
    assert memory.peak == seen > 0
