"""A workspace with documents in many places, made once and copied for each test."""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from loresmith import Workspace
from loresmith.factory.step import AssetKind
from loresmith.ledger import ActionRecord, OutputRecord
from loresmith.ledger.books import Books
from loresmith.ledger.digest import digest_of

LETTER = (
    "Ada Lovelace no longer wants that this letter is kept by anybody at all.\n\nIn it stands CANARY-LETTER, and more."
)
TICKET = "The ticket says CANARY-TICKET because somebody wrote it down in a hurry, and now it has to go."
PACKED = "Inside an archive waits CANARY-PACKED, which nobody finds who does not unpack what is packed."
CANARIES = ("CANARY-LETTER", "CANARY-TICKET", "CANARY-PACKED")

_WORDS = ["pump", "valve", "motor", "gear", "seal", "bearing", "oil", "pressure", "shaft", "flange", "gasket", "rotor"]

RECIPE = """\
name: demo
steps:
  files: {{step: ingest, path: {place}, labels: [acme]}}
  corpus: {{step: curate, documents: files, minimum_bytes: 10, validation_share: 0.1, test_share: 0.2}}
  tokenizer: {{step: train-tokenizer, corpus: corpus, vocabulary_size: 300}}
  tokens: {{step: pack, corpus: corpus, tokenizer: tokenizer}}
"""


def write_place(folder: Path) -> Path:
    """The files of an organisation."""
    (folder / "hr").mkdir(parents=True)
    for number in range(8):
        chance = random.Random(number)
        text = " ".join(f"{chance.choice(_WORDS)}{chance.randrange(99)}" for _ in range(80))
        (folder / f"manual{number}.md").write_text(text)
    (folder / "hr" / "letter.md").write_text(LETTER)
    (folder / "hr" / ".rights.yaml").write_text("labels: [restricted]\nowner: HR\n")
    (folder / "copy.txt").write_text(LETTER)
    tickets = ["Record one speaks of pumps and of valves.", TICKET, "Record three is about bearings and seals."]
    (folder / "tickets.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in tickets))
    with zipfile.ZipFile(folder / "old.zip", "w") as archive:
        archive.writestr("note.txt", PACKED)
        archive.writestr("other.txt", "Another file in the same archive, of which nobody wants to be rid.")
    return folder


def make_template(folder: Path) -> Path:
    """A workspace in which a recipe has run, with a model, a report that quotes, and a release of them."""
    place = write_place(folder / "in")
    (folder / "ws").mkdir()
    Workspace.init(folder / "ws").close()
    write_recipe(folder)
    with Workspace.open(folder / "ws") as workspace:
        workspace.run(folder / "ws" / "recipe.yaml")
        model = derive(workspace, "train", {"tokens": "demo/tokens"}, "model", {"weights": "not any text"})
        derive(
            workspace,
            "evaluate",
            {"model": model, "corpus": "demo/corpus"},
            "report",
            {"cases.jsonl": json.dumps({"prompt": LETTER}) + "\n", "report.json": "{}"},
        )
        derive(workspace, "baseline", {"corpus": "demo/corpus"}, "report", {"report.md": "Nothing of theirs."})
        workspace.releases.promote("acme", model, because="it is good")
    assert place.is_dir()
    return folder


def write_recipe(folder: Path) -> Path:
    recipe = folder / "ws" / "recipe.yaml"
    recipe.write_text(RECIPE.format(place=json.dumps(str(folder / "in"))))
    return recipe


def copy_of(template: Path, folder: Path) -> Path:
    """The template somewhere else, where it may be changed."""
    shutil.copytree(template, folder / "home")
    write_recipe(folder / "home")
    return folder / "home"


def derive(
    workspace: Workspace, name: str, inputs: Mapping[str, str], kind: AssetKind, files: Mapping[str, str]
) -> str:
    """An asset that a step would have made of others, on record as such; returns its digest."""
    ledger = workspace.ledger
    run = ledger.runs.start("0" * 64, "demo", {})
    directory = workspace.place.folder / f"made-{name}"
    directory.mkdir()
    for path, text in files.items():
        (directory / path).write_text(text)
    digests = {role: ledger.assets.find(reference).digest for role, reference in inputs.items()}
    action = ledger.actions.record(
        ActionRecord(
            key=digest_of([name, digests]),
            run=run,
            name=name,
            recipe="demo",
            step="copy",
            step_version=1,
            config={},
            seed=0,
            environment={"host": "here"},
            inputs=digests,
            outputs={"made": OutputRecord(kind=kind, directory=directory, move=True)},
            books=Books(),
            seconds=1,
            peak_bytes=1,
        )
    )
    ledger.runs.event(run, "finished")
    return action.outputs["made"]
