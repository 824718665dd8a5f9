"""Rights that stand beside documents reach the documents, whoever wrote the recipe."""

from __future__ import annotations

import itertools
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from loresmith.data.rights import Rights
from loresmith.data.rights_sidecars import Sidecars, StatedRights, sidecar_of
from loresmith.data.steps.ingest import INGEST, IngestConfig
from loresmith.errors import UserError
from tests.data.tables import rows as table_rows
from tests.step_context import RecordingContext, run_step

ALL = ("train", "evaluate", "retrieve")
_runs = itertools.count()


def write(folder: Path, files: dict[str, str]) -> Path:
    long_ago = time.time() - 1000
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (long_ago, long_ago))
    return folder


def read(tmp_path: Path, place: Path, **config: Any) -> tuple[dict[str, dict[str, Any]], RecordingContext, Any]:
    """The documents by path, the context, and the outputs."""
    context = RecordingContext(tmp_path / f"run-{next(_runs)}")
    result = run_step(INGEST, context.folder, {"path": str(place), **config}, context=context)
    rows = table_rows(result.outputs["documents"].directory)
    return {row["path"]: row for row in rows}, context, result


FILES = {
    "open.md": "Anyone may read this.",
    "hr/.rights.yaml": "owner: HR\nlabels: [internal]\nuses: [train, retrieve]\nretain_until: 2030-01-01\n",
    "hr/plan.md": "How we hire people.",
    "hr/pay/.rights.yaml": "labels: [restricted]\nretain_until: 2028-01-01\n",
    "hr/pay/table.md": "What we pay people.",
    "hr/pay/table.md.rights.yaml": "licence: none\nowner: board\nlabels: [secret]\nuses: [retrieve, evaluate]\n",
}


def test_labels_add_up_uses_narrow_and_the_nearest_says_licence_and_owner(tmp_path: Path) -> None:
    place = write(tmp_path / "place", FILES)
    rules = {"label_rules": {"hr/**": ["people"]}, "labels": ["acme"], "licence": "MIT", "retain_until": "2029-01-01"}
    documents, _, result = read(tmp_path, place, **rules)
    assert set(documents) == {"open.md", "hr/plan.md", "hr/pay/table.md"}
    said = {
        path: (row["licence"], row["owner"], row["labels"], row["uses"], row["retain_until"])
        for path, row in documents.items()
    }
    assert said == {
        "open.md": ("MIT", "", ["acme"], sorted(ALL), "2029-01-01"),
        "hr/plan.md": ("MIT", "HR", ["acme", "internal", "people"], ["retrieve", "train"], "2029-01-01"),
        "hr/pay/table.md": (
            "none",
            "board",
            ["acme", "internal", "people", "restricted", "secret"],
            ["retrieve"],
            "2028-01-01",
        ),
    }
    assert set(result.outputs["documents"].labels) == {"acme", "internal", "people", "restricted", "secret"}
    assert set(result.outputs["source"].labels) == set(result.outputs["documents"].labels)


def test_sidecars_are_in_the_books_and_the_snapshot_and_are_no_documents(tmp_path: Path) -> None:
    place = write(tmp_path / "place", {**FILES, "gone.md.rights.yml": "labels: [secret]\n"})
    documents, context, result = read(tmp_path, place, include=["*.md"])
    assert set(documents) == {"open.md", "hr/plan.md", "hr/pay/table.md"}
    books = pyarrow.parquet.read_table(result.outputs["documents"].directory / "books.parquet").to_pylist()
    said = {row["path"]: (row["disposition"], row["reason"], row["detail"]) for row in books if row["reason"]}
    assert said == {
        "gone.md.rights.yml": ("dropped", "rights sidecar", "of gone.md, which is not read"),
        "hr/.rights.yaml": ("dropped", "rights sidecar", "of all in hr/"),
        "hr/pay/.rights.yaml": ("dropped", "rights sidecar", "of all in hr/pay/"),
        "hr/pay/table.md.rights.yaml": ("dropped", "rights sidecar", "of hr/pay/table.md"),
    }
    assert any("rights of gone.md" in line for line in context.logs)
    listing = (result.outputs["source"].directory / "listing.jsonl").read_text().splitlines()
    assert "hr/.rights.yaml" in {json.loads(line)["path"] for line in listing}
    config = IngestConfig(path=str(place), include=("*.md",))
    outputs = {role: made.directory for role, made in result.outputs.items()}
    assert INGEST.restore_sources is not None
    assert INGEST.fingerprint is not None
    (tmp_path / "again").mkdir()
    again = INGEST.restore_sources(config, outputs, tmp_path / "again")
    assert INGEST.fingerprint(again) == INGEST.fingerprint(config)


def test_only_the_rights_are_read_anew_when_only_the_sidecar_changed(tmp_path: Path) -> None:
    place = write(tmp_path / "place", FILES)
    config = IngestConfig(path=str(place))
    assert INGEST.fingerprint is not None
    shared = RecordingContext(tmp_path / "shared")
    run_step(INGEST, tmp_path, {"path": str(place)}, context=shared)
    before = INGEST.fingerprint(config, cache=shared.cache)
    write(place, {"hr/.rights.yaml": "labels: [confidential]\n"})
    assert INGEST.fingerprint(config, cache=shared.cache) != before
    again = RecordingContext(tmp_path / "again")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "cache").symlink_to(shared.cache)
    extractions = {path: path.stat().st_mtime_ns for path in (shared.cache / "extractions").glob("*/*")}
    result = run_step(INGEST, tmp_path, {"path": str(place)}, context=again)
    rows = table_rows(result.outputs["documents"].directory)
    assert {row["path"]: row["labels"] for row in rows}["hr/plan.md"] == ["confidential"]
    new = set((shared.cache / "extractions").glob("*/*")) - set(extractions)
    assert len(new) <= 1  # the sidecar's own


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.md.rights.yaml", "labels: [x]\nlicens: MIT\n", r"a\.md\.rights\.yaml:2: unknown key 'licens'.*'licence'"),
        (".rights.yaml", "uses: [trian]\n", r"\.rights\.yaml:1: uses\[0\]"),
        (".rights.yaml", "labels: secret\n", r"\.rights\.yaml:1: labels"),
        (".rights.yaml", "retain_until: soon\n", r"\.rights\.yaml:1: retain_until"),
        (".rights.yaml", "labels: [a\n", r"\.rights\.yaml:\d: not valid YAML"),
        (".rights.yaml", "- a\n", r"\.rights\.yaml"),
        (".rights.yml", "", "one `.yaml` and one `.yml`"),
    ],
)
def test_a_sidecar_that_is_wrong_stops_the_reading(tmp_path: Path, name: str, text: str, said: str) -> None:
    files = {"a.md": "Some text.", name: text} | ({".rights.yaml": ""} if name.endswith(".yml") else {})
    place = write(tmp_path / "place", files)
    with pytest.raises(UserError, match=said):
        read(tmp_path, place)


def test_a_sidecar_that_cannot_be_read_stops_the_reading(tmp_path: Path) -> None:
    place = write(tmp_path / "place", {"a.md": "Some text."})
    (place / ".rights.yaml").symlink_to(place / "absent")
    with pytest.raises(UserError, match="what it says of rights cannot be read: broken symbolic link"):
        read(tmp_path, place)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A place in which public links lead to what is not public."""
    place = write(tmp_path / "linked", {**FILES, "public/.rights.yaml": "licence: CC0-1.0\nlabels: [public]\n"})
    write(
        place,
        {"hr/talk.jsonl": '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'},
    )
    with zipfile.ZipFile(place / "hr" / "old.zip", "w") as archive:
        archive.writestr("pay.md", "What we paid people.")
    for link, target in {"pay.md": "hr/pay/table.md", "old.zip": "hr/old.zip", "talk.jsonl": "hr/talk.jsonl"}.items():
        (place / "public" / link).symlink_to(f"../{target}")
    return place


def test_what_is_said_of_a_file_holds_for_a_link_to_it(tmp_path: Path, linked: Path) -> None:
    documents, _, result = read(tmp_path, linked, label_rules={"hr/**": ["people"], "hr/old.zip/*.md": ["packed"]})
    said = {
        path: (row["licence"], row["owner"], row["labels"], row["uses"], row["retain_until"])
        for path, row in documents.items()
        if path.startswith("public/") and not path.startswith("public/talk")
    }
    assert said == {
        "public/pay.md": (
            "none",
            "board",
            ["internal", "people", "public", "restricted", "secret"],
            ["retrieve"],
            "2028-01-01",
        ),
        "public/old.zip!/pay.md": (
            "CC0-1.0",
            "HR",
            ["internal", "packed", "people", "public"],
            ["retrieve", "train"],
            "2030-01-01",
        ),
    }
    assert "secret" in result.outputs["source"].labels


@pytest.mark.parametrize("patterns", [{"exclude": ["hr"]}, {"include": ["public/**"]}])
def test_a_link_leads_to_nothing_that_the_patterns_leave_out(
    tmp_path: Path, linked: Path, patterns: dict[str, Any]
) -> None:
    write(linked, {"public/open.md": "Anyone may read this."})
    documents, _, result = read(tmp_path, linked, **patterns)
    assert {path for path in documents if path.startswith("public/")} == {"public/open.md"}
    books = table_rows(result.outputs["documents"].directory, "books.parquet")
    refused = {row["path"] for row in books if row["reason"] == "symbolic link to what is left out"}
    assert refused == {"public/pay.md", "public/old.zip", "public/talk.jsonl"}


def test_the_same_file_reached_by_another_link_is_another_reading(tmp_path: Path) -> None:
    place = write(tmp_path / "place", {"a/x.md": "The same.", "b/x.md": "The same.", "b/.rights.yaml": "labels: [b]"})
    (place / "link.md").symlink_to("a/x.md")
    assert INGEST.fingerprint is not None
    before = INGEST.fingerprint(IngestConfig(path=str(place)))
    (place / "link.md").unlink()
    (place / "link.md").symlink_to("b/x.md")
    assert INGEST.fingerprint(IngestConfig(path=str(place))) != before
    assert read(tmp_path, place)[0]["link.md"]["labels"] == ["b"]


def test_conversations_behind_a_link_keep_their_rights(tmp_path: Path, linked: Path) -> None:
    from loresmith.data.steps.ingest_messages import INGEST_MESSAGES, IngestMessagesConfig

    settings: dict[str, Any] = {"path": str(linked), "include": ["*.jsonl"], "validation_share": 0}
    result = run_step(INGEST_MESSAGES, tmp_path / "messages", settings)
    dataset = result.outputs["dataset"].directory
    found = {row["path"]: (row["owner"], row["labels"]) for row in table_rows(dataset, "records.parquet")}
    assert found["public/talk.jsonl"] == ("HR", ["internal", "public"])
    (tmp_path / "restored").mkdir()
    outputs = {role: made.directory for role, made in result.outputs.items()}
    assert INGEST_MESSAGES.restore_sources is not None
    config = IngestMessagesConfig.model_validate(settings)
    again = INGEST_MESSAGES.restore_sources(config, outputs, tmp_path / "restored")
    second = run_step(INGEST_MESSAGES, tmp_path / "again", again.model_dump())
    assert table_rows(second.outputs["dataset"].directory, "records.parquet") == table_rows(dataset, "records.parquet")


def test_names_of_sidecars() -> None:
    assert sidecar_of("a/b.pdf.rights.yaml") == ("a/b.pdf", False)
    assert sidecar_of("a/.rights.yml") == ("a", True)
    assert sidecar_of(".rights.yaml") == ("", True)
    assert sidecar_of("a/rights.yaml") is None
    assert sidecar_of("a.zip!/b.rights.yaml") is None


def test_what_is_in_an_archive_has_the_rights_of_the_archive() -> None:
    stated = Sidecars({"a/b.zip": StatedRights(labels=("x",))}, {"a": StatedRights(uses=("retrieve",))})
    found = Rights(sidecars=stated).of("a/b.zip!/c/d.txt")
    assert (found.labels, found.uses) == (["x"], ["retrieve"])


def test_a_repository_has_its_sidecars_too(tmp_path: Path) -> None:
    porcelain = pytest.importorskip("dulwich.porcelain")
    from loresmith.data.steps.ingest_git import INGEST_GIT

    place = write(tmp_path / "place", FILES)
    porcelain.init(str(place))
    porcelain.add(str(place), [str(place / name) for name in FILES])
    porcelain.commit(str(place), b"all", author=b"Ada <ada@example.org>", committer=b"Ada <ada@example.org>")
    result = run_step(INGEST_GIT, tmp_path, {"path": str(place), "include": ["*.md"]})
    rows = table_rows(result.outputs["documents"].directory)
    labels = {row["path"]: row["labels"] for row in rows}
    assert labels == {
        "open.md": [],
        "hr/plan.md": ["internal"],
        "hr/pay/table.md": ["internal", "restricted", "secret"],
    }
