"""A corpus without what evaluation suites ask for.

Brown et al., "Language Models are Few-Shot Learners", 2020, appendix C: a run of 13 words that a case has is cut out of
the document with 200 characters on either side, what is too short after that goes, and so does a document that would be
cut in more than ten places.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from loresmith.data.contamination.case_index import Rule
from loresmith.data.contamination.findings import FINDING_COLUMNS, Cases, Findings, look
from loresmith.data.corpus import read_documents
from loresmith.data.curation.changing_text import EDIT_COLUMNS, ChangingText
from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter
from loresmith.data.edited_text import Edit, EditedText, Piece
from loresmith.data.observer import Observer, safe_point
from loresmith.data.record_books import RecordBooks
from loresmith.data.shards import SPLITS
from loresmith.data.tables import TableWriter
from loresmith.errors import UserError
from loresmith.ledger.books import Books

Remedy = Literal["drop-span", "drop-document", "flag"]

REASON = "contaminated"
FINDINGS_FILE, EDITS_FILE, SCORES_FILE = "contamination.parquet", "edits.parquet", "scores.parquet"


@dataclass(frozen=True)
class Measures:
    """What is done where a document holds a case.

    Attributes:
        rule: when it does.
        remedy: cut the stretch out, drop the document, or leave it and say so.
        splits: which documents are looked at.
        around: characters that are cut on either side of a stretch as well.
        most_cuts: a document that would be cut in more places is dropped.
        minimum_bytes: a document of which less is left is dropped.
    """

    rule: Rule
    remedy: Remedy
    splits: Collection[str]
    around: int
    most_cuts: int
    minimum_bytes: int


@dataclass(frozen=True)
class Decontaminated:
    """What came of it; `splits` has documents, bytes and groups of each, `labels` all that the corpus carries."""

    books: Books
    findings: Findings
    splits: Mapping[str, Mapping[str, int]]
    languages: Mapping[str, int]
    labels: set[str]


def decontaminate(
    corpus: Path,
    target: Path,
    cases: Cases,
    suites: Iterable[str],
    measures: Measures,
    work: Path,
    observer: Observer,
) -> Decontaminated:
    """Make a corpus of another.

    Args:
        corpus: a `corpus` asset.
        target: an empty folder; gets documents-*.parquet, books.parquet, contamination.parquet (`FINDING_COLUMNS`),
            edits.parquet where texts are cut, and scores.parquet as the other corpus has it.
        cases: of all suites.
        suites: their digests.
        work: a folder for what is in between.

    Raises:
        UserError: this is no corpus, or nothing is left of it.
    """
    findings = look(corpus, cases, measures.rule, measures.splits, work, observer, suites)
    with TableWriter(target / FINDINGS_FILE, FINDING_COLUMNS) as table:
        for row in findings.rows():
            table.add(row)
    if (corpus / SCORES_FILE).exists():
        shutil.copyfile(corpus / SCORES_FILE, target / SCORES_FILE)
    result = _write(corpus, target, findings, measures, observer)
    shutil.rmtree(work)
    return result


def _write(corpus: Path, target: Path, findings: Findings, measures: Measures, observer: Observer) -> Decontaminated:
    counts = {split: {"documents": 0, "bytes": 0, "groups": 0} for split in SPLITS}
    groups: dict[str, set[str]] = {split: set() for split in SPLITS}
    languages: dict[str, int] = {}
    labels: set[str] = set()
    cuts = 0
    with (
        DocumentWriter(target, CORPUS_COLUMNS) as writer,
        RecordBooks(target) as books,
        TableWriter(target / EDITS_FILE, EDIT_COLUMNS) as edits,
    ):
        earlier = _edits(corpus)
        for edit in earlier:
            edits.add(edit)
        for row, found in _with_findings(corpus, findings, observer):
            kept, rest, made = _treated(row, found, measures)
            cuts += len(made)
            for edit in made:
                edits.add({"id": row["id"], "path": row["path"], **edit})
            books.enter(records=1, bytes_=row["bytes"])
            if kept is None:
                books.leave(row["id"], row["path"], "dropped", row["bytes"], REASON, _said(found))
                continue
            books.leave(row["id"], row["path"], "kept", rest, detail=_said(found) if found else "")
            if rest < row["bytes"]:
                books.part("dropped", row["bytes"] - rest, REASON)
            writer.add(kept)
            split = counts[kept["split"]]
            split["documents"] += 1
            split["bytes"] += kept["bytes"]
            groups[kept["split"]].add(kept["group"])
            languages[kept["language"]] = languages.get(kept["language"], 0) + kept["bytes"]
            labels.update(kept["labels"])
        accounts = books.accounts()
    if not any(split["documents"] for split in counts.values()):
        raise UserError(
            "every document of the corpus holds cases of the suites, and nothing is left",
            hint="`overlap: drop-span` cuts the cases out; `overlap: flag` leaves all as it is",
        )
    for name, split in counts.items():
        split["groups"] = len(groups[name])
    if not cuts and not (corpus / EDITS_FILE).exists():
        (target / EDITS_FILE).unlink()
    return Decontaminated(accounts, findings, counts, dict(sorted(languages.items())), labels)


def _edits(corpus: Path) -> Iterator[dict[str, Any]]:
    """The edits that were made before: with them a span of a text leads back to its page."""
    if (corpus / EDITS_FILE).exists():
        with pq.ParquetFile(corpus / EDITS_FILE, pre_buffer=False) as table:
            for batch in table.iter_batches(4096, columns=EDIT_COLUMNS.names, use_threads=False):
                yield from batch.to_pylist()


def _with_findings(
    corpus: Path, findings: Findings, observer: Observer
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every document with what was found in it."""
    coming = findings.by_document()
    number, found = next(coming, (-1, []))
    done = 0
    for batch in read_documents(corpus, CORPUS_COLUMNS.names):
        for row in batch.to_pylist():
            if done == number:
                yield row, found
                number, found = next(coming, (-1, []))
            else:
                yield row, []
            done += 1
        safe_point(observer, done, None, "documents")


def _treated(
    row: Mapping[str, Any], found: Sequence[Mapping[str, Any]], measures: Measures
) -> tuple[dict[str, Any] | None, int, list[dict[str, Any]]]:
    """The document that is kept, if any, how many bytes of it as it came are left, and what was cut out."""
    if not found or measures.remedy == "flag":
        return dict(row), row["bytes"], []
    cuts = cut_stretches(row["text"], found, measures.around)
    if measures.remedy == "drop-document" or len(cuts) > measures.most_cuts:
        return None, 0, []
    rest = row["bytes"] - sum(len(row["text"][cut.start : cut.end].encode()) for cut in cuts)
    if rest < measures.minimum_bytes:
        return None, 0, []
    pieces = tuple(Piece(piece["at"], piece["start"], piece["length"]) for piece in row["pieces"])
    text = ChangingText(EditedText(row["text"], pieces) if pieces else EditedText.of(row["text"]))
    text.apply(cuts, "dropped", REASON)
    left = text.stored()
    return {**row, "text": left["text"], "bytes": left["bytes"], "pieces": left["pieces"]}, rest, text.edits


def cut_stretches(text: str, found: Iterable[Mapping[str, Any]], around: int) -> list[Edit]:
    """What is cut out of a text: the stretches with so many characters on either side, to the end of the word, joined
    where they touch. What stood before and after a cut does not become one paragraph."""
    cuts: list[tuple[int, int]] = []
    for row in sorted(found, key=lambda row: row["start"]):
        start, end = max(0, row["start"] - around), min(len(text), row["end"] + around)
        while (
            start > 0 and not (text[start - 1].isspace() or text[start].isspace()) and row["start"] - start < 2 * around
        ):
            start -= 1
        while (
            end < len(text) and not (text[end - 1].isspace() or text[end].isspace()) and end - row["end"] < 2 * around
        ):
            end += 1
        if cuts and start <= cuts[-1][1]:
            cuts[-1] = cuts[-1][0], max(end, cuts[-1][1])
        else:
            cuts.append((start, end))
    return [Edit(start, end, "\n\n" if start > 0 and end < len(text) else "", "contamination") for start, end in cuts]


def _said(found: Sequence[Mapping[str, Any]]) -> str:
    """Which cases a document holds, for its line in the books."""
    cases = sorted({f"{row['case']} of {row['suite'][:12]}" for row in found})
    more = f" and {len(cases) - 3} more" if len(cases) > 3 else ""
    return f"holds {', '.join(cases[:3])}{more}"
