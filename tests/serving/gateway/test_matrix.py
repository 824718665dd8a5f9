"""The policy's table on every route: what `test_authorisation` leaves out, and that nothing is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.serving.access import read_access
from loresmith.serving.policy.matrix import callers, matrix
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.resource import Action
from tests.advice.corpora import document
from tests.serving.gateway import test_authorisation as authorisation
from tests.serving.gateway.gateways import RunningGateway, add_release, write_config
from tests.serving.gateway.house import GROUPS, LABEL_SETS, House, add_adapters, chat, declared, make_keys
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_door import BEHIND
from tests.serving.retrieval.indexes import build

RULES = """\
forbid (principal in Group::"engineers", action == Action::"feedback", resource)
when { resource.labels.contains("export") };
forbid (principal in Group::"hurried", action == Action::"retrieve", resource);
forbid (principal is Service, action == Action::"complete", resource)
when { context has route && context.route == "/v1/embeddings" && resource.labels.contains("clinical") };
"""
"""So that no action's column is that of another."""

QUESTION = "What says the filter?"
Table = dict[tuple[str, frozenset[str]], bool]


class Registry:
    """A gateway with an adapter, an embedder and a document of each set of labels that is worth telling apart."""

    def __init__(self, folder: Path) -> None:
        index = build(folder, [_document(name) for name in LABEL_SETS]).outputs["index"].directory
        self.workspace = folder / "workspace"
        embeddings = {}
        with Workspace.init(self.workspace) as opened:
            digest = add_release(opened, self.workspace)
            adapters = add_adapters(opened, folder / "adapters", digest)
            passages = opened.ledger.assets.add("index", index, {}, ()).digest
            for name, labels in LABEL_SETS.items():
                add_release(opened, self.workspace, labels, f"states-{name}")
                embeddings[name] = {"model": f"states-{name}@production"}
        (folder / "rules.cedar").write_text(RULES)
        model = {"release": "acme", "window": 4096, "slots": 4, "threads": 1, "adapters": adapters}
        config = write_config(
            folder,
            {
                "models": {"acme": model},
                "embeddings": embeddings,
                "retrieval": {"index": passages, "passages": len(LABEL_SETS), "instructions": "Cite."},
                "groups": GROUPS,
                "policy": {"files": ["rules.cedar"]},
            },
        )
        access = read_access(config)
        self.policy = Policy.load(access.settings.policy, access.groups, access.folder)
        self.keys = make_keys(self.workspace, {caller.id: caller.groups for caller in callers(declared())})
        self.gateway = RunningGateway(self.workspace, config)

    def table(self, action: Action, kind: str, route: str) -> Table:
        """Who may do that with what carries which labels, as the policy itself says it."""
        return {
            (cell.principal.id, cell.resource.labels): cell.decision.allowed
            for cell in matrix(self.policy, context={"route": route})
            if (cell.action, cell.resource.kind) == (action, kind)
        }

    def client(self, who: str) -> Any:
        return self.gateway.client(self.keys[who])


def _document(name: str) -> dict[str, Any]:
    return document(f"{name}.md", f"The filter of {name} is cleaned.", labels=sorted(LABEL_SETS[name]))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"))
    with made.gateway:
        yield made


def cells(table: Table) -> Iterator[tuple[str, str, bool]]:
    """Each caller against each set of labels, by its name; there is something of both kinds."""
    assert set(table.values()) == {True, False}
    for caller in callers(declared()):
        for name, labels in LABEL_SETS.items():
            yield caller.id, name, table[caller.id, frozenset(labels)]


def test_embedders_are_held_to_the_table(registry: Registry) -> None:
    table = registry.table("complete", "release", "/v1/embeddings")
    assert table != registry.table("complete", "release", "/v1/chat/completions")
    for who, name, may in cells(table):
        with registry.client(who) as client:
            said = client.post("/v1/embeddings", json={"model": name, "input": "Hi"})
            listed = {one["id"] for one in client.get("/v1/models").json()["data"]}
        assert said.status_code == (200 if may else 404), (who, name)
        assert (name in listed) is may


def test_documents_are_held_to_the_table(registry: Registry) -> None:
    table = registry.table("retrieve", "document", "/v1/chat/completions")
    wanted: dict[str, set[str]] = {}
    for who, name, may in cells(table):
        wanted.setdefault(who, set()).update({f"{name}.md"} if may else ())
    for who, paths in wanted.items():
        with registry.client(who) as client:
            message = client.post("/v1/chat/completions", json=chat(text=QUESTION)).json()["choices"][0]["message"]
        assert {source["path"] for source in message.get("sources", ())} == paths, who


def test_feedback_is_held_to_the_table(registry: Registry) -> None:
    asking = registry.table("complete", "adapter", "/v1/completions")
    table = registry.table("feedback", "adapter", "/v1/feedback")
    assert table != asking
    tried = set()
    anothers: dict[str, str] = {}
    for who, name, may in cells(table):
        with registry.client(who) as client:
            said = client.post("/v1/completions", json={"model": f"acme:{name}", "prompt": "Hi", "max_tokens": 1})
            assert (said.status_code == 200) is asking[who, frozenset(LABEL_SETS[name])]
            if said.status_code != 200:
                continue
            response = said.headers["x-request-id"]
            records_of(registry.workspace, response)
            given = client.post("/v1/feedback", json={"response": response, "rating": "up"})
            assert given.status_code == (200 if may else 403), (who, name)
            tried.add(given.status_code)
            # On what others were answered nobody gives any, whatever they may.
            if anothers and who not in anothers:
                given = client.post("/v1/feedback", json={"response": next(iter(anothers.values())), "rating": "up"})
                assert given.status_code == 404, who
            anothers[who] = response
    assert tried == {200, 403}
    assert len(anothers) > 5


def test_what_can_be_asked_for_is_the_same_for_all_who_are_known(house: House) -> None:
    said = set()
    for who in house.keys:
        with house.client(who) as client:
            said.add(client.get("/openapi.json").raise_for_status().text)
    assert len(said) == 1


HELD: dict[tuple[str, str], tuple[Callable[..., None], ...]] = {
    **{("POST", path): (authorisation.test_every_cell_of_the_table_holds,) for path in authorisation.ROUTES},
    ("POST", "/v1/embeddings"): (test_embedders_are_held_to_the_table,),
    ("POST", "/v1/feedback"): (test_feedback_is_held_to_the_table,),
    ("GET", "/v1/models"): (
        authorisation.test_one_is_shown_what_one_may_use_and_nothing_else,
        test_embedders_are_held_to_the_table,
    ),
    ("GET", "/v1/models/acme"): (authorisation.test_one_is_shown_what_one_may_use_and_nothing_else,),
    ("GET", "/metrics"): (authorisation.test_only_administrators_look_into_the_gateway,),
    ("POST", "/admin/reload"): (authorisation.test_only_administrators_look_into_the_gateway,),
    ("GET", "/openapi.json"): (test_what_can_be_asked_for_is_the_same_for_all_who_are_known,),
    ("HEAD", "/openapi.json"): (test_what_can_be_asked_for_is_the_same_for_all_who_are_known,),
}
"""Every route that needs a caller, and the tests that hold it to the policy."""


def test_no_route_is_without_a_row() -> None:
    """A route that is added is to be held to the table, too."""
    assert set(BEHIND) == HELD.keys()
