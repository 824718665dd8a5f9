"""`--json` prints one JSON object, which is the call's answer, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import pytest

from loresmith import Workspace
from loresmith.data.record_books import RecordBooks
from loresmith.sdk.calls import all_calls
from tests.advice.corpora import document
from tests.advice.corpora import write_corpus as write_notes
from tests.cli.conftest import CommandLine
from tests.cli.test_fill import add_filler
from tests.data.contamination.suite_texts import prose
from tests.data.conversations import asked, dataset_of
from tests.data.written_corpora import write_corpus
from tests.serving.audit.places import write_audit
from tests.serving.engines.served_models import write_tiny
from tests.serving.feedback.test_feedback import workspace_with_feedback
from tests.serving.traffic_sample.test_traffic_sample import sampled_workspace

CALLS = {call.name: call for call in all_calls()}

Words = Callable[[CommandLine], list[str]]


def newest_run(cli: CommandLine) -> str:
    return str(cli("runs", "--json").json["runs"][0]["id"])


WORDS: dict[str, Words] = {
    "init": lambda cli: [str(cli.folder / "another")],
    "plan": lambda cli: ["recipe.yaml", "--out", str(cli.folder / "plan.json")],
    "run": lambda _: ["recipe.yaml"],
    "runs ls": lambda _: ["--limit", "3"],
    "runs show": lambda cli: [newest_run(cli)],
    "runs watch": lambda cli: [newest_run(cli)],
    "summary": lambda _: [],
    "assets ls": lambda _: ["--kind", "corpus"],
    "assets show": lambda _: ["words@production"],
    "assets verify": lambda _: [],
    "assets import": lambda cli: [str(cli.folder / "tiny" / "model")],
    "assets export": lambda cli: ["words", str(cli.folder / "exported")],
    "data preview": lambda cli: [curating(cli)],
    "data show": lambda cli: [add_dataset(cli)],
    "data readiness": lambda cli: [add_note(cli)],
    "data diff": lambda cli: [add_dataset(cli), add_dataset(cli)],
    "data export": lambda cli: [add_dataset(cli), "--to", f"{mkdtemp()}/talks.jsonl"],
    "data contamination": lambda _: held_against_a_suite(),
    "data erase": lambda _: [*add_unwanted(), "--because", "a test"],
    "data erasures": lambda _: [],
    "books": lambda _: [],
    "trace document": lambda cli: [recorded(cli)],
    "lineage": lambda _: ["words", "--format", "mermaid"],
    "reproduce": lambda _: ["words@production"],
    "releases ls": lambda _: [],
    "releases promote": lambda _: ["more", "words/bye", "--kind", "corpus", "--because", "a test"],
    "releases rollback": lambda cli: ["twice", "--because", "a test"],
    "releases history": lambda _: ["words"],
    "models presets": lambda _: ["--kind", "moe"],
    "models describe": lambda cli: [str(cli.write("train.yaml", TRAINING))],
    "models certify": lambda cli: [served_model(cli), "--precision", "fp32", "--window", "200", "--threads", "1"],
    "inspect": lambda cli: [add_dataset(cli), "writer"],
    "fill": lambda cli: [add_filler(cli.folder, cli.folder / "filler"), "one[[...]]two", "--max-new-tokens", "4"],
    "complete": lambda _: ["writer", "hello", "--max-new-tokens", "4"],
    "chat": lambda _: ["writer", "-m", "hello", "--max-new-tokens", "4"],
    "index build": lambda cli: [add_note(cli), "--embedder", "none"],
    "index search": lambda cli: [indexed(cli), "note", "--as-labels", "clinical, night"],
    "keys ls": lambda _: ["--revoked"],
    "keys create": lambda _: ["user:ada", "--group", "physicians", "--because", "a test"],
    "keys revoke": lambda cli: [new_key(cli), "--because", "a test"],
    "keys rotate": lambda cli: [new_key(cli), "--grace-hours", "0", "--because", "a test"],
    "policy check": lambda cli: [str(cli.write("serve.yaml", SERVING)), "--matrix"],
    "policy explain": lambda cli: [str(cli.write("serve.yaml", SERVING)), "--as", "ada", "--model", "words@production"],
    "policy replay": lambda cli: [guarded(cli), "--because", "a test"],
    "guards check": lambda cli: [guarded(cli), "--text", "write to ada@example.com"],
    "guards train": lambda _: about_weapons(),
    "ledger verify": lambda _: [],
    "ledger proof": lambda _: ["3"],
    "audit search": lambda _: audited("--content", "--because", "a test"),
    "audit export": lambda _: audited("--to", f"{mkdtemp()}/audit.jsonl"),
    "audit verify": lambda _: audited(),
    "audit proof": lambda _: audited("r-1"),
    "audit erase": lambda _: audited("--tenant", "ward", "--because", "a test"),
    "traffic sample": lambda _: sampled(),
    "feedback collect": lambda _: commented(),
    "steps": lambda _: ["join-text"],
    "doctor": lambda _: [],
}

SERVING = """\
groups: {physicians: {members: [user:ada], labels: [internal]}}
policy: {administrators: [physicians]}
"""

TRAINING = """\
name: train
steps:
  files: {step: ingest, path: documents}
  corpus: {step: curate, documents: files}
  tokenizer: {step: train-tokenizer, corpus: corpus}
  tokens: {step: pack, corpus: corpus, tokenizer: tokenizer}
  base: {step: pretrain, tokens: tokens, architecture: {preset: qwen3-1m}}
"""


def served_model(cli: CommandLine) -> str:
    with Workspace.open(cli.folder) as workspace:
        return workspace.assets.add("model", write_tiny(Path(mkdtemp()))).digest


def new_key(cli: CommandLine) -> str:
    return str(cli("keys", "create", "user:ada", "--because", "a test", "--json").json["key"]["key"])


def curating(cli: CommandLine) -> str:
    """A recipe that curates a page."""
    (cli.folder / "pages").mkdir(exist_ok=True)
    (cli.folder / "pages" / "page.txt").write_text(
        "The pump of this machine is to be checked once a week, with care.\n"
    )
    steps = "files: {step: ingest, path: pages}\n  corpus: {step: curate, documents: files}"
    return str(cli.write("pages.yaml", f"name: pages\nsteps:\n  {steps}\n"))


def recorded(cli: CommandLine) -> str:
    """The path of a document that stands in a book."""
    (cli.folder / "kept").mkdir(exist_ok=True)
    with RecordBooks(cli.folder / "kept") as books:
        books.leave("0" * 64, "kept/page.txt", "quarantined", 3, "empty")
    with Workspace.open(cli.folder) as workspace:
        workspace.assets.add("documents", cli.folder / "kept")
    return "kept/page.txt"


def guarded(cli: CommandLine) -> str:
    """A serving config with a guard."""
    return str(cli.write("guarded.yaml", "guards:\n  - {kind: privacy, finds: [email]}\n"))


def about_weapons() -> list[str]:
    """Examples of a topic, for a workspace of their own: here, the plug-in would look into what is made."""
    folder = Path(mkdtemp())
    about = [f'{{"text": "buy a rifle of {number} inches", "topic": "weapons"}}' for number in range(10)]
    others = [f'{{"text": "change the filter of pump {number}"}}' for number in range(10)]
    (folder / "weapons.jsonl").write_text("\n".join([*about, *others]), encoding="utf-8")
    Workspace.init(folder).close()
    return [str(folder / "weapons.jsonl"), "--workspace", str(folder)]


def add_dataset(cli: CommandLine) -> str:
    folder = Path(mkdtemp(dir=cli.folder))
    records = [asked("Who?", "Ada."), asked("When?", "At nine.")]
    with Workspace.open(cli.folder) as workspace:
        return workspace.assets.add("dataset", dataset_of(records, folder)).digest


def add_unwanted() -> list[str]:
    """A corpus with a document that nobody wants any more, in a workspace of its own."""
    folder = Path(mkdtemp())
    corpus = write_notes(folder / "corpus", [document("unwanted.txt", "A note that nobody wants any more.")])
    with Workspace.init(folder) as workspace:
        workspace.assets.add("corpus", corpus.directory)
    return ["--path", "unwanted.txt", "--workspace", str(folder)]


def add_note(cli: CommandLine) -> str:
    """A corpus of a sentence: too little to train anything on, so that nothing is."""
    note = write_notes(Path(mkdtemp(dir=cli.folder)) / "corpus", [document("note.txt", "A short note.")])
    with Workspace.open(cli.folder) as workspace:
        return workspace.assets.add("corpus", note.directory).digest


def indexed(cli: CommandLine) -> str:
    return str(cli("index", "build", add_note(cli), "--embedder", "none", "--json").json["reference"])


def held_against_a_suite() -> list[str]:
    """A corpus and a suite in a workspace of their own: here, every corpus made later would be held against it, too."""
    folder = Path(mkdtemp())
    (folder / "suite").mkdir()
    (folder / "suite" / "suite.yaml").write_text(f"name: exam\ncases: [{{prompt: {prose(1, 20)}, expected: x}}]\n")
    with Workspace.init(folder) as workspace:
        workspace.assets.add("suite", folder / "suite")
        corpus = workspace.assets.add("corpus", write_corpus(folder / "corpus", [prose(1, 20)]))
    return [corpus.digest, "--workspace", str(folder)]


def commented() -> list[str]:
    """A workspace of its own whose gateway was told what was right."""
    folder = Path(mkdtemp())
    workspace_with_feedback(folder)
    return ["--because", "a test", "--workspace", str(folder)]


def sampled() -> list[str]:
    """A workspace of its own whose gateway has kept a sample."""
    folder = Path(mkdtemp())
    sampled_workspace(folder)
    return ["--workspace", str(folder)]


def audited(*words: str) -> list[str]:
    """The words, and a workspace of its own whose gateway was asked something."""
    folder = Path(mkdtemp())
    write_audit(folder)
    return [*words, "--workspace", str(folder)]


AT_WORK_FOR_LONG = {"serve"}
"""Calls that say what happens while they last, a line of JSON each: see tests/serving/gateway/gateways.py."""


def test_every_call_is_tried_here() -> None:
    assert WORDS.keys() | AT_WORK_FOR_LONG == CALLS.keys()


@pytest.mark.parametrize("name", WORDS)
def test_json_is_the_answer(name: str, cli: CommandLine) -> None:
    if name == "releases rollback":
        for asset in ("words/hello", "words/both"):
            assert cli("releases", "promote", "twice", asset, "--kind", "corpus", "--because", "a test").status == 0
    words = WORDS[name](cli)
    done = cli(*name.split(), *words, "--json")
    assert done.status == 0, done.err
    assert done.err == ""
    answer = CALLS[name].answer.model_validate_json(done.out)
    assert answer.model_dump(mode="json") == done.json


@pytest.mark.parametrize("name", sorted(WORDS.keys() - {"releases rollback", "init", "assets export"}))
def test_without_json_a_person_reads_something_else(name: str, cli: CommandLine) -> None:
    done = cli(*name.split(), *WORDS[name](cli))
    assert done.status == 0, done.err
    assert done.out.strip()
    assert not done.out.startswith("{")


def test_an_error_is_one_json_object_too(cli: CommandLine) -> None:
    done = cli("lineage", "wrods", "--json")
    assert done.status == done.json["exit_status"] == 2
    assert "did you mean 'words'" in done.json["error"]["what"]
    assert done.json.keys() == {"error", "exit_status"}
    assert done.json["error"].keys() == {"what", "where", "hint"}
    assert done.json["error"]["what"] in done.err


def test_a_wrong_option_is_an_error_object_as_well(cli: CommandLine) -> None:
    done = cli("runs", "show", "--json")
    assert done.status == done.json["exit_status"] == 2
    assert "RUN" in done.json["error"]["what"]


def test_the_json_of_a_lineage_does_not_depend_on_how_it_is_asked_for(cli: CommandLine) -> None:
    assert cli("lineage", "words", "--format", "json").json == cli("lineage", "words", "--json").json
