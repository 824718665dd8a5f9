"""What a step did is entered once, with all that came of it, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from loresmith.errors import Failure, UserError
from loresmith.ledger import ActionRecord, Ledger, OutputRecord
from loresmith.ledger.books import Account, Books, Entry
from loresmith.ledger.liveness import this_host
from tests.ledger.places import Place, add_asset, record_action


def test_an_action_comes_back_as_it_was_recorded(ledger: Ledger, place: Place) -> None:
    given = add_asset(ledger, place, "in")
    run = ledger.runs.start("0" * 64, "demo", {})
    left = (Entry(disposition="kept", reason="", count=2), Entry(disposition="dropped", reason="short", count=1))
    facts: dict[str, Any] = {
        "config": {"rate": 0.001, "name": "ünï", "nested": {"list": [1, None, True]}},
        "seed": 1 - 2**53,
        "environment": {"host": "there", "torch": "2.13"},
        "books": Books(accounts=(Account(unit="documents", entered=3, left=left),)),
        "seconds": 12.25,
        "peak_bytes": 2**40,
    }
    made = record_action(ledger, place, "copy", {"text": given.digest}, {"a": "one", "b": "four"}, run, **facts)
    assert ledger.actions.find(made.key) == made
    assert made.model_dump(include=set(facts)) == {**facts, "books": facts["books"].model_dump()}
    assert made.inputs == {"text": given.digest}
    assert set(made.outputs) == {"a", "b"}
    assert made.output_bytes == len("one" + "four")
    assert (made.run, made.actor) == (run, "ada@host")
    assert ledger.actions.find("0" * 64) is None


def test_the_same_key_is_entered_once(ledger: Ledger, place: Place) -> None:
    given = add_asset(ledger, place, "in")
    first = record_action(ledger, place, "copy", {"text": given.digest}, {"text": "out"}, key="1" * 64)
    run = ledger.runs.start("0" * 64, "demo", {})
    before = place.counts()
    # Not even what it would make differently is entered.
    again = record_action(ledger, place, "copy", {"text": given.digest}, {"text": "other"}, run, key="1" * 64)
    assert again == first
    assert place.counts() == before


def test_outputs_may_be_alike(ledger: Ledger, place: Place) -> None:
    given = add_asset(ledger, place, "in", kind="corpus")
    made = record_action(ledger, place, "copy", {"text": given.digest}, {"a": "in", "b": "in", "c": "in"})
    assert set(made.outputs.values()) == {given.digest}
    assert ledger.log.verify().problems == ()


def test_checks_become_receipts_of_what_was_checked(ledger: Ledger, place: Place) -> None:
    given = add_asset(ledger, place, "in")
    checks = [("text", "parity", True, {"difference": 0.5}), ("note", "gate", False, {"p": 0.4})]
    made = record_action(ledger, place, "copy", {"text": given.digest}, {"text": "1", "note": "2"}, checks=checks)
    for role, kind, passed, evidence in checks:
        (receipt,) = ledger.receipts.list(made.outputs[role])
        assert (receipt.kind, receipt.passed, receipt.evidence) == (kind, passed, evidence)
        ledger.receipts.verify(receipt)


def test_what_is_moved_in_is_gone_and_whole(ledger: Ledger, place: Place) -> None:
    given = add_asset(ledger, place, "in")
    directory = place.files("out", {"deep/model.bin": b"x" * 1000})
    outputs = {"model": OutputRecord(kind="model", directory=directory, move=True)}
    made = record_action(ledger, place, "train", {"text": given.digest}, {}, outputs=outputs)
    assert not directory.exists()
    assert ledger.assets.verify(made.outputs["model"]).problems == ()


def test_what_cannot_be_entered_leaves_everything_as_it_was(ledger: Ledger, place: Place) -> None:
    given = add_asset(ledger, place, "in")
    run = ledger.runs.start("0" * 64, "demo", {})
    before = place.counts()
    directory = place.files("out", {"x": "x"})
    given_up = {"text": OutputRecord(kind="corpus", directory=directory, move=True)}
    absent = {"text": OutputRecord(kind="corpus", directory=Path("/absent"))}
    wrong: list[dict[str, Any]] = [
        {"inputs": {"text": "0" * 64}},
        {"run": "absent"},
        {"checks": [("absent", "gate", True, {})]},
        {"config": {"rate": float("nan")}},
        {"outputs": absent},
    ]
    for changed in wrong:
        with pytest.raises(UserError):
            record_action(ledger, place, "copy", {"text": given.digest}, {}, run, **{"outputs": given_up, **changed})
        assert place.counts() == before
        assert (directory / "x").read_text() == "x"
    assert ledger.log.verify().problems == ()


def test_without_a_key_nothing_is_signed_and_nothing_entered(place: Place) -> None:
    with place.open(key_file=place.folder / "absent.pem") as ledger:
        given = add_asset(ledger, place, "in")
        run = ledger.runs.start("0" * 64, "demo", {})
        before = place.counts()
        with pytest.raises(Failure, match="no key to sign with"):
            record_action(ledger, place, "copy", {"text": given.digest}, {"a": "x"}, run, checks=[("a", "g", True, {})])
        assert place.counts() == before


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        ActionRecord.model_validate({"colour": "red"})


def test_the_past_is_that_of_this_step_on_this_machine_newest_first(ledger: Ledger, place: Place) -> None:
    given = {"text": add_asset(ledger, place, "in").digest}
    here = {"host": this_host()}
    made = [
        record_action(ledger, place, f"copy-{number}", given, {"text": str(number)}, environment=here)
        for number in range(3)
    ]
    record_action(ledger, place, "elsewhere", given, {"text": "x"}, environment={"host": "elsewhere"})
    record_action(ledger, place, "another", given, {"text": "x"}, environment=here, step="train")
    assert ledger.actions.past("copy") == made[::-1]
    assert ledger.actions.past("copy", limit=2) == made[:0:-1]
    assert [action.name for action in ledger.actions.past("copy", host="elsewhere")] == ["elsewhere"]
    assert ledger.actions.past("absent") == []
