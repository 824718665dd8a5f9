"""What was erased is gone, stays on the record, and is not taken for damage."""

from __future__ import annotations

import pytest

from loresmith.errors import UserError
from loresmith.ledger import Asset, ErasedDocument, Erasure, Ledger
from tests.ledger.places import Place, add_asset, record_action

SECRET = "what Ada no longer wants here"
DOCUMENT = ErasedDocument(id="d" * 32, texts=("e" * 64,), files=("f" * 64,))


def blob_of(asset: Asset) -> str:
    return asset.files["text.txt"].digest


def erase(ledger: Ledger, asset: Asset, *tainted: str) -> Erasure:
    """Erase an asset of one file, and mark others."""
    for run in ledger.runs.list():
        ledger.runs.event(run.id, "finished")
    marks = {asset.digest: "erased", **dict.fromkeys(tainted, "tainted")}
    erasure = ledger.erasures.enter("Ada asked", [DOCUMENT], [blob_of(asset)], marks)  # type: ignore[arg-type]
    ledger.assets.forget_view(asset.digest)
    ledger.erasures.end(erasure.id, ledger.blobs.erase([blob_of(asset)]))
    return erasure


@pytest.mark.parametrize("remote", [False, True])
def test_the_bytes_are_gone_and_the_digest_stays(place: Place, remote: bool) -> None:
    blobs = f"memory://{place.folder.name}" if remote else place.blobs
    with place.open(blobs=blobs) as ledger:
        asset = add_asset(ledger, place, SECRET)
        kept = add_asset(ledger, place, "another")
        ledger.assets.directory(asset.digest)
        ledger.assets.directory(kept.digest)
        erase(ledger, asset)
        assert not ledger.blobs.exists(blob_of(asset))
        assert ledger.blobs.erase([blob_of(asset)]) == 0
        check = ledger.assets.verify(asset.digest)
        assert check.problems == ()
        assert "erased on 2" in check.erased[0]
        assert "by ada@host, because Ada asked" in check.erased[0]
        assert ledger.assets.verify(kept.digest).erased == ()
        assert ledger.assets.get(asset.digest) == asset
        assert ledger.log.verify().problems == ()
        assert not [file for file in place.views.rglob("*") if file.is_file() and SECRET in file.read_text()]
        assert (ledger.assets.directory(kept.digest) / "text.txt").read_text() == "another"


def test_whoever_needs_what_was_erased_is_told_so(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, SECRET)
    erase(ledger, asset)
    for use in (
        lambda: ledger.assets.directory(asset.digest),
        lambda: ledger.assets.export(asset.digest, place.folder / "out"),
        lambda: ledger.releases.promote("acme", asset.digest, "production", "why not"),
    ):
        with pytest.raises(UserError, match=r"was erased on 2.*because Ada asked.*\n.*run the recipe again"):
            use()


def test_what_was_erased_is_not_taken_in_again(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, SECRET)
    erase(ledger, asset)
    with pytest.raises(UserError, match="holds what was erased on"):
        ledger.assets.add("corpus", place.files("again", {"text.txt": SECRET, "more.txt": "more"}))
    with pytest.raises(UserError, match="holds what was erased on"):
        record_action(ledger, place, "copy", {}, {"text": SECRET})
    assert not ledger.blobs.exists(blob_of(asset))
    assert add_asset(ledger, place, "something else").size == 14


def test_bytes_that_come_back_from_a_backup_are_named(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, SECRET)
    erase(ledger, asset)
    ledger.blobs.put_bytes(SECRET.encode())
    assert "was erased, and its bytes are there" in ledger.assets.verify(asset.digest).problems[0]


def test_what_is_made_later_of_a_marked_asset_is_tainted_too(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, SECRET)
    before = record_action(ledger, place, "before", {"text": asset.digest}, {"text": "looked at, and clean"})
    model = record_action(ledger, place, "train", {"text": asset.digest}, {"text": "a model"}).outputs["text"]
    erasure = erase(ledger, asset, model)
    tuned = record_action(ledger, place, "tune", {"base": model}, {"text": "tuned"}).outputs["text"]
    merged = record_action(ledger, place, "merge", {"base": tuned}, {"text": "merged"}).outputs["text"]
    apart = add_asset(ledger, place, "has nothing to do with it")
    marks = ledger.erasures.marks()
    effects = {digest: [mark.effect for mark in of_asset] for digest, of_asset in marks.items()}
    assert effects == {asset.digest: ["erased"], **{made: ["tainted"] for made in (model, tuned, merged)}}
    assert before.outputs["text"] not in marks
    assert apart.digest not in marks
    assert marks[merged][0].erasure == erasure.id
    nodes = {node.id: node.mark for node in ledger.lineage(merged).nodes if node.type == "asset"}
    assert nodes == {asset.digest: "erased", model: "tainted", tuned: "tainted", merged: "tainted"}
    assert "tainted" in ledger.lineage(merged).mermaid()


def test_a_tainted_asset_is_promoted_only_by_who_says_why(ledger: Ledger, place: Place) -> None:
    asset, model, clean = (add_asset(ledger, place, text) for text in (SECRET, "a model", "a clean model"))
    ledger.releases.promote("acme", model.digest, "production", "it was good")
    ledger.releases.promote("acme", clean.digest, "production", "it is better")
    erasure = erase(ledger, asset, model.digest)
    with pytest.raises(UserError, match=rf"since been erased.*{erasure.id}.*\n.*--although-tainted"):
        ledger.releases.promote("acme", model.digest, "candidate", "it is good")
    with pytest.raises(UserError, match="since been erased"):
        ledger.releases.rollback("acme", reason="it is not")
    assert ledger.releases.target("acme", "production") == clean.digest
    event = ledger.releases.promote("acme", model.digest, "candidate", "it is good", "Ada agreed")
    assert event.reason.startswith("it is good (although tainted by")
    assert event.reason.endswith(": Ada agreed)")
    assert ledger.releases.history("acme")[-1].reason == event.reason
    ledger.releases.rollback("acme", reason="it is not", although_tainted="for an hour")
    ledger.releases.promote("acme", clean.digest, "candidate", "needs no excuse")


def test_nothing_is_erased_under_a_run(ledger: Ledger, place: Place) -> None:
    asset = add_asset(ledger, place, SECRET)
    run = ledger.runs.start("0" * 64, "demo", {})
    with pytest.raises(UserError, match=f"a run is under way: {run}"):
        ledger.erasures.enter("Ada asked", [DOCUMENT], [blob_of(asset)], {asset.digest: "erased"})
    assert ledger.erasures.list() == []
    erase(ledger, asset)


def test_an_erasure_says_who_when_and_why_and_what_is_still_to_do(ledger: Ledger, place: Place) -> None:
    assert ledger.erasures.digest() is None
    assert ledger.erasures.known() == frozenset()
    asset = add_asset(ledger, place, SECRET)
    with pytest.raises(UserError, match="needs a reason"):
        ledger.erasures.enter(" ", [DOCUMENT], [blob_of(asset)], {asset.digest: "erased"})
    erasure = ledger.erasures.enter("Ada asked", [DOCUMENT], [blob_of(asset)], {asset.digest: "erased"})
    assert [each.id for each in ledger.erasures.unfinished()] == [erasure.id]
    assert list(ledger.erasures.tombstones(erasure.id)) == [blob_of(asset)]
    for _ in range(2):
        ledger.erasures.end(erasure.id, 1)
    (listed,) = ledger.erasures.list()
    assert (listed.because, listed.actor, listed.documents) == ("Ada asked", "ada@host", (DOCUMENT,))
    assert listed.done_at is not None
    assert not ledger.erasures.unfinished()
    assert ledger.erasures.known() == {DOCUMENT.id, *DOCUMENT.texts, *DOCUMENT.files}
    with pytest.raises(UserError, match="erased already"):
        ledger.erasures.enter("Ada asked", [DOCUMENT], [blob_of(asset)], {asset.digest: "erased"})
    payloads = (place.folder / "ledger.db").read_bytes() if place.is_sqlite else b""
    assert SECRET.encode() not in payloads
