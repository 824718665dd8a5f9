"""A run does each thing once, fails in one sentence, and keeps what it finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.errors import Failure, Interrupted, LoresmithError, UserError
from tests.factory.conftest import Factory


def test_a_run_leaves_assets_books_receipts_lineage_and_a_release(factory: Factory) -> None:
    recipe = factory.recipe(
        "hello: {step: write-text, text: hello, labels: [restricted]}\n"
        "world: {step: write-text, text: world}\n"
        "both: {step: join-text, first: hello, second: world}",
        rest="release: {name: greeting, asset: both}",
    )
    events: list[str] = []
    run = factory.workspace.run(factory.workspace.plan(recipe), lambda event: events.append(event["event"]))
    assert run.status == "completed"
    assert events.count("step-finished") == 3

    asset = factory.workspace.assets["greeting"]
    assert (asset.directory / "text.txt").read_text() == "hello world"
    assert asset.asset.labels == ("restricted",), "labels flow downhill"
    assert [account.kept for account in run.actions()["both"].books.accounts] == [11]
    (receipt,) = factory.workspace.ledger.receipts.list(asset.digest)
    assert receipt.kind == "word-count"
    factory.workspace.ledger.receipts.verify(receipt)
    kinds = [edge.role for edge in asset.lineage().edges]
    assert {"first", "second", "text"} <= set(kinds)
    assert factory.workspace.verify().problems == ()
    assert not list((factory.folder / ".loresmith" / "work").iterdir()), "nothing is left under way"

    again = factory.workspace.run(recipe)
    assert again.status == "completed"
    assert len(factory.events("step-started")) == 3, "the second run did nothing"
    assert len(factory.workspace.releases["greeting"].history()) == 1


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("raise", Failure, ["step 'bad'", "ZeroDivisionError: one divided by nothing", "bad.log"]),
        ("user-error", UserError, ["files.jsonl:7", "record 7 has no text", "remove it"]),
        ("kill", Interrupted, ["step 'bad'", "SIGKILL", "memory", "bad.log", "--resume"]),
        ("crash", Failure, ["step 'bad'", "SIGSEGV", "bad.log"]),
        ("exit", Failure, ["step 'bad'", "status 3", "a native library says goodbye"]),
        ("unbalanced", Failure, ["step 'bad'", "3 documents went in and 2", "+1 missing"]),
        ("full-disk", Failure, ["step 'bad'", "the disk is full", "text.txt"]),
        ("no-output", Failure, ["step 'bad'", "no output"]),
    ],
)
def test_a_step_that_goes_wrong_takes_itself_and_nothing_else(
    factory: Factory, how: str, kind: type[LoresmithError], words: list[str]
) -> None:
    recipe = factory.recipe(f"good: {{step: write-text, text: kept}}\nbad: {{step: misbehave, how: {how}}}")
    with pytest.raises(kind) as caught:
        factory.workspace.run(recipe)
    for word in words:
        assert word in str(caught.value)
    run = next(iter(factory.workspace.runs))
    assert run.status == ("interrupted" if kind is Interrupted else "failed")
    assert run.cause is not None
    assert run.cause.what == caught.value.what
    assert list(run.actions()) == ["good"], "what was finished is kept"
    assert len(list(factory.workspace.assets)) == 1, "nothing of the failed step was registered"
    assert factory.workspace.verify().problems == ()
    assert factory.workspace.plan(recipe).steps[0].state == "cached"
    with pytest.raises(kind):
        factory.workspace.resume()


def test_an_abort_after_the_work_is_done_does_not_undo_it(factory: Factory) -> None:
    run = factory.workspace.run(factory.recipe("odd: {step: misbehave, how: abort-after-work}"))
    assert run.status == "completed"


def test_the_log_of_a_failed_step_has_the_traceback_and_the_message_has_not(factory: Factory) -> None:
    with pytest.raises(Failure) as caught:
        factory.workspace.run(factory.recipe("bad: {step: misbehave, how: raise}"))
    assert "Traceback" not in str(caught.value)
    run = next(iter(factory.workspace.runs))
    assert "Traceback" in (run.folder / "bad.log").read_text()


def test_metrics_are_kept_by_position(factory: Factory) -> None:
    run = factory.workspace.run(factory.recipe("n: {step: count-slowly, to: 5, pause: 0}"))
    metrics = run.metrics("n", "total")
    assert [(metric.position, metric.value) for metric in metrics] == [(1, 1), (2, 3), (3, 6), (4, 10), (5, 15)]


def test_a_changed_source_stops_a_resumed_run(factory: Factory, tmp_path: Path) -> None:
    source = tmp_path / "one.txt"
    source.write_text("before")
    recipe = factory.recipe(
        f"file: {{step: read-text, path: {source}}}\nbad: {{step: misbehave, how: raise}}",
    )
    with pytest.raises(Failure):
        factory.workspace.run(recipe)
    source.write_text("after")
    with pytest.raises(UserError, match="sources changed"):
        factory.workspace.resume()


def test_a_source_that_changes_under_a_run_is_not_registered_as_what_it_was(factory: Factory, tmp_path: Path) -> None:
    source = tmp_path / "one.txt"
    source.write_text("before")
    recipe = factory.recipe(f"file: {{step: read-text, path: {source}}}")
    plan = factory.workspace.plan(recipe)
    source.write_text("after")
    with pytest.raises(UserError, match="sources changed"):
        factory.workspace.run(plan)
    assert list(factory.workspace.assets) == []
    source.write_text("before")
    factory.workspace.run(recipe)
    made = factory.workspace.assets["test/file"]
    assert (made.directory / "text.txt").read_text() == "before"


def test_running_again_does_not_undo_a_rollback(factory: Factory) -> None:
    release = "release: {name: words, asset: a, channel: production}"
    good = factory.recipe("a: {step: write-text, text: good}", "good", release)
    bad = factory.recipe("a: {step: write-text, text: bad}", "bad", release)
    factory.workspace.run(good)
    factory.workspace.run(bad)
    factory.workspace.releases["words"].rollback(because="it was bad")
    factory.workspace.run(bad)
    assert (factory.workspace.assets["words@production"].directory / "text.txt").read_text() == "good"
    assert len(factory.workspace.releases["words"].history()) == 3


def test_a_step_is_found_under_the_name_it_last_had(factory: Factory) -> None:
    def text(reference: str) -> str:
        return (factory.workspace.assets[reference].directory / "text.txt").read_text()

    for word in ("one", "two", "one"):
        factory.workspace.run(factory.recipe(f"a: {{step: write-text, text: {word}}}"))
    assert text("test/a") == "one", "found done by the newest run"
    factory.workspace.run(factory.recipe("b: {step: write-text, text: two}", "other"))
    assert text("other/b") == "two", "made under another recipe's name"


def test_a_failed_check_registers_nothing(factory: Factory) -> None:
    with pytest.raises(Failure, match="'word-count' of the output 'text' failed"):
        factory.workspace.run(factory.recipe("a: {step: misbehave, how: fail-check}"))
    assert list(factory.workspace.assets) == []
    run = next(iter(factory.workspace.runs))
    assert [event.step for event in factory.workspace.ledger.runs.events(run.id) if event.kind == "step-failed"] == [
        "a"
    ]
