"""What a step read from outside the ledger is read again from a snapshot, where it lay, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from loresmith.errors import Failure
from tests.factory.conftest import Factory

FILES = """
files: {{step: ingest, path: {folder}}}
corpus: {{step: curate, documents: files, profile: none, minimum_bytes: 1, validation_share: 0, test_share: 0}}
"""
READ = "a: {{step: read-text, path: {path}}}\nb: {{step: join-text, first: a}}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    (made / "notes").mkdir(parents=True)
    (made / "notes" / "a.txt").write_text("one two three")
    (made / "b.md").write_text("# four")
    (made / "pixels.png").write_bytes(b"\x89PNG\0")
    return made


def damage(factory: Factory, reference: str, path: str) -> str:
    """Alter the bytes of a file of an asset; returns the file's digest."""
    digest = factory.workspace.assets[reference].asset.files[path].digest
    (blob,) = (factory.folder / ".loresmith" / "blobs").rglob(digest)
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    return digest


def test_a_folder_is_read_from_its_snapshot_whatever_has_become_of_it(factory: Factory, folder: Path) -> None:
    factory.workspace.run(factory.recipe(FILES.format(folder=folder)))

    def require_the_same() -> None:
        found = factory.workspace.assets["test/corpus"].reproduce()
        assert found.same
        assert [step.sources for step in found.steps] == ["snapshot", "ledger"]
        assert all(output.same for step in found.steps for output in step.outputs), "the snapshot itself included"

    require_the_same()
    (folder / "b.md").write_text("# five")
    require_the_same()
    shutil.rmtree(folder)
    require_the_same()


@pytest.mark.parametrize("others", ["some", pytest.param("none", marks=pytest.mark.slow)])
def test_a_snapshot_that_does_not_hold_all_is_not_run_from(factory: Factory, folder: Path, others: str) -> None:
    """A name that is too long to be written is cut short in the snapshot, and no pattern finds its ending there."""
    if others == "none":
        (folder / "notes" / "a.txt").unlink()
    (folder / ("\\" * 70 + ".txt")).write_text("written with four characters for each of its own")
    recipe = FILES.format(folder=f"{folder}, include: ['*.txt']")
    factory.workspace.run(factory.recipe(recipe))
    found = factory.workspace.assets["test/corpus"].reproduce()
    assert found.same
    assert [step.sources for step in found.steps] == ["originals", "ledger"]
    shutil.rmtree(folder)
    given = factory.workspace.assets["test/corpus"].reproduce().steps[0]
    assert given.outcome == "given"
    assert given.reason is not None
    assert given.reason.startswith("its snapshot lacks something")
    assert "; what it read is gone" in given.reason


def test_a_damaged_snapshot_is_named_before_anything_is_done(factory: Factory, folder: Path) -> None:
    factory.workspace.run(factory.recipe(FILES.format(folder=folder)))
    digest = damage(factory, "test/files.source", "files/notes/a.txt")
    events: list[str] = []
    with pytest.raises(Failure) as caught:
        factory.workspace.assets["test/corpus"].reproduce(lambda event: events.append(event["event"]))
    for words in ("step 'test/files'", "the snapshot 'source'", "files/notes/a.txt", digest[:12], "assets verify"):
        assert words in str(caught.value)
    assert events == []
    assert factory.workspace.assets["test/corpus"].receipts() == []


def test_damage_to_what_lies_between_does_not_matter_as_long_as_it_comes_out_the_same(
    factory: Factory, folder: Path
) -> None:
    factory.workspace.run(factory.recipe("hello: {step: write-text, text: hi}\nb: {step: join-text, first: hello}"))
    damage(factory, "test/hello", "text.txt")
    assert factory.workspace.assets["test/b"].reproduce().same


def test_damage_to_an_input_on_record_is_named_where_it_is_needed(factory: Factory) -> None:
    factory.workspace.run(factory.recipe("odd: {step: waver, by: time}\nb: {step: join-text, first: odd.text}"))
    damage(factory, "test/odd.text", "text.txt")
    with pytest.raises(Failure, match=r"step 'test/b': the input 'first' is damaged: text\.txt"):
        factory.workspace.assets["test/b"].reproduce()


def test_a_file_without_a_snapshot_is_read_where_it_lies_if_it_is_unchanged(factory: Factory, tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_text("one two")
    factory.workspace.run(factory.recipe(READ.format(path=path)))
    found = factory.workspace.assets["test/b"].reproduce()
    assert found.same
    assert [(step.outcome, step.sources) for step in found.steps] == [("same", "originals"), ("same", "ledger")]


@pytest.mark.parametrize(("since", "reason"), [("changed", "has changed since"), ("deleted", "is gone")])
def test_a_step_whose_files_are_lost_is_plainly_taken_as_given(
    factory: Factory, tmp_path: Path, since: str, reason: str
) -> None:
    path = tmp_path / "one.txt"
    path.write_text("one two")
    factory.workspace.run(factory.recipe(READ.format(path=path)))
    if since == "changed":
        path.write_text("three")
    else:
        path.unlink()
    found = factory.workspace.assets["test/b"].reproduce()
    assert found.same, "from there on"
    given, after = found.steps
    assert (given.outcome, after.outcome) == ("given", "same")
    assert given.reason is not None
    assert reason in given.reason
    assert str(path) in given.reason
    assert factory.workspace.assets["test/b"].receipts()[-1].evidence["steps"][0]["outcome"] == "given"
    with pytest.raises(Failure, match="cannot be carried out again"):
        factory.workspace.assets["test/a"].reproduce()
    path.write_text("one two")
    assert factory.workspace.assets["test/a"].reproduce().same, "when it is back"


def test_what_is_read_from_outside_under_no_path_has_to_be_unchanged_too(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS", "one two")
    factory.workspace.run(factory.recipe("a: {step: recite}"))
    (step,) = factory.workspace.assets["test/a"].reproduce().steps
    assert (step.outcome, step.sources) == ("same", "originals")
    monkeypatch.setenv("WORDS", "three")
    with pytest.raises(Failure, match="what it read has changed since"):
        factory.workspace.assets["test/a"].reproduce()
