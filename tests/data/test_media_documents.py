"""Pictures and recordings stay beside a corpus's documents, with their metadata, and disturb nothing that is text."""

from __future__ import annotations

import io
import json
import random
import wave
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from loresmith.advice.scores import kept_scores
from loresmith.data.asset_rows import AssetRows
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.preview.catalogue import catalogue
from loresmith.data.steps import CURATE, PACK, TRAIN_TOKENIZER, CurateConfig
from loresmith.errors import UserError
from loresmith.factory.step import InputAsset, Result
from tests.data.duplicate_corpora import prose
from tests.data.tables import files_of, ingest, rows, write_files
from tests.data.written_corpora import document
from tests.step_context import as_input, run_step

TEXTS = [document(f"{n}.txt", prose(n)) for n in range(12)]
ADA = "Ada Lovelace <ada@example.com>"


def medium(path: str, media_type: str = "image/png", **changes: Any) -> dict[str, Any]:
    told = {"width": 60, "height": 40, **changes.pop("told", {})}
    return document(path, "", media_type=media_type, language="", metadata=json.dumps(told), **changes)


def documents(folder: Path, wanted: list[dict[str, Any]]) -> InputAsset:
    folder.mkdir()
    with DocumentWriter(folder, DOCUMENT_COLUMNS) as writer:
        for row in wanted:
            writer.add({name: row[name] for name in DOCUMENT_COLUMNS.names})
    return InputAsset("0" * 64, "documents", folder, {}, ())


def curated(folder: Path, given: InputAsset, **config: Any) -> Result:
    return run_step(CURATE, folder, config, {"documents": given})


def fates(result: Result) -> dict[tuple[str, str], int]:
    (account,) = (account for account in result.books.accounts if account.unit == "documents")
    assert account.missing == 0
    return {(entry.disposition, entry.reason): entry.count for entry in account.left}


def test_files_of_pictures_and_sounds_come_through_with_what_they_say_of_themselves(tmp_path: Path) -> None:
    picture, sound = io.BytesIO(), io.BytesIO()
    PIL.Image.new("RGB", (60, 40)).save(picture, "PNG")
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 4000, "NONE", ""))
        file.writeframes(random.Random(0).randbytes(8000))
    texts = {row["path"]: row["text"] for row in TEXTS}
    folder = write_files(tmp_path / "in", {**texts, "a.png": picture.getvalue(), "b/c.wav": sound.getvalue()})
    read = ingest(folder, tmp_path, licence="MIT", label_rules={"*.png": ["restricted"]}).outputs["documents"]
    result = curated(tmp_path / "c", as_input("documents", read))
    made = result.outputs["corpus"]
    before = {row["path"]: row for row in rows(read.directory)}
    assert rows(made.directory, "media-*.parquet") == [before["a.png"], before["b/c.wav"]]
    assert [json.loads(before["a.png"]["metadata"])[name] for name in ("width", "height")] == [60, 40]
    assert fates(result) == {("kept", ""): 12, ("kept", "media"): 2}
    assert made.metadata["documents"] == 12
    assert made.metadata["profiles"] == {"manuals": 12}
    assert made.metadata["media"]["documents"] == 2
    assert list(made.metadata["media"]["media_types"].values()) == [1, 1]
    assert made.metadata["media"]["rights"]["licences"] == {"MIT": {"documents": 2, "bytes": 0}}
    assert made.labels == ("restricted",)
    scored = {row["path"]: row for row in rows(made.directory, "scores.parquet")}
    for path in ("a.png", "b/c.wav"):
        assert [scored[path][said] for said in ("profile", "scores", "flags", "breaches")] == ["", [], [], []]


def test_nothing_that_is_made_of_text_sees_them(tmp_path: Path) -> None:
    media = [medium(f"{n}.png") for n in range(5)]
    mixed = [row for pair in zip(TEXTS, [*media, *media, *media], strict=False) for row in pair]
    outcomes = []
    for name, given in (("with", mixed), ("without", TEXTS)):
        corpus = curated(tmp_path / name, documents(tmp_path / f"{name}-in", given), containment=0.9)
        inputs = {"corpus": as_input("corpus", corpus.outputs["corpus"])}
        vocabulary = {"vocabulary_size": 512}
        tokenizer = run_step(TRAIN_TOKENIZER, tmp_path / f"{name}-t", vocabulary, inputs).outputs["tokenizer"]
        inputs["tokenizer"] = as_input("tokenizer", tokenizer)
        tokens = run_step(PACK, tmp_path / f"{name}-p", {}, inputs).outputs["tokens"]
        directory = inputs["corpus"].directory
        tables = {file: data for file, data in files_of(directory).items() if file.startswith("documents")}
        facts = {key: value for key, value in corpus.outputs["corpus"].metadata.items() if key != "media"}
        scored = [score.profile for score in kept_scores(directory)]
        shown = list(AssetRows(directory).batches(["path", "scores"]))
        outcomes.append((tables, facts, scored, shown, files_of(tokens.directory)))
    assert outcomes[0] == outcomes[1]
    assert len(rows(tmp_path / "with" / "outputs" / "corpus", "media-*.parquet")) == 12
    assert not list((tmp_path / "without" / "outputs" / "corpus").glob("media-*"))


def test_rights_and_privacy_hold_for_them_too(tmp_path: Path) -> None:
    given = [
        *TEXTS,
        medium("open.png", told={"title": "Pump"}),
        medium("shown.png", uses=["retrieve"]),
        medium("old.wav", "audio/x-wav", retain_until="2020-01-31"),
        medium("voice.wav", "audio/x-wav", told={"artist": ADA}),
        medium("paid.png", told={"title": "card 4111 1111 1111 1111"}),
    ]
    privacy = {"email": "mask", "card": "drop"}
    result = curated(tmp_path / "c", documents(tmp_path / "in", given), privacy=privacy, as_of="2026-11-22")
    kept = {row["path"]: row for row in rows(result.outputs["corpus"].directory, "media-*.parquet")}
    assert set(kept) == {"open.png", "voice.wav"}
    assert json.loads(kept["open.png"]["metadata"])["title"] == "Pump"
    assert json.loads(kept["voice.wav"]["metadata"])["artist"] == "Ada Lovelace <[EMAIL]>"
    assert {reason: count for (fate, reason), count in fates(result).items() if fate == "dropped"} == {
        "not allowed: train": 1,
        "kept too long": 1,
        "privacy: card": 1,
    }


def test_media_alone_are_no_corpus_and_a_document_without_text_is_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the 2 documents is left with a text: 2 media"):
        curated(tmp_path / "c", documents(tmp_path / "in", [medium("a.png"), medium("b.png")]))
    given = [*TEXTS, document("empty.txt", ""), document("scan.png", prose(99), media_type="image/png")]
    result = curated(tmp_path / "d", documents(tmp_path / "in2", given))
    assert fates(result) == {("kept", ""): 13, ("dropped", "no text"): 1}


def test_they_can_be_looked_at_and_a_preview_says_that_they_stay(tmp_path: Path) -> None:
    given = documents(tmp_path / "in", [*TEXTS, medium("a.png"), medium("b.wav", "audio/x-wav")])
    corpus = curated(tmp_path / "c", given).outputs["corpus"].directory
    shown = AssetRows(corpus, media=True)
    assert [row["path"] for batch in shown.batches(["path", "flags"]) for row in batch.to_pylist()] == [
        "a.png",
        "b.wav",
    ]
    with pytest.raises(UserError, match="no media documents"):
        AssetRows(given.directory, media=True)
    (rule,) = (rule for rule in catalogue(CurateConfig().rules()) if rule.name == "media")
    assert rule.consequence == "keep"
