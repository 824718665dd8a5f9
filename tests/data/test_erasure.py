"""After an erasure the words are nowhere in the workspace, and everything that was made from them says so."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.errors import Failure, UserError
from loresmith.sdk.calls.assets import SHOW
from loresmith.sdk.calls.data_erase import DATA_ERASE, DATA_ERASURES, DataEraseAnswer, DataEraseRequest
from loresmith.sdk.calls.data_preview import DATA_PREVIEW, DataPreviewRequest
from loresmith.sdk.erasure.erase import ErasureReport, finish
from loresmith.sdk.tracing import trace_document
from tests.data.canary import files_with
from tests.data.erasures import CANARIES, LETTER, RECIPE, TICKET, copy_of, make_template, write_place, write_recipe
from tests.data.tables import rows
from tests.ledger.disks import powerless
from tests.ledger.processes import in_child

LETTER_WORDS, TICKET_WORDS, PACKED_WORDS = CANARIES


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return copy_of(template, tmp_path)


def answered(home: Path, **request: Any) -> DataEraseAnswer:
    return DATA_ERASE.perform(home / "ws", DataEraseRequest(**request), lambda _event: None)


def erased(home: Path, because: str = "Ada asked", **request: Any) -> ErasureReport:
    report = answered(home, because=because, **request).report
    assert report is not None
    return report


def touched(report: ErasureReport) -> dict[str, tuple[str, ...] | str]:
    """The files that assets lost, or `tainted`, by what made them and their kind."""
    return {
        f"{each.made_by}.{each.kind}": each.files if each.effect == "erased" else "tainted" for each in report.assets
    }


def run(home: Path) -> list[str]:
    """Run the recipe again; returns what the steps said."""
    said: list[str] = []
    with Workspace.open(home / "ws") as workspace:
        workspace.run(home / "ws" / "recipe.yaml", lambda event: said.append(str(event.get("message", event["event"]))))
    return said


def books(home: Path, asset: str = "demo/files.documents") -> dict[str, tuple[str, str]]:
    with Workspace.open(home / "ws") as workspace:
        return {
            row["path"]: (row["disposition"], row["reason"])
            for row in rows(workspace.assets[asset].directory, "books.parquet")
        }


def test_the_words_are_nowhere_and_everything_that_had_them_is_named(home: Path) -> None:
    state = home / "ws" / ".loresmith"
    log = next((state / "runs").glob("*/files.log"))
    log.write_text(f"a line of ours\nread {TICKET}\n{json.dumps(LETTER)}\n")
    left = state / "work" / ("0" * 64) / "state"
    left.mkdir(parents=True)
    (left / "spooled.txt").write_text(LETTER)
    kept = state / "reproductions" / "kept-0123"
    kept.mkdir(parents=True)
    (kept / "made.txt").write_text(LETTER)
    (state / "import-left").mkdir()
    (state / "import-left" / "note.txt").write_text("Ada Lovelace no longer wants that this letter is kept by anybody")
    assert len(files_with(home / "ws", LETTER_WORDS)) > 8

    dry = answered(home, path="hr/letter.md", dry_run=True).report
    assert dry is not None
    assert dry.erasure is None
    assert len(files_with(home / "ws", LETTER_WORDS)) > 8

    report = erased(home, path="hr/letter.md")
    assert files_with(home / "ws", LETTER_WORDS) == []
    assert files_with(home / "ws", TICKET_WORDS), "the others are where they do not lie in the same blob"
    assert log.read_text() == f"a line of ours\nread {TICKET}\n"
    assert [Path(path).name for path in report.left] == ["note.txt"]
    assert {(line.why, *line.paths) for line in report.documents} == {
        ("asked for", "hr/letter.md"),
        ("same text", "copy.txt"),
    }
    files = touched(report)
    assert set(files) == {
        "demo/files.source",
        "demo/files.documents",
        "demo/corpus.corpus",
        "demo/tokenizer.tokenizer",
        "demo/tokens.tokens",
        "demo/train.model",
        "demo/evaluate.report",
        "demo/baseline.report",
    }
    assert files["demo/files.source"] == ("files/copy.txt", "files/hr/letter.md")
    assert files["demo/evaluate.report"] == ("cases.jsonl",)
    assert [name.split("-")[1] for name in files["demo/tokens.tokens"]] == ["00000.bin"]
    assert {made for made, lost in files.items() if lost == "tainted"} == {
        "demo/tokenizer.tokenizer",
        "demo/train.model",
        "demo/baseline.report",
    }
    assert [(each.release, each.effect) for each in report.releases] == [("acme@production", "tainted")]
    assert touched(dry) == files
    assert (dry.documents, dry.blobs, dry.bytes) == (report.documents, report.blobs, report.bytes)


def test_what_is_made_of_labelled_documents_shows_their_labels(template: Path) -> None:
    made = ("files.source", "files.documents", "corpus", "tokenizer", "tokens")
    for asset in (f"demo/{name}" for name in made):
        answer = SHOW.perform(template / "ws", SHOW.request(asset=asset), lambda _event: None)
        assert answer.asset.labels == ("acme", "restricted"), asset
    documents = SHOW.perform(template / "ws", SHOW.request(asset="demo/files.documents"), lambda _event: None)
    assert documents.asset.metadata["owners"]["HR"] == 1
    assert documents.asset.metadata["uses"]["train"] == documents.asset.metadata["documents"]


def test_what_remains_verifies_and_says_what_was_erased(home: Path) -> None:
    report = erased(home, path="hr/letter.md", because="she asked on a Monday")
    with Workspace.open(home / "ws") as workspace:
        assert workspace.verify().problems == ()
        checks = {check.digest: check for check in (handle.verify() for handle in workspace.assets)}
        assert not [problem for check in checks.values() for problem in check.problems]
        gone = {digest for digest, check in checks.items() if check.erased}
        assert gone == {each.digest for each in report.assets if each.effect == "erased"}
        assert all("because she asked on a Monday" in said for digest in gone for said in checks[digest].erased)
        with pytest.raises(UserError, match=r"was erased on .* because she asked on a Monday"):
            _ = workspace.assets["demo/corpus"].directory
        (fate, *_) = trace_document(workspace.ledger, "hr/letter.md").fates
        assert fate.disposition == "kept", "the books stay"
        with pytest.raises(UserError, match="--although-tainted"):
            workspace.releases.promote("acme", "demo/train", because="it is good")
        with pytest.raises(UserError, match=r"content of this documents asset was erased.*\n.*run the recipe again"):
            workspace.assets["demo/tokens"].reproduce()


@pytest.mark.slow
def test_a_record_and_a_file_in_an_archive_take_their_files_along(home: Path) -> None:
    report = erased(home, path="tickets.jsonl#L2")
    assert touched(report)["demo/files.source"] == ("files/tickets.jsonl",)
    assert files_with(home / "ws", TICKET_WORDS) == []
    report = erased(home, path="old.zip!/note.txt")
    assert touched(report)["demo/files.source"] == ("files/old.zip",)
    assert files_with(home / "ws", PACKED_WORDS) == []
    said = run(home)
    assert "left out 2 that were erased from this workspace" in said
    found = books(home)
    assert found["tickets.jsonl#L2"] == ("dropped", "erased")
    assert "old.zip!/note.txt" not in found, "a file that is nothing but that text"
    assert found["tickets.jsonl#L1"] == found["old.zip!/other.txt"] == ("kept", "")
    assert files_with(home / "ws", TICKET_WORDS) == files_with(home / "ws", PACKED_WORDS) == []


def test_versions_that_no_run_has_kept_go_along(home: Path) -> None:
    letter = home / "in" / "hr" / "letter.md"
    letter.write_text("An earlier letter with CANARY-EARLIER in it, which only a preview has ever seen so far.")
    request = DataPreviewRequest(recipe=str(home / "ws" / "recipe.yaml"))
    DATA_PREVIEW.perform(home / "ws", request, lambda _event: None)
    remembered = home / "ws" / ".loresmith" / "cache" / "ingest" / "extractions"
    before = {path.name for path in remembered.glob("*/*")}
    assert files_with(home / "ws", "CANARY-EARLIER")
    letter.write_text(LETTER)
    erased(home, path="hr/letter.md")
    assert files_with(home / "ws", "CANARY-EARLIER") == files_with(home / "ws", LETTER_WORDS) == []
    letters = 3  # its two versions, and the copy
    assert len(before) - len(list(remembered.glob("*/*"))) == letters, "of all else it is remembered what was read"


def test_a_second_erasure_finds_the_same_text_though_the_first_took_the_table(home: Path) -> None:
    erased(home, path="tickets.jsonl#L2")
    report = erased(home, path="copy.txt")
    assert {(line.why, *line.paths) for line in report.documents} == {
        ("asked for", "copy.txt"),
        ("same text", "hr/letter.md"),
    }
    assert report.silent == ()
    assert touched(report)["demo/files.source"] == ("files/copy.txt", "files/hr/letter.md")
    assert touched(report)["demo/train.model"] == "tainted"
    assert files_with(home / "ws", LETTER_WORDS) == []


@pytest.mark.slow
def test_the_recipe_makes_anew_what_was_lost_without_what_was_erased(home: Path) -> None:
    with Workspace.open(home / "ws") as workspace:
        before = workspace.plan(home / "ws" / "recipe.yaml")
        old = workspace.assets["demo/corpus"].digest
        workspace.write_plan(before, home / "plan.json")
    erased(home, path="hr/letter.md")
    with Workspace.open(home / "ws") as workspace:
        with pytest.raises(UserError, match="documents were erased since the plan was made"):
            workspace.run(before)
        with pytest.raises(UserError, match="documents were erased since the plan was made"):
            workspace.read_plan(home / "plan.json")
    run(home)
    found = books(home)
    assert not {"hr/letter.md", "copy.txt"} & found.keys(), "not even what they were called"
    assert sum(disposition == "kept" for disposition, _ in found.values()) == len(found) - 2, "an archive, a sidecar"
    with Workspace.open(home / "ws") as workspace:
        action = workspace.assets["demo/files.documents"].made_by()
        assert action is not None
        (documents, _) = action.books.accounts
        assert documents.entered == len(found) + 2
        assert [entry.count for entry in documents.left if entry.reason == "erased"] == [2]
    assert files_with(home / "ws", LETTER_WORDS) == []
    (home / "in" / "renamed.md").write_text(LETTER)
    assert run(home).count("step-cached") == 4, "of such a file nothing is read"
    (home / "in" / "wrapped.jsonl").write_text(json.dumps({"text": LETTER}) + "\n")
    run(home)
    assert books(home)["wrapped.jsonl#L1"] == ("dropped", "erased"), "whatever it is in"
    (home / "in" / "wrapped.jsonl").unlink()
    run(home)
    for name in ("renamed.md", "copy.txt", "hr/letter.md"):
        (home / "in" / name).unlink()
    with Workspace.open(home / "ws") as workspace:
        (files, *_) = workspace.plan(home / "ws" / "recipe.yaml").steps
        assert files.state == "cached", "for the workspace it was not there before either"
        new = workspace.assets["demo/corpus"]
        assert new.digest != old
        assert new.digest not in workspace.ledger.erasures.marks()
        assert new.reproduce().same
    assert files_with(home / "ws", LETTER_WORDS) == []


@pytest.mark.slow
def test_what_has_nothing_to_do_with_it_is_made_from_the_same_and_stays(home: Path) -> None:
    other = home / "ws" / "other.yaml"
    apart = home / "apart"
    apart.mkdir()
    (apart / "a.md").write_text("A text of its own, on which nothing else in the house depends at all. " * 9)
    other.write_text(f"name: other\nsteps:\n  files: {{step: ingest, path: {apart}}}\n")
    with Workspace.open(home / "ws") as workspace:
        workspace.run(other)
        before = workspace.assets["other/files.documents"].digest
    erased(home, path="hr/letter.md")
    with Workspace.open(home / "ws") as workspace:
        assert workspace.plan(other).steps[0].state == "to do"
        workspace.run(other)
        assert workspace.assets["other/files.documents"].digest == before
        assert before not in workspace.ledger.erasures.marks()


def test_an_asset_without_it_is_clean_though_it_was_made_from_one_with_it(home: Path) -> None:
    with Workspace.open(home / "ws") as workspace:
        recipe = home / "ws" / "long.yaml"
        recipe.write_text(
            "name: long\nsteps:\n  corpus: {step: curate, documents: demo/files.documents, minimum_bytes: 400, "
            "validation_share: 0.1, test_share: 0.2}\n"
        )
        workspace.run(recipe)
        long = workspace.assets["long/corpus"].digest
    report = erased(home, path="hr/letter.md")
    assert long not in {each.digest for each in report.assets}
    with Workspace.open(home / "ws") as workspace:
        assert workspace.assets["long/corpus"].directory.is_dir()
        recipe = home / "ws" / "again.yaml"
        recipe.write_text("name: again\nsteps:\n  corpus: {step: curate, documents: demo/files.documents}\n")
        with pytest.raises(UserError, match=r"(?s)step 'corpus'.*the input 'documents': content of this.*was erased"):
            workspace.run(recipe)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"path": "hr/leter.md"}, "unknown path 'hr/leter.md'; did you mean 'hr/letter.md'"),
        ({"document": "0123456789ab"}, "unknown document '0123456789ab'"),
        ({"path": "a", "document": "0123456789ab"}, "in two ways"),
        ({"path": "hr/letter.md", "because": " "}, "needs a reason"),
        ({"path": "hr/letter.md", "because": None}, "needs a reason"),
        ({}, "nothing says what to erase"),
    ],
)
def test_a_request_that_cannot_be_meant_changes_nothing(template: Path, request_: dict[str, Any], said: str) -> None:
    with Workspace.open(template / "ws") as workspace:
        before = workspace.ledger.log.head()
    with pytest.raises(UserError, match=said):
        answered(template, **{"because": "Ada asked", **request_})
    with Workspace.open(template / "ws") as workspace:
        assert workspace.ledger.log.head() == before


def test_what_was_erased_is_not_erased_again(home: Path) -> None:
    (document,) = [line.id for line in erased(home, path="hr/letter.md").documents if line.why == "asked for"]
    for named in ({"path": "hr/letter.md"}, {"document": document}, {"document": document[:12]}):
        with pytest.raises(UserError, match="erased already"):
            erased(home, **named)
    with Workspace.open(home / "ws") as workspace:
        (listed,) = DATA_ERASURES.run(workspace, DATA_ERASURES.request(), lambda _event: None).erasures
        assert listed.because == "Ada asked"
        assert len(listed.documents) == 2


def erase_and_wait(home: Path) -> None:
    erased(home, path="hr/letter.md")


def looked_at(child: multiprocessing.process.BaseProcess, what: Callable[[], bool]) -> bool:
    """Whether something is so, while a process stands still; it stays so where it is."""
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    found = what()
    if not found:
        os.kill(child.pid, signal.SIGCONT)
    return found


def test_an_erasure_that_is_killed_is_finished_by_the_next_call(home: Path) -> None:
    """Killed as soon as it is on the record, wherever it is by then."""
    half_done = 0
    delays = (0.002, 0.005, 0.01, 0.02, 0.05, *[0.0] * 10)
    for number, delay in enumerate(delays):
        if number > 5 and half_done:
            break  # the others are for a machine on which it is over before anybody looks
        copy = copy_of(home, home / f"copy-{number}")
        child = multiprocessing.get_context("fork").Process(target=erase_and_wait, args=(copy,))
        child.start()
        with Workspace.open(copy / "ws") as workspace:
            while child.is_alive() and not looked_at(child, lambda: bool(workspace.ledger.erasures.list())):
                time.sleep(0.001)
            if delay and child.pid is not None and child.is_alive():
                os.kill(child.pid, signal.SIGCONT)
                time.sleep(delay)
            if child.pid is not None and child.is_alive():
                os.kill(child.pid, signal.SIGKILL)
            child.join()
            unfinished = bool(workspace.ledger.erasures.unfinished())
            half_done += unfinished
            again = finish(workspace.ledger, workspace.place.state)
            assert bool(again) == unfinished
            assert not workspace.ledger.erasures.unfinished()
            assert workspace.verify().problems == ()
        assert files_with(copy / "ws", LETTER_WORDS) == []
    assert half_done


def test_a_log_that_quotes_is_cleaned_by_the_call_that_finishes(home: Path) -> None:
    from loresmith.ledger import ErasedDocument
    from loresmith.sdk.calls.ledger import VERIFY

    log = next((home / "ws" / ".loresmith" / "runs").glob("*/files.log"))
    log.write_text(LETTER)
    with Workspace.open(home / "ws") as workspace:  # as it is after a kill between the record and the removal
        dry = answered(home, path="hr/letter.md", dry_run=True).report
        assert dry is not None
        lost = {workspace.ledger.assets.get(each.digest).files[name] for each in dry.assets for name in each.files}
        said = [ErasedDocument(id=line.id) for line in dry.documents]
        marks = {each.digest: each.effect for each in dry.assets}
        erasure = workspace.ledger.erasures.enter("Ada asked", said, {file.digest for file in lost}, marks)
        check = VERIFY.run(workspace, VERIFY.request(), lambda _event: None)
        assert f"erasure {erasure.id}" in check.problems[0]
        assert "is half done: `loresmith data erase` finishes it" in check.problems[0]
    assert files_with(home / "ws", LETTER_WORDS)
    answer = answered(home)
    assert (answer.report, answer.finished) == (None, (erasure.id,))
    assert files_with(home / "ws", LETTER_WORDS) == []


def erase_in_turn(home: Path, barrier: Any, said: Any) -> None:
    barrier.wait()
    try:
        said.put(erased(home, path="hr/letter.md").erasure)
    except UserError as error:
        said.put(error.what)


def test_of_two_at_once_one_erases_and_the_other_is_told(home: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, said = context.Barrier(2), context.Queue()
    both = [context.Process(target=erase_in_turn, args=(home, barrier, said)) for _ in range(2)]
    for child in both:
        child.start()
    answers = sorted((said.get(timeout=60) for _ in both), key=len)
    for child in both:
        child.join()
    with Workspace.open(home / "ws") as workspace:
        assert [erasure.id for erasure in workspace.ledger.erasures.list()] == answers[:1]
        assert not workspace.ledger.erasures.unfinished()
    assert "erased already" in answers[1]
    assert files_with(home / "ws", LETTER_WORDS) == []


def test_a_read_only_workspace_is_looked_through_and_left_as_it_is(home: Path) -> None:
    (home / "ws" / ".loresmith" / "ledger.db").chmod(0o444)
    (home / "ws" / ".loresmith").chmod(0o555)

    def try_to() -> str:
        powerless()
        assert answered(home, path="hr/letter.md", dry_run=True).report is not None
        with pytest.raises(Failure, match=r"read-only|permission denied") as caught:
            erased(home, path="hr/letter.md")
        return caught.value.what

    try:
        for folder in [home, *home.parents]:
            if folder.stat().st_mode & 0o005 != 0o005:
                folder.chmod(folder.stat().st_mode | 0o055)
        assert in_child(try_to)
    finally:
        (home / "ws" / ".loresmith").chmod(0o755)
    assert files_with(home / "ws", LETTER_WORDS)


def test_blobs_in_an_object_store_go_too(tmp_path: Path) -> None:
    import fsspec

    place = write_place(tmp_path / "in")
    (tmp_path / "ws").mkdir()
    Workspace.init(tmp_path / "ws").close()
    (tmp_path / "ws" / "loresmith.yaml").write_text("format: 1\nblobs: memory://erasure\n")
    recipe = write_recipe(tmp_path)
    recipe.write_text("\n".join(RECIPE.format(place=place).splitlines()[:3]) + "\n")
    with Workspace.open(tmp_path / "ws") as workspace:
        workspace.run(recipe)

    def stored() -> Path:
        copied = tmp_path / f"stored-{time.monotonic_ns()}"
        store = fsspec.filesystem("memory")
        for number, path in enumerate(store.find("/erasure")):
            copied.mkdir(exist_ok=True)
            (copied / str(number)).write_bytes(store.cat_file(path))
        return copied

    assert files_with(stored(), LETTER_WORDS)
    erased(tmp_path, path="hr/letter.md")
    assert not files_with(stored(), LETTER_WORDS)
    assert files_with(tmp_path / "ws", LETTER_WORDS) == []


def test_nothing_is_erased_while_a_run_is_under_way(home: Path) -> None:
    with Workspace.open(home / "ws") as workspace:
        under_way = workspace.ledger.runs.start("0" * 64, "demo", {})
        with pytest.raises(UserError, match=f"a run is under way: {under_way}"):
            erased(home, path="hr/letter.md")
        workspace.ledger.runs.event(under_way, "finished")
    erased(home, path="hr/letter.md")


@pytest.mark.slow
def test_conversations_and_rows_of_a_query_can_be_erased(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "ws").mkdir()
    (tmp_path / "in").mkdir()
    talks = [
        '{"prompt": "What is a pump?", "completion": "It moves a liquid from here to there."}',
        '{"prompt": "What does Ada say?", "completion": "She says CANARY-LETTER, and that it is nobody\'s business."}',
        '{"prompt": "And a valve?", "completion": "It stops a liquid, or lets it go on."}',
    ]
    (tmp_path / "in" / "talks.jsonl").write_text("\n".join(talks) + "\n")
    connection = sqlite3.connect(tmp_path / "faults.db")
    connection.execute("CREATE TABLE fault (text TEXT)")
    said = ["The first row is about pumps.", "The second row holds CANARY-TICKET, for now.", "The third does not."]
    connection.executemany("INSERT INTO fault VALUES (?)", [(text,) for text in said])
    connection.commit()
    connection.close()
    recipe = tmp_path / "ws" / "recipe.yaml"
    recipe.write_text(
        f"name: demo\nsteps:\n  talks: {{step: ingest-messages, path: {tmp_path}/in, validation_share: 0.4}}\n"
        f"  faults: {{step: ingest-query, url: 'sqlite:///{tmp_path}/faults.db', "
        "query: SELECT text FROM fault ORDER BY rowid, name: faults}\n"
    )
    Workspace.init(tmp_path / "ws").close()
    run(tmp_path)
    report = erased(tmp_path, path="talks.jsonl#L2")
    assert touched(report) == {"demo/talks.dataset": ("records.parquet",), "demo/talks.source": ("files/talks.jsonl",)}
    with Workspace.open(tmp_path / "ws") as workspace:
        (path,) = [row for row in books(tmp_path, "demo/faults.documents") if row.endswith("2")]
        assert not workspace.ledger.erasures.unfinished()
    report = erased(tmp_path, path=path)
    assert touched(report)["demo/faults.source"] == ("files/rows.jsonl",)
    run(tmp_path)
    assert books(tmp_path, "demo/talks.dataset")["talks.jsonl#L2"] == ("dropped", "erased")
    assert books(tmp_path, "demo/faults.documents")[path] == ("dropped", "erased")
    assert files_with(tmp_path / "ws", LETTER_WORDS) == files_with(tmp_path / "ws", TICKET_WORDS) == []
