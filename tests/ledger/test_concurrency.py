"""Many processes on one ledger, some of them killed: the log stays whole and nothing is done twice."""

from __future__ import annotations

import random
import time

from loresmith.ledger import Ledger
from loresmith.ledger.runs import Status
from tests.ledger.places import Place, add_asset, record_action
from tests.ledger.processes import Child, in_child, together

PROCESSES = 4
ROUNDS = 4


def test_many_writers_keep_one_valid_log(place: Place, ledger: Ledger) -> None:
    common = add_asset(ledger, place, "common").digest

    def write(number: int) -> list[str]:
        with place.open(actor=f"writer-{number}@host") as own:
            run = own.runs.start("0" * 64, "demo", {})
            reasons = []
            for turn in range(ROUNDS):
                mine = add_asset(own, place, f"from {number}, {turn}").digest
                directory = place.files(f"shared-{number}-{turn}", {"text.txt": f"shared {turn}"})
                own.assets.add("source", directory, move=True)
                # All record the same action, and each thinks that it made the output.
                record_action(own, place, f"copy-{turn}", {"text": common}, {"text": f"copied {turn}"}, run)
                own.runs.add_metrics(run, "copy", [("loss", float(turn), float(turn), "")])
                reasons.append(f"{number}-{turn}")
                own.releases.promote("acme", mine, "production", reasons[-1])
            own.runs.event(run, "finished")
            return reasons

    reasons = together(write, [(number,) for number in range(PROCESSES)])
    check = ledger.log.verify()
    assert check.problems == ()
    # For each process a run, its end, and a turn's own asset, metrics and promotion; what is shared, once.
    assert check.size == 1 + PROCESSES * (2 + 3 * ROUNDS) + 2 * ROUNDS
    history = ledger.releases.history("acme")
    assert sorted(event.reason for event in history) == sorted(reason for own in reasons for reason in own)
    assert [event.previous for event in history[1:]] == [event.asset for event in history[:-1]]
    assert ledger.releases.target("acme", "production") == history[-1].asset
    assert [run.status for run in ledger.runs.list()] == ["completed"] * PROCESSES
    assert all(ledger.assets.verify(asset.digest).problems == () for asset in ledger.assets.list())


def test_readers_see_whole_states_while_others_write(place: Place, ledger: Ledger) -> None:
    def write() -> None:
        with place.open() as own:
            for number in range(30):
                own.releases.promote("acme", add_asset(own, place, str(number)).digest, "production", "because")

    writer = Child(write)
    sizes = [0]
    while sizes[-1] < 60:
        check = ledger.log.verify()
        assert check.problems == ()
        assert check.size >= sizes[-1]
        sizes.append(check.size)
    writer.result()


def test_a_writer_that_is_killed_anywhere_harms_nothing(place: Place, ledger: Ledger) -> None:
    def write(seed: int) -> None:
        with place.open() as own:
            run = own.runs.start("0" * 64, "demo", {})
            for number in range(1000):
                files = {f"{file}.txt": f"{seed} {number} {file}" for file in range(20)}
                directory = place.files(f"killed-{seed}-{number}", files)
                digest = own.assets.add("source", directory, move=True).digest
                record_action(own, place, f"copy-{seed}-{number}", {"text": digest}, {"text": f"{seed} {number}"}, run)
                own.releases.promote("acme", digest, "production", "because")

    moments = random.Random(7)
    kept = ledger.log.head()
    for seed in range(8):
        child = Child(write, seed)
        size = ledger.log.head().size
        deadline = time.monotonic() + 30
        while ledger.log.head().size == size:
            assert time.monotonic() < deadline
        time.sleep(moments.uniform(0, 0.1))
        child.kill()
        check = ledger.log.verify()
        assert check.problems == ()
        assert kept.size == 0 or ledger.log.consistency_proof(kept.size).old_root == kept.root
        kept = ledger.log.head()
        add_asset(ledger, place, f"after {seed}")
    assert all(ledger.assets.verify(asset.digest).problems == () for asset in ledger.assets.list())
    statuses: set[Status] = {run.status for run in ledger.runs.list()}
    assert statuses == {"interrupted"}


def test_threads_may_share_a_ledger(place: Place) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work() -> tuple[int, tuple[str, ...]]:
        with place.open() as own:
            with ThreadPoolExecutor(4) as threads:
                digests = list(threads.map(lambda number: add_asset(own, place, str(number)).digest, range(12)))
            check = own.log.verify()
            return len(set(digests)), check.problems

    assert in_child(work) == (12, ())
