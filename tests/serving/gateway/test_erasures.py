"""What is erased, and what is made anew, while a gateway works with it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.ledger import ErasedDocument
from loresmith.sdk.calls.data_erase import DATA_ERASE, DataEraseRequest
from loresmith.serving.gateway import gateway as working
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.output_guard import Refused
from loresmith.serving.steps import INDEX_PASSAGES
from tests.advice.corpora import document, write_corpus
from tests.serving.gateway.gateways import write_config
from tests.serving.gateway.idle_gateway import in_workspace, until
from tests.serving.retrieval.indexes import ask, build, paths
from tests.step_context import run_step

LETTER = "Ada writes that the fever of the patient in room nine has gone down since the morning, and that she is well."
PUMP = "The filter of the pump is behind the panel of the left side and is cleaned weekly by whoever is on duty then."
ROWS = {
    "pump.md": document("pump.md", PUMP),
    "dose.md": document("dose.md", "One gram against fever.", labels=["clinical"]),
    "radar.md": document("radar.md", "The radar is closed.", labels=["export"]),
    "letter.md": document("letter.md", LETTER, labels=["clinical"]),
}
FORBID = 'forbid (principal == User::"eve", action, resource);\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A workspace with a corpus."""
    home = tmp_path / "home"
    with Workspace.init(home) as workspace:
        workspace.ledger.assets.add("corpus", write_corpus(home / "made", ROWS.values()).directory)
    (home / "own.cedar").write_text("// nobody\n")
    return home


def index(home: Path, *left_out: str, embedder: str = "none") -> str:
    """Index the corpus without some documents; returns the digest of what `manuals@production` is now."""
    rows = [row for path, row in ROWS.items() if path not in left_out]
    return added(home, "index", build(home, rows, embedder=embedder).outputs["index"].directory, "manuals")


def hashes(home: Path, *left_out: str) -> str:
    """The passages of restricted documents, as `hashes@production`; the digest."""
    folder = Path(mkdtemp(dir=home))
    corpus = write_corpus(folder / "corpus", [row for path, row in ROWS.items() if path not in left_out])
    made = run_step(INDEX_PASSAGES, folder, {"words": 10}, {"corpus": corpus}).outputs["index"]
    return added(home, "bundle", made.directory, "hashes")


def added(home: Path, kind: str, directory: Path, release: str) -> str:
    with Workspace.open(home) as workspace:
        digest = workspace.ledger.assets.add(kind, directory).digest
        workspace.ledger.releases.promote(release, digest, "production", "for the tests")
    return digest


def erase(home: Path, path: str) -> None:
    DATA_ERASE.perform(home, DataEraseRequest(path=path, because="Ada asked"), lambda _event: None)


def configured(home: Path, **more: Any) -> Path:
    usual = {"models": {"acme": {"release": "acme"}}, "standby": False, "policy": {"files": ["own.cedar"]}}
    return write_config(home, {**usual, **more})


RETRIEVAL = {"retrieval": {"index": "manuals@production"}}
EMBEDDINGS = {"embeddings": {"meaning": {"index": "manuals@production"}}}
GUARDS = {"guards": [{"kind": "memorisation", "index": "hashes@production"}]}


def found(gateway: Gateway) -> list[str]:
    """What a caller who may see everything finds."""
    assert gateway.rules.retriever is not None
    return sorted(paths(ask(gateway.rules.retriever, "the fever, and the filter of the pump", "clinical")))


def require_guarded(gateway: Gateway) -> None:
    """No model may say the letter."""
    guard = gateway.rules.guards.output(Context())
    with pytest.raises(Refused):
        guard.feed(LETTER) + guard.finish()


def counted(looks: list[None], look: Callable[..., None]) -> Callable[..., None]:
    def counting(*arguments: Any) -> None:
        looks.append(None)
        look(*arguments)

    return counting


def test_what_is_erased_is_found_no_more_within_five_seconds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it is open in memory. Other rules are taken meanwhile, and what is built anew is served. A second is as
    long as it is between two looks: a machine that stands still has none."""
    first = index(home, embedder="minilm")
    said: list[str] = []
    looks: list[None] = []

    async def story(gateway: Gateway) -> None:
        assert found(gateway) == ["dose.md", "letter.md", "pump.md"]
        assert gateway.notes == []
        await asyncio.to_thread(erase, home, "letter.md")
        monkeypatch.setattr(gateway._erasures, "heed", counted(looks, gateway._erasures.heed))
        await until(lambda: found(gateway) == [])
        assert (len(looks) + 1) * working.WATCH_SECONDS <= 5
        assert gateway.notes == ["documents of the index were erased: nothing is retrieved until it is built again"]
        await until(lambda: said != [])
        (told,) = said
        assert f"documents of the index {first[:12]} were erased" in told

        before = gateway.rules.policy.digest
        (home / "own.cedar").write_text(FORBID)
        await until(lambda: gateway.rules.policy.digest != before)
        assert (found(gateway), gateway.trouble) == ([], "")
        for name in ("meaning", "retrieval"):
            assert gateway.rules.embedders[name].embedder.embed(["pump"]).shape == (1, 384)

        await asyncio.to_thread(index, home, "letter.md", embedder="minilm")
        await until(lambda: found(gateway) == ["dose.md", "pump.md"])
        assert gateway.notes == []

    in_workspace(home, configured(home, **RETRIEVAL, **EMBEDDINGS), story, said.append)


def test_an_index_that_was_erased_a_moment_ago_finds_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it that nobody had asked yet lies nowhere any more: that is no fault to tell of."""
    monkeypatch.setattr(working, "WATCH_SECONDS", 60)
    index(home)

    async def story(gateway: Gateway) -> None:
        await asyncio.to_thread(erase, home, "letter.md")
        assert found(gateway) == []

    in_workspace(home, configured(home, **RETRIEVAL), story)


def test_guards_go_on_without_what_they_were_made_from(home: Path) -> None:
    """They quote nobody; without them, answers would go out that they stop."""
    made = hashes(home)
    said: list[str] = []

    async def story(gateway: Gateway) -> None:
        gone = ErasedDocument(id=str(ROWS["letter.md"]["id"]))
        gateway.ledger.erasures.enter("Ada asked", [gone], [], {made: "tainted"})
        await until(lambda: said != [])
        assert "documents were erased that hashes@production was made from" in said[0]
        require_guarded(gateway)
        before = gateway.rules.policy.digest
        (home / "own.cedar").write_text(FORBID)
        await until(lambda: gateway.rules.policy.digest != before)
        require_guarded(gateway)

    in_workspace(home, configured(home, **GUARDS), story, said.append)


def test_trouble_with_the_ledger_is_told_once_and_passes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "WATCH_SECONDS", 0.02)
    index(home)
    said: list[str] = []

    async def story(gateway: Gateway) -> None:
        database = home / ".loresmith" / "ledger.db"
        assert "letter.md" in found(gateway)
        aside = database.rename(database.with_name("aside"))
        await until(lambda: any("what was erased" in one for one in said))
        await asyncio.sleep(0.3)
        aside.rename(database)
        await asyncio.to_thread(erase, home, "letter.md")
        await until(lambda: found(gateway) == [])
        troubles = [one for one in said if "it cannot be looked up what was erased" in one]
        assert all(one != after for one, after in itertools.pairwise(troubles))

    in_workspace(home, configured(home, **RETRIEVAL), story, said.append)


def test_an_index_that_lost_documents_takes_no_other_s_place(home: Path) -> None:
    """Nor does a gateway start with it. One without them is built, also where another part has as many passages."""
    lost = index(home)
    erase(home, "pump.md")
    index(home, "pump.md")

    async def story(gateway: Gateway) -> None:
        before = gateway.rules
        configured(home, retrieval={"index": lost})
        with pytest.raises(UserError, match="was erased on"):
            await gateway.reload()
        assert gateway.rules is before
        assert found(gateway) == ["dose.md", "letter.md"]

    in_workspace(home, configured(home, **RETRIEVAL), story)
    with pytest.raises(UserError, match="was erased on"):
        in_workspace(home, configured(home, retrieval={"index": lost}), story)


@pytest.mark.parametrize(("used", "embedder"), [(RETRIEVAL, "none"), (EMBEDDINGS, "minilm"), (GUARDS, "none")])
def test_what_was_made_anew_under_its_name_is_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch, used: Mapping[str, Any], embedder: str
) -> None:
    monkeypatch.setattr(working, "WATCH_SECONDS", 60)

    def make(*left_out: str) -> str:
        return hashes(home, *left_out) if used is GUARDS else index(home, *left_out, embedder=embedder)

    def working_with(gateway: Gateway) -> set[str]:
        rules = gateway.rules
        retrieved = [] if rules.retriever is None else [rules.retriever.asset]
        return {*retrieved, *rules.guard_assets.values(), *(one.index for one in rules.embedders.values())}

    first = make()

    async def story(gateway: Gateway) -> None:
        assert not await gateway.reload()
        assert working_with(gateway) == {first}
        second = await asyncio.to_thread(make, "letter.md")
        assert second != first
        assert await gateway.reload()
        assert working_with(gateway) == {second}
        assert not await gateway.reload()

    in_workspace(home, configured(home, **used), story)
