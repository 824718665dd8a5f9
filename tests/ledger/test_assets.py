"""An asset is its content: the same has the same digest, is kept once and comes back as it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from loresmith.errors import Failure, UserError
from loresmith.ledger import Asset, Ledger, OutputRecord
from loresmith.ledger.digest import canonical_json, digest_bytes
from loresmith.ledger.schema import ASSET
from tests.ledger.places import Place, add_asset, record_action
from tests.ledger.processes import in_child, together

FILES: dict[str, str | bytes] = {
    "a.txt": "alpha",
    "deep/er/b.bin": b"\x00\xff",
    "deep/same.txt": "alpha",
    "empty": "",
    "ünï cödé.txt": "x",
}


@pytest.fixture
def asset(ledger: Ledger, place: Place) -> Asset:
    directory = place.files("source", FILES)
    return ledger.assets.add("source", directory, {"language": "en", "share": 0.25}, ["secret", "internal", "secret"])


def content(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def expected() -> dict[str, bytes]:
    return {path: data.encode() if isinstance(data, str) else data for path, data in FILES.items()}


def blob_of(place: Place, digest: str) -> Path:
    return Path(place.blobs) / "sha256" / digest[:2] / digest


def test_a_directory_is_identified_without_being_stored(ledger: Ledger, place: Place) -> None:
    directory = place.files("source", FILES)
    known = ledger.assets.identify("source", directory, {"share": 0.25}, ["secret"])
    assert not [path for path in Path(place.blobs).rglob("*") if path.is_file()]
    assert ledger.assets.list() == []
    added = ledger.assets.add("source", directory, {"share": 0.25}, ["secret"])
    assert added.model_copy(update={"created_at": ""}) == known


def test_the_digest_follows_from_the_content_alone(asset: Asset) -> None:
    said = {
        "kind": "source",
        "files": {
            path: {"digest": hashlib.sha256(data).hexdigest(), "size": len(data)} for path, data in expected().items()
        },
        "labels": ["internal", "secret"],
        "metadata": {"language": "en", "share": 0.25},
    }
    plain = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert asset.digest == hashlib.sha256(plain.encode()).hexdigest()
    assert asset.size == sum(map(len, expected().values()))


def test_the_same_content_is_the_same_asset(ledger: Ledger, place: Place, asset: Asset) -> None:
    before = place.counts()
    again = ledger.assets.add("source", place.folder / "source", dict(asset.metadata), ["secret", "internal"])
    assert again == asset
    assert place.counts() == before
    others = [
        ledger.assets.add("corpus", place.folder / "source", asset.metadata, asset.labels),
        ledger.assets.add("source", place.folder / "source", {}, asset.labels),
        ledger.assets.add("source", place.folder / "source", asset.metadata),
    ]
    assert len({asset.digest, *(other.digest for other in others)}) == 4
    assert place.counts()["blob"] == before["blob"]


def test_an_asset_comes_back_as_it_was(ledger: Ledger, place: Place, asset: Asset) -> None:
    shutil.rmtree(place.folder / "source")
    assert ledger.assets.get(asset.digest) == asset
    assert content(ledger.assets.directory(asset.digest)) == expected()
    ledger.assets.export(asset.digest, place.folder / "out" / "put")
    assert content(place.folder / "out" / "put") == expected()
    check = ledger.assets.verify(asset.digest)
    assert (check.files, check.bytes, check.problems) == (len(FILES), asset.size, ())


def test_an_asset_that_is_moved_in_costs_no_copy(ledger: Ledger, place: Place) -> None:
    directory = place.files("given", FILES)
    inode = (directory / "deep" / "er" / "b.bin").stat().st_ino
    asset = ledger.assets.add("source", directory, move=True)
    assert not directory.exists()
    assert (ledger.assets.directory(asset.digest) / "deep" / "er" / "b.bin").read_bytes() == b"\x00\xff"
    assert inode == blob_of(place, asset.files["deep/er/b.bin"].digest).stat().st_ino
    assert ledger.assets.verify(asset.digest).problems == ()


def test_assets_are_kept_in_any_store(place: Place) -> None:
    with place.open(blobs=f"memory://{place.folder}") as ledger:
        asset = ledger.assets.add("source", place.files("source", FILES))
        assert content(ledger.assets.directory(asset.digest)) == expected()
        ledger.assets.export(asset.digest, place.folder / "out")
        assert content(place.folder / "out") == expected()
        assert ledger.assets.verify(asset.digest).problems == ()


def test_a_directory_without_files_is_refused(ledger: Ledger, place: Place) -> None:
    (place.folder / "nothing" / "here").mkdir(parents=True)
    with pytest.raises(UserError, match="at least one file"):
        ledger.assets.add("source", place.folder / "nothing")


def test_what_is_not_a_file_is_refused(ledger: Ledger, place: Place) -> None:
    makers: list[Callable[[Path], None]] = [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("."),
        lambda path: os.mkfifo(path),
    ]
    for number, make in enumerate(makers):
        directory = place.files(f"odd-{number}", {"x": "x"})
        make(directory / "odd")
        with pytest.raises(UserError, match="odd: an asset holds files only"):
            ledger.assets.add("source", directory)


def test_a_name_that_is_not_text_is_refused(ledger: Ledger, place: Place) -> None:
    directory = place.files("source", {"x": "x"})
    Path(os.fsdecode(os.fsencode(directory) + b"/\xff")).write_text("x")
    with pytest.raises(UserError):
        ledger.assets.add("source", directory)


def test_a_view_is_made_once_and_again_when_it_is_not_whole(ledger: Ledger, asset: Asset) -> None:
    view = ledger.assets.directory(asset.digest)
    made = view.stat().st_ino
    assert ledger.assets.directory(asset.digest).stat().st_ino == made
    harms: list[Any] = [
        lambda: (view / "a.txt").unlink(),
        lambda: (view / "deep" / "more").write_text("x"),
        lambda: shutil.rmtree(view),
        lambda: (view / "empty").rename(view / "renamed"),
    ]
    for harm in harms:
        harm()
        assert ledger.assets.directory(asset.digest) == view
        assert content(view) == expected()
    assert [path.name for path in view.parent.iterdir()] == [asset.digest]
    assert ledger.assets.verify(asset.digest).problems == ()


def test_many_makers_of_one_view_all_get_it_whole(ledger: Ledger, place: Place, asset: Asset) -> None:
    def look(_number: int) -> dict[str, bytes]:
        with place.open() as own:
            return content(own.assets.directory(asset.digest))

    assert together(look, [(number,) for number in range(5)]) == [expected()] * 5
    assert [path.name for path in place.views.iterdir()] == [asset.digest]


def test_an_export_never_overwrites(ledger: Ledger, place: Place, asset: Asset) -> None:
    target = place.files("mine", {"keep": "this"})
    with pytest.raises(UserError, match="not empty"):
        ledger.assets.export(asset.digest, target)
    with pytest.raises(UserError, match="not a directory"):
        ledger.assets.export(asset.digest, target / "keep")
    assert content(target) == {"keep": b"this"}
    (place.folder / "empty").mkdir()
    ledger.assets.export(asset.digest, place.folder / "empty")
    assert content(place.folder / "empty") == expected()


def test_an_export_is_the_receivers_to_change(ledger: Ledger, place: Place, asset: Asset) -> None:
    ledger.assets.export(asset.digest, place.folder / "out")
    (place.folder / "out" / "a.txt").write_text("changed")
    assert ledger.assets.verify(asset.digest).problems == ()


def test_damaged_and_missing_files_are_named(ledger: Ledger, place: Place, asset: Asset) -> None:
    damaged = blob_of(place, asset.files["deep/er/b.bin"].digest)
    damaged.chmod(0o644)
    damaged.write_bytes(b"\x00\xfe")
    blob_of(place, asset.files["a.txt"].digest).unlink()
    problems = ledger.assets.verify(asset.digest).problems
    assert [problem.partition(":")[0] for problem in problems] == ["a.txt", "deep/er/b.bin", "deep/same.txt"]
    assert "damaged" in problems[1]
    with pytest.raises(Failure):
        ledger.assets.export(asset.digest, place.folder / "out")
    assert not (place.folder / "out").exists()
    ledger.assets.add("source", place.folder / "source", asset.metadata)
    assert ledger.assets.verify(asset.digest).problems == ()


def test_a_path_cannot_lead_out_of_its_asset(ledger: Ledger, place: Place, asset: Asset) -> None:
    file = {"digest": asset.files["a.txt"].digest, "size": 5}
    for path in ("../../escaped", "/tmp/escaped", "x/../../escaped"):
        manifest = canonical_json({"files": {path: file}, "kind": "source", "labels": [], "metadata": {}})
        digest = digest_bytes(manifest)
        with place.behind_its_back() as connection:
            row = {
                "digest": digest,
                "kind": "source",
                "size": 5,
                "manifest": manifest.decode(),
                "created_at": "",
                "leaf": 0,
            }
            connection.execute(sql.insert(ASSET).values(row))
        for take in (ledger.assets.directory, lambda found: ledger.assets.export(found, place.folder / "out")):
            with pytest.raises(Failure, match="leads out of its asset"):
                take(digest)
    assert not list(place.folder.rglob("escaped"))


def test_what_a_person_writes_is_found(ledger: Ledger, place: Place, asset: Asset) -> None:
    other = add_asset(ledger, place, "other")
    action = record_action(ledger, place, "clean", {"text": asset.digest}, {"text": "clean"})
    newer = record_action(ledger, place, "clean", {"text": other.digest}, {"text": "cleaner"})
    both = record_action(ledger, place, "split", {"text": asset.digest}, {"train": "1", "test": "2"})
    ledger.releases.promote("acme", asset.digest, "candidate", "because")
    find = ledger.assets.find
    assert find(asset.digest) == find(asset.digest[:8]) == find("acme") == find("acme@candidate") == asset
    ledger.releases.promote("acme", other.digest, "production", "because")
    assert find("acme") == find("acme@production") == other
    assert find("demo/clean").digest == find("demo/clean.text").digest == newer.outputs["text"]
    assert find("demo/split.test").digest == both.outputs["test"]
    assert find(action.outputs["text"], kind="corpus").kind == "corpus"


def test_what_is_not_found_names_the_nearest(ledger: Ledger, place: Place, asset: Asset) -> None:
    record_action(ledger, place, "clean", {"text": asset.digest}, {"text": "clean"})
    record_action(ledger, place, "split", {"text": asset.digest}, {"train": "1", "test": "2"})
    ledger.releases.promote("acme", asset.digest, "candidate", "because")
    expected = {
        "f" * 64: "there is no asset",
        "f" * 8: "begins with",
        "acne": "did you mean 'acme'",
        "acme@prodction": "known: candidate",
        "acme@production": "unknown channel 'production'",
        "demo/cleen": "did you mean 'demo/clean'",
        "demo/split": "demo/split.test, demo/split.train",
        "demo/split.tset": "did you mean 'test'",
        "": "unknown release",
    }
    for reference, said in expected.items():
        with pytest.raises(UserError) as caught:
            ledger.assets.find(reference)
        assert said in str(caught.value)


def test_an_ambiguous_beginning_is_refused(ledger: Ledger, place: Place) -> None:
    with place.behind_its_back() as connection:
        for end in "ab":
            row = {"digest": "0" * 63 + end, "kind": "x", "size": 0, "manifest": "{}", "created_at": "", "leaf": 0}
            connection.execute(sql.insert(ASSET).values(row))
    with pytest.raises(UserError, match="more than one"):
        ledger.assets.find("0" * 20)


def test_another_kind_than_needed_is_refused(ledger: Ledger, asset: Asset) -> None:
    with pytest.raises(UserError, match="is a source, and a model is needed"):
        ledger.assets.find(asset.digest, kind="model")


def test_the_newest_assets_come_first(ledger: Ledger, place: Place) -> None:
    made = [add_asset(ledger, place, str(number), kind=("a", "b")[number % 2]) for number in range(5)]
    assert ledger.assets.list() == made[::-1]
    assert ledger.assets.list(kind="a") == [made[4], made[2], made[0]]
    assert ledger.assets.list(limit=2) == [made[4], made[3]]


def test_another_process_sees_the_asset(place: Place, asset: Asset) -> None:
    def look() -> Asset:
        with place.open() as own:
            return own.assets.get(asset.digest)

    assert in_child(look) == asset


def test_a_step_alone_stands_for_what_is_wanted_or_for_what_it_made_besides_reports(
    ledger: Ledger, place: Place
) -> None:
    given = add_asset(ledger, place, "in")
    outputs = {}
    for role, kind in (("books", "report"), ("model", "model")):
        directory = place.folder / f"made-{role}"
        directory.mkdir()
        (directory / "file").write_text(role)
        outputs[role] = OutputRecord(kind=kind, directory=directory)
    made = record_action(ledger, place, "train", {"text": given.digest}, {}, outputs=outputs).outputs
    assert ledger.assets.find("demo/train").digest == made["model"]
    assert ledger.assets.find("demo/train", kind="report").digest == made["books"]
    with pytest.raises(UserError, match="a corpus is needed"):
        ledger.assets.find("demo/train", kind="corpus")
