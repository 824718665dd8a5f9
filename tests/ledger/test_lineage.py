"""The lineage of an asset is the whole way from the first files to the releases, and nothing beside it."""

from __future__ import annotations

import json
import re

import pytest

from loresmith.errors import UserError
from loresmith.ledger import Ledger
from tests.ledger.places import Place, add_asset, record_action


def test_it_is_the_whole_way_and_nothing_beside_it(ledger: Ledger, place: Place) -> None:
    source = add_asset(ledger, place, "files").digest
    suite = add_asset(ledger, place, "questions", kind="suite").digest
    ingest = record_action(ledger, place, "ingest", {"files": source}, {"documents": "a", "rejects": "b"})
    train = record_action(ledger, place, "train", {"text": ingest.outputs["documents"]}, {"model": "weights"})
    beside = record_action(ledger, place, "count", {"text": ingest.outputs["documents"]}, {"report": "3"})
    model = train.outputs["model"]
    judged = {"model": model, "suite": suite}
    report = record_action(ledger, place, "evaluate", judged, {"report": "good"}).outputs["report"]
    ledger.releases.promote("acme", model, "production", "because")
    ledger.releases.promote("other", beside.outputs["report"], "candidate", "because")

    found = ledger.lineage(report)
    assert {node.id for node in found.nodes if node.type == "asset"} == {
        source,
        ingest.outputs["documents"],
        model,
        suite,
        report,
    }
    assert [node.name for node in found.nodes if node.type == "action"] == ["ingest", "train", "evaluate"]
    edges = {(edge.role, edge.source, edge.target) for edge in found.edges}
    assert {
        ("files", source, ingest.key),
        ("documents", ingest.key, ingest.outputs["documents"]),
        ("text", ingest.outputs["documents"], train.key),
        ("model", train.key, model),
        ("suite", suite, next(node.id for node in found.nodes if node.type == "action" and node.name == "evaluate")),
    } <= edges
    assert len(edges) == 7
    assert [(mark.name, mark.channel, mark.asset) for mark in found.releases] == [("acme", "production", model)]
    # What something is made of stands before it.
    places = {node.id: number for number, node in enumerate(found.nodes)}
    assert all(places[edge.source] < places[edge.target] for edge in found.edges)


def test_an_asset_that_nothing_made_is_its_own_lineage(ledger: Ledger, place: Place) -> None:
    source = add_asset(ledger, place, "files").digest
    found = ledger.lineage(source)
    assert ([node.id for node in found.nodes], found.edges, found.releases) == ([source], (), ())
    with pytest.raises(UserError, match="there is no asset"):
        ledger.lineage("0" * 64)


def test_a_step_that_changed_nothing_is_a_loop_and_ends(ledger: Ledger, place: Place) -> None:
    text = add_asset(ledger, place, "text", kind="corpus").digest
    action = record_action(ledger, place, "filter", {"text": text}, {"text": "text"})
    assert action.outputs["text"] == text
    found = ledger.lineage(text)
    assert len(found.nodes) == len(found.edges) == 2


def test_every_way_in_which_an_asset_was_made_is_shown(ledger: Ledger, place: Place) -> None:
    ways = [
        record_action(ledger, place, name, {"text": add_asset(ledger, place, name).digest}, {"text": "same"})
        for name in ("first", "second")
    ]
    found = ledger.lineage(ways[0].outputs["text"])
    assert [node.name for node in found.nodes if node.type == "action"] == ["first", "second"]


def test_a_long_chain_is_followed_to_its_beginning(ledger: Ledger, place: Place) -> None:
    first = digest = add_asset(ledger, place, "0").digest
    run = ledger.runs.start("0" * 64, "demo", {})
    for number in range(1, 25):
        made = record_action(ledger, place, f"step-{number}", {"text": digest}, {"text": str(number)}, run)
        digest = made.outputs["text"]
    nodes = ledger.lineage(digest).nodes
    assert len(nodes) == 49
    assert nodes[0].id == first


def test_it_can_be_read_by_programs(ledger: Ledger, place: Place) -> None:
    source = add_asset(ledger, place, "files").digest
    action = record_action(ledger, place, "ingest", {"files": source}, {"text": "x"})
    said = json.loads(ledger.lineage(action.outputs["text"]).model_dump_json())
    assert {"role": "files", "from": source, "to": action.key} in said["edges"]


def test_it_can_be_drawn(ledger: Ledger, place: Place) -> None:
    source = add_asset(ledger, place, "files").digest
    action = record_action(
        ledger, place, 'odd"]<b>', {"files": source}, {"text": "x"}, recipe="demo --> end", step="a|b"
    )
    ledger.releases.promote("acme", action.outputs["text"], "production", "because")
    drawing = ledger.lineage(action.outputs["text"]).mermaid()
    lines = drawing.splitlines()
    assert lines[0] == "flowchart LR"
    plain = r"[\w .;#&/<>-]*?"
    shapes = (
        rf'\w+\["{plain}"\]',
        rf'\w+\(\["{plain}"\]\)',
        rf'\w+\{{\{{"{plain}@\w+"\}}\}}',
        r"\w+ -- [\w;#]+ --> \w+",
        r"\w+ --> \w+",
    )
    for line in lines[1:]:
        assert any(re.fullmatch(rf"    {shape}", line) for shape in shapes), line
    assert "<b>" not in drawing
