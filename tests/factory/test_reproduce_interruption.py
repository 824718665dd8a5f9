"""A reproduction can be killed, doubled, starved of disk: the next start ends where it would have ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import Failure
from loresmith.factory.reproduction.notes import Notes
from tests.factory.conftest import Factory
from tests.factory.test_interruption import wait_until, workers_of

COUNTING = """
hello: {step: write-text, text: hello}
count: {step: count-slowly, after: hello, to: 100, pause: 0.03}
"""


def start(factory: Factory, reference: str = "test/count", **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "loresmith", "reproduce", reference, "--workspace", str(factory.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **variables},
    )


def wait_until_it_counts(factory: Factory, folders: int = 1) -> None:
    places = factory.folder / ".loresmith" / "reproductions"
    wait_until(lambda: len(list(places.glob("*/*/state/state.json"))) >= folders)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    """A workspace in which something has been counted; each test leaves it as it was, but for receipts."""
    made = Factory(tmp_path_factory.mktemp("counted"))
    made.workspace.run(made.recipe(COUNTING))
    yield made
    made.workspace.close()


def verdicts(factory: Factory) -> list[bool]:
    """What the receipts say."""
    return [receipt.passed for receipt in factory.workspace.assets["test/count"].receipts()]


def counted_from(factory: Factory) -> tuple[int, list[str]]:
    """Reproduce it to the end, the same: where the count went on from, and which steps were begun for that."""
    said: list[int] = []
    begun: list[str] = []

    def observe(event: Mapping[str, Any]) -> None:
        if event["event"] == "log":
            said.append(int(event["message"].removeprefix("counting on from ")))
        elif event["event"] == "step-started":
            begun.append(event["step"])

    assert factory.workspace.assets["test/count"].reproduce(observe).same
    assert not list((factory.folder / ".loresmith" / "reproductions").iterdir())
    return said[-1], begun


def test_killed_it_goes_on(counted: Factory) -> None:
    before = verdicts(counted)
    process = start(counted)
    wait_until_it_counts(counted)
    process.kill()
    process.communicate()
    wait_until(lambda: workers_of(counted) == [])  # a worker dies with its factory
    assert verdicts(counted) == before
    position, begun = counted_from(counted)
    assert position > 0
    assert begun == ["test/count"], "what was finished is not done again"


def test_under_other_conditions_it_starts_anew(counted: Factory) -> None:
    process = start(counted, MKL_CBWR="AVX2")
    wait_until_it_counts(counted)
    process.kill()
    process.communicate()
    assert counted_from(counted) == (0, ["test/hello", "test/count"])


def test_ctrl_c_stops_it_at_a_safe_point_and_says_how_to_go_on(counted: Factory) -> None:
    process = start(counted)
    wait_until_it_counts(counted)
    os.killpg(process.pid, signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "`loresmith reproduce " in message
    assert counted_from(counted)[0] > 0


def test_a_killed_step_is_named_and_nothing_is_put_on_record(counted: Factory) -> None:
    before = verdicts(counted)
    process = start(counted)
    wait_until_it_counts(counted)
    for worker in workers_of(counted):
        worker.kill()
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "step 'test/count'" in message
    assert "SIGKILL" in message
    assert "`loresmith reproduce " in message, "it goes on from there"
    assert verdicts(counted) == before
    assert counted_from(counted)[0] > 0


def test_numbers_outlive_the_process_that_took_them_down(tmp_path: Path) -> None:
    def number(position: int) -> dict[str, Any]:
        return {"event": "metric", "name": "loss", "value": 1 / position, "position": position, "at": ""}

    notes = Notes(tmp_path)
    notes.take(number(1))
    notes.take(number(2))
    with (tmp_path / "metrics.jsonl").open("a") as file:  # killed in the middle of a line
        file.write('{"event": "met')
    again = Notes(tmp_path)
    again.take(number(2))
    again.take(number(3))
    again.close()
    last = Notes(tmp_path)
    assert last.metrics == {("loss", position): 1 / position for position in (1, 2, 3)}
    last.close()


@pytest.mark.slow
def test_two_at_once_do_not_meet(counted: Factory) -> None:
    before = verdicts(counted)
    processes = [start(counted), start(counted)]
    wait_until_it_counts(counted, folders=2)
    for process in processes:
        out, message = process.communicate(timeout=200)
        assert process.returncode == 0, message
        assert "the same, bit for bit" in out
    assert verdicts(counted) == [*before, True, True]
    assert not list((counted.folder / ".loresmith" / "reproductions").iterdir())
    assert counted.workspace.verify().problems == ()


def test_a_step_that_refuses_now_what_it_once_took_is_a_failure_and_not_a_mistake_of_the_caller(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.workspace.run(factory.recipe("odd: {step: waver, by: refusal}"))
    monkeypatch.setenv("MKL_CBWR", "REFUSED")
    with pytest.raises(Failure, match="not with MKL_CBWR") as caught:
        factory.workspace.assets["test/odd.text"].reproduce()
    assert caught.value.exit_status == 1


def test_a_full_disk_is_said_in_one_sentence_and_harms_nothing(tmp_path: Path) -> None:
    """A real full disk: a file system of 6 MB in a mount namespace of its own, which holds the text once, not twice."""
    folder = tmp_path / "small"
    folder.mkdir()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"name: full\nsteps:\n  large: {{step: write-text, text: {'x' * 4000}, times: 1000}}\n")
    commands = """
        mount -t tmpfs -o size=6m tmpfs "$1"
        "$2" -m loresmith init "$1" --bare && "$2" -m loresmith run "$3" -w "$1" || exit 9
        "$2" -m loresmith reproduce full/large -w "$1"; echo "reproduce $?"
        "$2" -m loresmith ledger verify -w "$1"; echo "verify $?"
    """
    words = ["unshare", "-rm", "sh", "-c", commands, "sh", str(folder), sys.executable, str(recipe)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=400)
    for line in ("reproduce 1", "verify 0"):
        assert line in result.stdout.splitlines(), result.stdout + result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "the disk is full" in result.stderr
    assert "Traceback" not in result.stderr
