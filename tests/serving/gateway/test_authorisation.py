"""Who may do what, cell by cell of the policy's table, over HTTP and on every route that takes a model."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loresmith.serving.identity.groups import Groups
from loresmith.serving.policy.matrix import UNHELD, callers, matrix
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.settings import PolicySettings
from tests.serving.gateway.house import LABEL_SETS, MODELS, House, chat, declared

GROUPS: Groups = declared()
POLICY = Policy.load(PolicySettings(administrators=("admins",)), GROUPS)

ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 1},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 1},
}
"""Routes that take the name of a model that answers, and the rest of a good body for each."""

NAMES = {name: frozenset(labels) for name, labels in MODELS.items()} | {
    f"{name}:{adapter}": frozenset(labels) | frozenset(more)
    for name, labels in MODELS.items()
    for adapter, more in LABEL_SETS.items()
}
"""Everything that can be asked for, and all labels that it carries."""


def allowed() -> dict[tuple[str, frozenset[str]], bool]:
    """Who may complete with what carries which labels, as the policy itself says it."""
    return {
        (cell.principal.id, cell.resource.labels): cell.decision.allowed
        for cell in matrix(POLICY)
        if cell.action == "complete" and cell.resource.kind == "adapter"
    }


def cells() -> Iterator[tuple[str, str, bool]]:
    """Each caller against each name."""
    table = allowed()
    for caller in callers(GROUPS):
        for name, labels in NAMES.items():
            # The table has every set of labels but that of an adapter that nobody may use beside the ward's.
            yield caller.id, name, table.get((caller.id, labels), False)


CELLS = list(cells())


def test_the_table_is_worth_the_name() -> None:
    assert len(CELLS) > 100
    assert {may for _, _, may in CELLS} == {True, False}
    assert {labels for _, labels in allowed()} == {frozenset(labels) for labels in LABEL_SETS.values()}


@pytest.mark.parametrize("route", ROUTES)
def test_every_cell_of_the_table_holds(house: House, route: str) -> None:
    for who in {caller.id for caller in callers(GROUPS)}:
        with house.client(who) as client:
            for caller, name, may in CELLS:
                if caller != who:
                    continue
                said = client.post(route, json={"model": name, **ROUTES[route]})
                assert said.status_code == (200 if may else 404), (who, name, said.text)
                if may:
                    assert said.json()["model"] == name


def test_streams_are_held_to_the_same_table(house: House) -> None:
    for route, body in ROUTES.items():
        for who in ("user:stranger", "user:of-physicians"):
            with house.client(who) as client:
                for caller, name, may in CELLS:
                    if caller == who and name in ("acme", "ward", "acme:clinical", "ward:export"):
                        said = client.post(route, json={"model": name, **body, "stream": True})
                        assert said.status_code == (200 if may else 404), (route, who, name)


def test_one_is_shown_what_one_may_use_and_nothing_else(house: House) -> None:
    for who in {caller.id for caller in callers(GROUPS)}:
        with house.client(who) as client:
            listed = {one["id"] for one in client.get("/v1/models").json()["data"]}
            assert listed == {name for caller, name, may in CELLS if caller == who and may}
            for caller, name, may in CELLS:
                if caller == who:
                    assert client.get(f"/v1/models/{name}").status_code == (200 if may else 404)


def test_only_administrators_look_into_the_gateway(house: House) -> None:
    for cell in matrix(POLICY):
        if cell.action != "administer":
            continue
        with house.client(cell.principal.id) as client:
            # Who is in all groups is in `admins` too.
            status = 200 if cell.decision.allowed else 403
            assert client.get("/metrics").status_code == status, cell.principal.id
            assert client.post("/admin/reload").status_code == status, cell.principal.id


def anonymous(text: str, name: str) -> str:
    return re.sub(r"resp_[0-9a-f]+", "ID", text.replace(name, "NAME"))


ABSENT = ("nothing", "acme:nothing", "ward:nothing", "acme:", ":clinical", "acme:clinical:x", "ward@production")
DENIED = ("ward", "ward:open", "acme:clinical", "acme:export", "acme:both", "acme:nobodys")


def test_what_one_may_not_use_looks_as_if_it_were_not_there(house: House) -> None:
    with house.client("user:stranger") as client:
        seen: dict[str, set[tuple[Any, ...]]] = {}
        for route, body in ROUTES.items():
            for name in (*ABSENT, *DENIED):
                for stream in (False, True):
                    said = client.post(route, json={"model": name, **body, "stream": stream})
                    headers = sorted((key, value) for key, value in said.headers.items() if key not in CHANGING)
                    length = int(said.headers["content-length"]) - len(name)
                    seen.setdefault("POST", set()).add(
                        (said.status_code, anonymous(said.text, name), tuple(headers), length)
                    )
        for name in (*ABSENT, *DENIED):
            said = client.get(f"/v1/models/{name}")
            headers = sorted((key, value) for key, value in said.headers.items() if key not in CHANGING)
            seen.setdefault("GET", set()).add((said.status_code, anonymous(said.text, name), tuple(headers)))
    assert all(len(answers) == 1 for answers in seen.values()), seen


CHANGING = ("content-length", "date", "x-request-id")


def test_it_takes_as_long_too(house: House) -> None:
    """Neither waits for an engine, a tokenizer or the disk: their medians are within what one cannot use from afar."""
    took: dict[str, list[float]] = {"nothing": [], "ward": []}

    def are_alike() -> bool:
        absent, denied = (statistics.median(times) for times in took.values())
        return abs(absent - denied) < 0.004 + 0.5 * absent

    with house.client("user:stranger") as client:
        for number in range(1, 201):
            for name, times in took.items():
                begun = time.perf_counter()
                client.post("/v1/chat/completions", json=chat(name, "long " * 2000))
                times.append(time.perf_counter() - begun)
            if number % 40 == 0 and are_alike():  # what a busy machine adds to one of them is less the more there are
                break
    assert are_alike(), took


def test_a_body_that_is_wrong_tells_nothing_of_the_model(house: House) -> None:
    with house.client("user:stranger") as client:
        for more in ({"tools": "x"}, {"max_tokens": -1}, {"messages": []}, {"tool_choice": "required"}):
            texts = {
                anonymous(client.post("/v1/chat/completions", json={**chat(name), **more}).text, name)
                for name in ("nothing", "ward", "acme:nobodys")
            }
            assert len(texts) == 1
        # Nor does what only that model could refuse.
        texts = {
            anonymous(client.post("/v1/chat/completions", json=chat(name, "long " * 9000)).text, name)
            for name in ("nothing", "ward")
        }
        assert len(texts) == 1


def test_the_operator_is_told_of_what_nobody_may_ask(house: House) -> None:
    told = [event["text"] for event in house.gateway.said if "nobody may ask" in event.get("text", "")]
    assert [text.partition(": ")[0] for text in told] == ["acme:nobodys", "ward:nobodys"]
    assert all(UNHELD in text for text in told)
