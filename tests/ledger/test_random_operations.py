"""Whatever is done in whatever order, the ledger agrees with a model of it that fits on a page."""

from __future__ import annotations

import random
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from loresmith.errors import LoresmithError, UserError
from loresmith.ledger import Asset, Head
from loresmith.ledger.releases import Channel
from tests.ledger.conftest import MakePlace, made
from tests.ledger.places import AT, Place, add_asset, audit_row, record_action
from tests.ledger.processes import Child

TEXTS = st.sampled_from(["one", "two", "three", "four"])
KINDS = st.sampled_from(["source", "corpus", "model"])
LABELS = st.lists(st.sampled_from(["secret", "internal"]), max_size=3)
NAMES = st.sampled_from(["acme", "other"])
CHANNELS: st.SearchStrategy[Channel] = st.sampled_from(["candidate", "production"])


class LedgerMachine(RuleBasedStateMachine):
    """The model: digests by content, parents by digest, a stack of targets by channel, and the number of leaves."""

    make_place: MakePlace

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="loresmith-")
        self.place: Place = made(type(self).make_place, Path(self._folder.name))
        self.ledger = self.place.open()
        self.assets: dict[tuple[Any, ...], Asset] = {}
        self.leftovers: set[str] = set()
        self.parents: dict[str, set[str]] = {}
        self.actions: dict[str, dict[str, str]] = {}
        self.stacks: dict[tuple[str, str], list[str]] = {}
        self.answers: dict[str, list[str]] = {}
        self.hashes: dict[str, str | None] = {}
        self.keyed: set[str] = set()
        self.heads: list[Head] = []
        self.leaves = 0

    def teardown(self) -> None:
        assert self.ledger.log.verify().problems == ()
        self.ledger.close()
        self._folder.cleanup()

    def pick(self, data: st.DataObject) -> Asset:
        return data.draw(st.sampled_from(sorted(self.assets.values(), key=lambda asset: asset.digest)))

    @rule(text=TEXTS, kind=KINDS, labels=LABELS)
    def add_an_asset(self, text: str, kind: str, labels: list[str]) -> None:
        key = (text, kind, tuple(sorted(set(labels))))
        asset = add_asset(self.ledger, self.place, text, kind, labels=labels)
        if key not in self.assets:
            self.leaves += 1
            assert asset.digest not in {other.digest for other in self.assets.values()}
        assert self.assets.setdefault(key, asset) == asset

    @precondition(lambda self: self.assets)
    @rule(data=st.data(), text=TEXTS, name=st.sampled_from(["copy", "join"]))
    def record_an_action(self, data: st.DataObject, text: str, name: str) -> None:
        given = self.pick(data).digest
        run = self.ledger.runs.start("0" * 64, "demo", {})
        self.leaves += 1
        action = record_action(self.ledger, self.place, name, {"text": given}, {"text": text}, run)
        if action.key not in self.actions:
            self.leaves += 1
            self.actions[action.key] = action.outputs
        assert action.outputs == self.actions[action.key]
        output = action.outputs["text"]
        self.assets.setdefault((text, "corpus", ()), self.ledger.assets.get(output))
        self.parents.setdefault(output, set()).add(given)

    @precondition(lambda self: self.assets)
    @rule(data=st.data(), name=NAMES, channel=CHANNELS)
    def promote(self, data: st.DataObject, name: str, channel: Channel) -> None:
        digest = self.pick(data).digest
        self.ledger.releases.promote(name, digest, channel, "because")
        self.leaves += 1
        stack = self.stacks.setdefault((name, channel), [])
        if stack[-1:] != [digest]:
            stack.append(digest)

    @rule(name=NAMES, channel=CHANNELS)
    def roll_back(self, name: str, channel: Channel) -> None:
        stack = self.stacks.get((name, channel), [])
        if len(stack) < 2:
            with pytest.raises(UserError):
                self.ledger.releases.rollback(name, channel)
            return
        self.ledger.releases.rollback(name, channel)
        self.leaves += 1
        stack.pop()

    @precondition(lambda self: self.assets)
    @rule(data=st.data(), passed=st.booleans())
    def sign_a_receipt(self, data: st.DataObject, passed: bool) -> None:
        subject = self.pick(data).digest
        receipt = self.ledger.receipts.add(subject, "gate", passed, {"cases": 5})
        self.leaves += 1
        assert self.ledger.receipts.list(subject)[-1] == receipt
        self.ledger.receipts.verify(receipt)

    @rule(values=st.lists(st.floats(), max_size=20))
    def measure(self, values: list[float]) -> None:
        run = self.ledger.runs.start("0" * 64, "demo", {})
        self.ledger.runs.add_metrics(run, "train", [("loss", value, 0.0, AT) for value in values])
        self.leaves += 1 + bool(values)
        assert len(self.ledger.runs.metrics(run)) == len(values)

    @precondition(lambda self: self.assets)
    @rule(data=st.data())
    def look_at_an_asset(self, data: st.DataObject) -> None:
        asset = self.pick(data)
        (path,) = asset.files
        assert self.ledger.assets.find(asset.digest[:20]) == asset
        assert (self.ledger.assets.directory(asset.digest) / path).stat().st_size == asset.size
        assert self.ledger.assets.verify(asset.digest).problems == ()
        ancestors, new = {asset.digest}, {asset.digest}
        while new:
            new = {parent for digest in new for parent in self.parents.get(digest, ())} - ancestors
            ancestors |= new
        lineage = self.ledger.lineage(asset.digest)
        assert {node.id for node in lineage.nodes if node.type == "asset"} == ancestors

    @rule(batch=st.lists(st.tuples(TEXTS, st.sampled_from(["intent", "outcome"])), min_size=1, max_size=20))
    def audit(self, batch: list[tuple[str, str]]) -> None:
        leaves = self.ledger.audit_records.append([audit_row(response, phase) for response, phase in batch])
        assert leaves == range(self.leaves, self.leaves + len(batch))
        self.leaves += len(batch)
        for response, phase in batch:
            self.answers.setdefault(response, []).append(phase)
        assert self.ledger.log.inclusion_proof(leaves[-1]).holds()
        for response, phases in self.answers.items():
            assert [row.phase for row in self.ledger.audit_records.of(response)] == phases

    @rule(key=TEXTS, change=st.sampled_from(["create", "rotate", "revoke"]), secret=st.sampled_from("0123"))
    def change_a_credential(self, key: str, change: str, secret: str) -> None:
        credentials, known, before = self.ledger.credentials, self.hashes.get(key), self.ledger.credentials.version()
        allowed = key not in self.hashes if change == "create" else known is not None
        with nullcontext() if allowed else pytest.raises(UserError):
            if change == "create":
                credentials.create(key, "user:ada", [], secret, None, "because")
            elif change == "rotate":
                credentials.rotate(key, secret, AT, "because")
            else:
                credentials.revoke(key, "because")
        if allowed:
            self.hashes[key] = None if change == "revoke" else secret
            self.leaves += 1
        assert (credentials.version() != before) == allowed
        current = {credential.key: credential.hash for credential in credentials.list()}
        assert current == {name: hash for name, hash in self.hashes.items() if hash is not None}

    @rule(tenant=TEXTS)
    def give_a_tenant_a_key_or_take_it(self, tenant: str) -> None:
        if tenant in self.keyed:
            self.ledger.tenant_keys.destroyed(tenant, "because")
        else:
            self.ledger.tenant_keys.made(tenant, "key", "because")
        self.keyed ^= {tenant}
        self.leaves += 1
        latest = {event.tenant: event.action for event in self.ledger.tenant_keys.list()}
        assert {name for name, action in latest.items() if action == "made"} == self.keyed

    @rule(response=TEXTS, rating=st.integers(-1, 1))
    def say_something_of_a_response(self, response: str, rating: int) -> None:
        said = self.ledger.feedback.add(f"f-{self.leaves}", response, "default", "user:ada", {"rating": rating})
        assert said.leaf == self.leaves
        self.leaves += 1
        assert list(self.ledger.feedback.list(response=response))[-1] == said

    @rule()
    def refuse_nonsense(self) -> None:
        for nonsense in (
            lambda: self.ledger.assets.add("source", self.place.folder / "absent"),
            lambda: self.ledger.releases.promote("acme", "0" * 64, "production", "because"),
            lambda: self.ledger.runs.event("absent", "finished"),
        ):
            with pytest.raises(LoresmithError):
                nonsense()

    @rule()
    def verify(self) -> None:
        check = self.ledger.log.verify()
        assert (check.size, check.problems) == (self.leaves, ())
        self.heads.append(self.ledger.log.head())

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = self.place.open()

    @rule(seed=st.integers(0, 2**32 - 1))
    def another_process_is_killed(self, seed: int) -> None:
        """It adds assets that nothing else names; how far it comes is up to the clock."""

        def work() -> None:
            with self.place.open() as own:
                for number in range(1000):
                    add_asset(own, self.place, f"killed {seed} {number}", "dataset")

        child = Child(work)
        time.sleep(random.Random(seed).uniform(0, 0.05))
        child.kill()
        # What a server was told to commit is, also after the client's death; one more writer comes behind it.
        self.ledger.runs.start("0" * 64, "demo", {})
        self.leaves += 1
        added = {asset.digest for asset in self.ledger.assets.list("dataset")} - self.leftovers
        assert all(self.ledger.assets.verify(digest).problems == () for digest in added)
        self.leaves += len(added)
        # Nothing is drawn from these: the same choices must lead to the same choices.
        self.leftovers |= added

    @invariant()
    def the_ledger_agrees_with_the_model(self) -> None:
        assert self.ledger.log.head().size == self.leaves
        for head in self.heads[-2:]:
            if head.size:
                proof = self.ledger.log.consistency_proof(head.size)
                assert proof.holds()
                assert proof.old_root == head.root
        expected: dict[str, dict[str, str]] = {}
        for (name, channel), stack in sorted(self.stacks.items()):
            expected.setdefault(name, {})[channel] = stack[-1]
        assert {release.name: release.channels for release in self.ledger.releases.list()} == expected
        listed = {asset.digest for asset in self.ledger.assets.list()}
        assert listed == {asset.digest for asset in self.assets.values()} | self.leftovers


def test_the_ledger_agrees_with_its_model(make_place: MakePlace) -> None:
    machine = type("Machine", (LedgerMachine,), {"make_place": staticmethod(make_place)})
    checks = list(HealthCheck)
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=6, stateful_step_count=20, deadline=None, suppress_health_check=checks),
    )
