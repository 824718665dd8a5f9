"""The example `manuals`: a service department's folder in some twenty formats, from files to tokens, fate by fate."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loresmith import Workspace
from loresmith.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "examples" / "manuals"
sys.path.insert(0, str(EXAMPLE))
make_manuals = pytest.importorskip("make_manuals")
from service_records import PERSONAL  # noqa: E402


class Made:
    """What came of the recipe."""

    def __init__(self, folder: Path) -> None:
        self.files, self.recipe = folder / "files", EXAMPLE / "recipe.yaml"
        self.settings = [f"steps.files.path={self.files}", "steps.tokenizer.vocabulary_size=512"]
        make_manuals.write(self.files, real_bytes=200_000)
        self.workspace = Workspace.init(folder / "workspace")
        self.run()
        documents = self.workspace.assets["manuals/files.documents"].directory
        self.corpus = self.workspace.assets["manuals/corpus"].directory
        self.read = rows(documents / "books.parquet")
        self.scores = {row["path"]: row for row in rows(self.corpus / "scores.parquet")}
        self.kept = {row["path"]: row for file in self.corpus.glob("documents-*") for row in rows(file)}

    def run(self) -> None:
        self.workspace.run(self.workspace.plan(self.recipe, self.settings))

    def ours(self) -> dict[str, dict[str, Any]]:
        """The kept documents that the example wrote itself."""
        return {path: row for path, row in self.kept.items() if not path.startswith("python/")}


def rows(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("manuals"))


def test_the_folder_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    first, second = (dict(make_manuals.generated()) for _ in range(2))
    assert first == second
    words = [sys.executable, EXAMPLE / "make_manuals.py", tmp_path / "there", "--real-bytes", "100000"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    written = {path.relative_to(tmp_path / "there").as_posix() for path in (tmp_path / "there").rglob("*")}
    assert set(first) <= written
    assert "files in" in said.stdout
    for name, data in first.items():
        assert (tmp_path / "there" / name).read_bytes() == data


@pytest.mark.slow
def test_each_file_is_kept_or_in_the_books_with_its_reason(made: Made) -> None:
    fates = {row["path"]: row for row in made.read}
    told = {row["path"].partition("#")[0] for row in made.read}
    assert {name for name, _ in make_manuals.generated()} <= told
    refused = {path: row["reason"] for path, row in fates.items() if row["disposition"] == "quarantined"}
    ours = {path: reason for path, reason in refused.items() if not path.startswith("python/")}
    assert ours == make_manuals.REFUSED
    assert fates[make_manuals.RIGHTS]["reason"] == "rights sidecar"
    left = {path: row["reason"] for path, row in made.scores.items() if row["disposition"] != "kept"}
    assert {path: reason for path, reason in left.items() if not path.startswith("python/")} == {
        make_manuals.COPIED: "exact duplicate",
        make_manuals.IN_FRENCH: "language: fr",
        make_manuals.NOT_FOR_TRAINING: "not allowed: train",
    }
    beside = {row["path"] for file in made.corpus.glob("media-*") for row in rows(file)}
    assert {"archive/bearing.wav", "archive/plate.png"} <= beside


@pytest.mark.slow
def test_seventeen_formats_and_real_files_contribute(made: Made) -> None:
    assert len({row["media_type"] for row in made.ours().values()}) == 17
    assert sum(path.startswith("python/") for path in made.kept) >= 5


@pytest.mark.slow
def test_what_points_at_people_is_masked(made: Made) -> None:
    written = b"".join(data for _, data in make_manuals.generated())
    assert all(any(part.encode() in written for part in (text, text.split()[0])) for text in PERSONAL)
    everything = "\n".join(row["text"] for row in made.kept.values())
    assert [text for text in PERSONAL if text in everything] == []
    assert all(f"[{kind}]" in everything for kind in ("EMAIL", "PHONE", "IBAN", "CARD", "MAC", "SECRET"))


@pytest.mark.slow
def test_revisions_of_a_guide_stay_on_one_side(made: Made) -> None:
    first, second = (made.kept[path] for path in make_manuals.NEAR_COPIES)
    assert first["text"] != second["text"]
    assert (first["group"], first["split"]) == (second["group"], second["split"])
    assert len({row["group"] for row in made.kept.values()}) > 50


@pytest.mark.slow
def test_the_texts_are_what_a_person_would_read(made: Made) -> None:
    texts = {path: row["text"] for path, row in made.kept.items()}
    manual = texts["manuals/np-200.pdf"]
    assert manual.count("Operating manual") == manual.count("Nordhaven Pumps and Compressors") == 1, "furniture"
    assert "\nBehind the rotors the mixture enters the\n" in texts["manuals/nk-90-columns.pdf"], "columns one by one"
    service = texts["manuals/nk-90-service.docx"]
    assert "# Oil\n\nUse only oil" in service
    assert "\n1. Run the compressor" in service
    assert "\nOil filter\tNK-4711\t4000\n" in service
    assert "confidential" not in service
    assert "\nNP-1026\tMechanical seal\tNP 200\t14\t43\n" in texts["guides/spare-parts.xlsx"]
    assert "- Below 2.8: good" in texts["guides/vibration.pptx"]
    assert "\n- Schutzbrille" in texts["manuals/nd-12.odt"]
    assert "\\documentclass" not in texts["guides/suction-head.tex"]
    assert "check with sales" not in texts["guides/suction-head.tex"]
    assert "beschädigten findet" in texts["guides/sicherheit-aushang.txt"], "mojibake"
    assert "Frühschicht" in texts["guides/schichtbuch-latin1.txt"]
    pages = [text for path, text in texts.items() if path.startswith("web/")]
    assert len(pages) == 6
    assert not any(word in page for page in pages for word in ("cookie", "Downloads", "Registered in", "track()"))
    said = "\n".join(texts.values())
    assert said.count("Diese Unterlage gilt nur für Anlagen ab Baujahr 2019") == 1, "a repeated paragraph"
    assert "Fault F100 of the NP 200: The pump delivers less than half of its flow, because it turns backwards." in said
    assert any(text.startswith("Ticket 4103 of ") and "[PHONE]" in text for text in texts.values())
    assert any(text.startswith("Work order 7 for the ") for text in texts.values())
    thread = [row["metadata"] for path, row in made.kept.items() if path.startswith("mail/desk.mbox#")]
    assert len(thread) == 3
    assert len({json.loads(metadata)["thread"] for metadata in thread}) == 1
    assert not any("@nordhaven" in metadata for metadata in thread)


@pytest.mark.slow
def test_labels_go_along_and_tokens_come_out(made: Made) -> None:
    tokens = made.workspace.assets["manuals"].asset
    assert tokens.labels == ("internal", "restricted"), "what was left out was in what it was made from"
    assert {label for row in made.kept.values() for label in row["labels"]} == {"internal"}
    split = tokens.metadata["tokens"]
    assert split["train"] > 10_000
    assert min(split.values()) > 0


@pytest.mark.slow
def test_a_second_run_does_nothing(made: Made) -> None:
    made.run()
    newest = made.workspace.ledger.runs.list(limit=1)[0]
    kinds = {event.kind for event in made.workspace.ledger.runs.events(newest.id) if event.step}
    assert kinds == {"step-cached"}


@pytest.mark.slow
def test_the_commands_of_its_page_work(made: Made, capfd: pytest.CaptureFixture[str]) -> None:
    page = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    commands = [shlex.split(line.replace("FOLDER", str(made.files))) for line in blocks.splitlines()]
    assert [command[0] for command in commands] == ["python", *["loresmith"] * (len(commands) - 1)]
    for command in commands[2:]:
        words = [str(EXAMPLE.parents[1] / word) if word.startswith("examples/") else word for word in command[1:]]
        assert main([*words, "--workspace", str(made.workspace.place.folder)]) == 0, capfd.readouterr().err
    assert "retrieval only" in capfd.readouterr().out
